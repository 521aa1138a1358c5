package supervisor

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/local/proc"
	"github.com/launchplan/launch/runners/local/records"
	"github.com/launchplan/launch/runners/local/wire"
)

// A program is one that this supervisor starts, or took over from a dead one.
type program struct {
	id       runners.ID
	begun    records.Begun
	output   string        // its output's file
	begin    chan struct{} // closed when it was started, or could not be
	done     chan struct{} // closed when it has ended, and its group too where that must go
	exited   chan syscall.WaitStatus
	stops    chan ending   // at most one is taken
	process  proc.Identity // set before begin is closed, with started and startErr
	started  time.Time
	startErr error
	result   runners.Result // set before done is closed
	adopted  bool           // not our child: its exit status cannot be had

	mu     sync.Mutex
	reaped bool // its pid may belong to another process now
}

// An ending is a wish to end a program.
type ending struct {
	outcome runners.Outcome
	stop    runners.Stop
}

func newProgram(id runners.ID, begun records.Begun, output string) *program {
	return &program{
		id: id, begun: begun, output: output,
		begin:  make(chan struct{}),
		done:   make(chan struct{}),
		exited: make(chan syscall.WaitStatus, 1),
		stops:  make(chan ending, 1),
	}
}

func begunOf(p *wire.Program) records.Begun {
	return records.Begun{Kind: p.Kind, Label: p.Label, Marker: p.Marker, Timeout: p.Timeout, Stop: p.Stop, User: p.User}
}

// start begins the program unless its ID is known, and returns the one that is.
func (s *supervisor) start(c *client, r *wire.Request) *program {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Program.Kind != runners.Check {
		if p, ok := s.programs[r.ID]; ok {
			return p
		}
	}
	p := newProgram(r.ID, begunOf(r.Program), r.Program.Output)
	if r.Program.Kind == runners.Check {
		s.checks[p] = struct{}{}
	} else {
		s.programs[r.ID] = p
	}
	s.active++
	s.work.Go(func() { s.live(p, c, r) })
	return p
}

// live is a program's life: the intent, the fork, the end, and a record of each.
// A check lives without records.
func (s *supervisor) live(p *program, c *client, r *wire.Request) {
	durable := p.begun.Kind != runners.Check
	s.forks <- struct{}{}
	if len(p.stops) > 0 { // interrupted while it waited for its turn
		<-s.forks
		s.notStarted(p, errNotBegun, false)
		return
	}
	if durable {
		intent := s.record(records.Intent, p)
		intent.Begun, intent.Process = &p.begun, boot()
		if err := s.records.Append(intent); err != nil {
			<-s.forks
			s.notStarted(p, fmt.Errorf("write down that it starts: %w", err), false)
			return
		}
	}
	finish, err := s.fork(p, c, r)
	<-s.forks
	if err != nil {
		s.notStarted(p, err, durable)
		return
	}
	if durable {
		started := s.record(records.Start, p)
		started.At, started.Process = p.started, &p.process
		if err := s.records.Append(started); err != nil { // the marker in its environment tells as much
			s.log.Error("record a start", "program", p.id, "err", err)
		}
	}
	close(p.begin)
	result := s.await(p, p.begun.Timeout)
	finish()
	s.end(p, result)
}

// errNotBegun is the startErr of a program that was stopped before its start.
var errNotBegun = errors.New("stopped before its start")

func (s *supervisor) record(what string, p *program) records.Record {
	return records.Record{What: what, Service: p.id.Service, Name: p.id.Name, At: time.Now()}
}

// notStarted lets go of a program that could not be started: it may be tried again.
func (s *supervisor) notStarted(p *program, err error, record bool) {
	if record {
		s.save(s.record(records.Failed, p))
	}
	p.startErr = err
	s.mu.Lock()
	delete(s.checks, p)
	if s.programs[p.id] == p {
		delete(s.programs, p.id)
	}
	s.active--
	s.mu.Unlock()
	close(p.begin)
	close(p.done)
	s.leaveIfIdle()
}

// await waits for the end of the program, or brings it about.
func (s *supervisor) await(p *program, timeout time.Duration) runners.Result {
	var expired <-chan time.Time
	if p.begun.Timeout > 0 {
		timer := time.NewTimer(max(0, timeout))
		defer timer.Stop()
		expired = timer.C
	}
	wish, status := p.endOrWish(expired)
	if wish.outcome == 0 {
		result := s.ended(p, status)
		if p.begun.Kind == runners.Check {
			s.signal(p, unix.SIGKILL)
		} else if result.Outcome != runners.Lost && (result.Outcome != runners.Exited || result.Status != 0) {
			s.endRest(p, p.begun.Stop)
		}
		return result
	}
	s.endRest(p, wish.stop)
	result := runners.Result{Outcome: wish.outcome, Started: p.started}
	select {
	case <-p.exited:
	case <-time.After(killPatience): // stuck in the kernel: endRest has logged it
	}
	result.Ended = time.Now()
	return result
}

// endOrWish waits for the program's end, or a wish to end it. What came first by
// a hair is told as the program's own end.
func (p *program) endOrWish(expired <-chan time.Time) (wish ending, status syscall.WaitStatus) {
	select {
	case status = <-p.exited:
		return ending{}, status
	case <-expired:
		wish = ending{runners.TimedOut, p.begun.Stop}
	case wish = <-p.stops:
	}
	select {
	case status = <-p.exited:
		return ending{}, status
	default:
		return wish, 0
	}
}

// ended is the result of a program that ended by itself.
func (s *supervisor) ended(p *program, status syscall.WaitStatus) runners.Result {
	result := runners.Result{Started: p.started, Ended: time.Now()}
	switch {
	case p.adopted:
		result.Outcome = runners.Lost
		result.Reason = lostReason(p.begun.Label)
	case status.Signaled():
		result.Outcome, result.Signal = runners.Signaled, unix.SignalName(status.Signal())
		if result.Signal == "" {
			result.Signal = fmt.Sprintf("signal %d", status.Signal())
		}
	default:
		result.Outcome, result.Status = runners.Exited, status.ExitStatus()
	}
	return result
}

// endRest ends the program's group within a stop, and logs where that is impossible.
func (s *supervisor) endRest(p *program, stop runners.Stop) {
	if err := s.endGroup(p, stop); err != nil {
		s.log.Error("end a program", "program", p.id, "err", err)
	}
}

// end records the result and tells those who wait.
func (s *supervisor) end(p *program, result runners.Result) {
	p.result = result
	if p.begun.Kind == runners.Check {
		s.mu.Lock()
		delete(s.checks, p)
		s.active--
		s.mu.Unlock()
		close(p.done)
		s.leaveIfIdle()
		return
	}
	left := s.groupLives(p)
	r := s.record(records.End, p)
	r.At, r.Result, r.Left = result.Ended, &p.result, left
	s.save(r)
	s.mu.Lock()
	s.active--
	if left {
		s.left[p] = struct{}{}
	}
	s.mu.Unlock()
	close(p.done)
	s.leaveIfIdle()
}

// hasEnded tells whether done is closed.
func (p *program) hasEnded() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// state is what Look tells.
func (p *program) state() runners.State {
	select {
	case <-p.begin:
	default:
		return runners.State{Phase: runners.Running} // in a moment
	}
	switch {
	case p.startErr != nil:
		return runners.State{Phase: runners.NotStarted}
	case p.hasEnded():
		return runners.State{Phase: runners.Ended, Result: p.result}
	}
	return runners.State{Phase: runners.Running, PID: p.process.PID}
}

// fork starts the program's process. finish must be called when that has ended.
func (s *supervisor) fork(p *program, c *client, r *wire.Request) (finish func(), err error) {
	output, finish, err := s.openOutput(p, c, r)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	input, err := openInput(r.Program.Input)
	if err != nil {
		return nil, err
	}
	defer input.Close()
	attr := &syscall.ProcAttr{
		Dir:   r.Program.Dir,
		Env:   c.environment(r.Program),
		Files: []uintptr{input.Fd(), output.Fd(), output.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
	if as := r.Program.As; as != nil {
		attr.Sys.Credential = &syscall.Credential{Uid: as.UID, Gid: as.GID, Groups: as.Groups}
	}
	if p.begun.Kind == runners.Check {
		endWithSupervisor(attr.Sys)
	}
	p.started = time.Now()
	pid, err := s.reaper.fork(p, r.Program.Path, wire.Unpack(r.Program.Argv), attr)
	if err != nil {
		finish()
		return nil, err
	}
	if p.begun.Kind != runners.Check {
		p.process = proc.Identify(pid)
	} else {
		p.process = proc.Identity{PID: pid}
	}
	return finish, nil
}

// openInput is the program's standard input: nothing, or data without a name.
func openInput(data []byte) (*os.File, error) {
	if len(data) == 0 {
		return os.Open(os.DevNull)
	}
	file, err := os.CreateTemp(".", "input-*") // 0600, in our folder
	if err != nil {
		return nil, err
	}
	os.Remove(file.Name())
	if _, err = file.Write(data); err == nil {
		_, err = file.Seek(0, 0)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}
