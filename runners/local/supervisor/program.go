package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/launchplan/launch/internal/proc"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/local/records"
	"github.com/launchplan/launch/runners/local/wire"
)

// A program is one that this supervisor starts, or took over from a dead one. A run has
// thousands that have ended: see past.
type program struct {
	id    runners.ID
	begin chan struct{} // closed when it was started, or could not be
	done  chan struct{} // closed when it has ended, and its group too where that must go
	*life

	startErr error           // set before begin is closed
	result   *runners.Result // set before done is closed
}

// A life is what there is to know of a program until nothing is left of it.
type life struct {
	begun   records.Begun
	exited  chan syscall.WaitStatus
	stops   chan ending // at most one is taken
	adopted bool        // not our child: its exit status cannot be had

	// These are set before begin is closed.
	pid     int
	started time.Time

	mu      sync.Mutex
	process proc.Identity // PID 0: not looked up
	reaped  bool          // its pid may belong to another process now
}

// An ending is a wish to end a program.
type ending struct {
	outcome runners.Outcome
	stop    runners.Stop
}

func newProgram(id runners.ID, begun records.Begun) *program {
	return &program{
		id:    id,
		begin: make(chan struct{}),
		done:  make(chan struct{}),
		life: &life{
			begun:  begun,
			exited: make(chan syscall.WaitStatus, 1),
			stops:  make(chan ending, 1),
		},
	}
}

// past is a program that has ended, with nothing left of it: no process, and so nothing to end.
func (s *supervisor) past(id runners.ID, result *runners.Result) *program {
	return &program{id: id, begin: s.over, done: s.over, life: s.nothing, result: result}
}

// start begins the program unless its ID is known, and returns the one that is; nil where c is superseded.
func (s *supervisor) start(c *client, r *wire.Request) *program {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isSuperseded(c) {
		return nil
	}
	w := r.Program
	if w.Kind != runners.Check {
		if p, ok := s.programs[r.ID]; ok {
			return p
		}
	}
	p := newProgram(r.ID, records.Begun{
		Kind: w.Kind, Label: w.Label[:min(len(w.Label), records.MaxLabel)], Marker: w.Marker, Timeout: w.Timeout, Stop: w.Stop, User: w.User,
	})
	if w.Kind != runners.Check {
		s.keep(p)
	} else {
		s.checks[p] = struct{}{}
	}
	s.active[p] = struct{}{}
	s.work.Go(func() { s.live(p, c, r) })
	return p
}

// keep has the program found by its ID. mu is held.
func (s *supervisor) keep(p *program) {
	s.programs[p.id] = p
	s.services[p.id.Service] = append(s.services[p.id.Service], p)
}

// replace has q found in the place of p. mu is held.
func (s *supervisor) replace(p, q *program) {
	s.programs[p.id] = q
	list := s.services[p.id.Service]
	list[slices.Index(list, p)] = q
}

// forget is the inverse of keep. mu is held.
func (s *supervisor) forget(p *program) {
	if s.programs[p.id] != p {
		return
	}
	delete(s.programs, p.id)
	rest := slices.DeleteFunc(s.services[p.id.Service], func(other *program) bool { return other == p })
	if len(rest) == 0 {
		delete(s.services, p.id.Service)
	} else {
		s.services[p.id.Service] = rest
	}
}

// errNotBegun is the startErr of a program that was stopped before its start.
var errNotBegun = errors.New("stopped before its start")

// live is a program's life: the intent, the fork, the end, and a record of each.
// A check lives without records.
func (s *supervisor) live(p *program, c *client, r *wire.Request) {
	durable := p.begun.Kind != runners.Check
	s.forks <- struct{}{}
	var relay *relay
	err := errNotBegun
	if len(p.stops) == 0 { // else it was interrupted while it waited for its turn
		err = nil
		if durable {
			err = s.recordIntent(p)
		}
		if err == nil {
			if relay, err = s.fork(p, c, r); err != nil && durable {
				s.save(s.record(records.Failed, p))
			}
		}
	}
	<-s.forks
	if err != nil {
		s.notStarted(p, err)
		return
	}
	// Most programs end before there is need for this.
	settle := func() { s.recordStart(p) }
	switch {
	case !durable:
		settle = relay.begin
	case !proc.CanFindVariables || p.begun.User != "":
		settle()
		settle = nil
	}
	close(p.begin)
	result := s.await(p, p.begun.Timeout, settle)
	relay.finish()
	s.end(p, result)
}

func (s *supervisor) record(what string, p *program) records.Record {
	return records.Record{What: what, Service: p.id.Service, Name: p.id.Name, At: time.Now()}
}

func (s *supervisor) recordIntent(p *program) error {
	r := s.record(records.Intent, p)
	r.Begun, r.Process = &p.begun, &proc.Identity{Boot: proc.BootID()}
	if err := s.records.Append(r); err != nil {
		return fmt.Errorf("write down that it starts: %w", err)
	}
	return nil
}

// recordStart writes down which process the program is.
func (s *supervisor) recordStart(p *program) {
	identity := proc.Identify(p.pid)
	if identity.Start == 0 && proc.CanFindVariables {
		return // it has ended, or cannot be looked at now: the marker in its environment tells as much
	}
	p.mu.Lock()
	p.process = identity
	p.mu.Unlock()
	r := s.record(records.Start, p)
	r.At, r.Process = p.started, &identity
	if err := s.records.Append(r); err != nil { // the marker in its environment tells as much
		s.log.Error("record a start", "program", p.id, "err", err)
	}
}

// notStarted lets go of a program that could not be started: it may be tried again.
func (s *supervisor) notStarted(p *program, err error) {
	p.startErr = err
	s.mu.Lock()
	delete(s.active, p)
	delete(s.checks, p)
	s.forget(p)
	s.mu.Unlock()
	close(p.begin)
	close(p.done)
	s.leaveIfIdle()
}

// await waits for the end of the program, or brings it about. It settles a program that goes on for a while.
func (s *supervisor) await(p *program, timeout time.Duration, settle func()) runners.Result {
	wish, status := s.endOrWish(p, timeout, settle)
	if wish.outcome == 0 {
		result := s.ended(p, status)
		if p.begun.Kind == runners.Check {
			s.signal(p, unix.SIGKILL)
		} else if result.Outcome == runners.Signaled || result.Status != 0 {
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

// settleAfter is how long a program runs before its process is looked up and
// written down, and the output of a check is passed on. Most end before that; until
// then the marker in its environment would tell which process it is, and the output waits in the pipe.
const settleAfter = 50 * time.Millisecond

// endOrWish waits for the program's end, or a wish to end it. What came first by
// a hair is told as the program's own end.
func (s *supervisor) endOrWish(p *program, timeout time.Duration, settle func()) (wish ending, status syscall.WaitStatus) {
	var expired, settled <-chan time.Time
	if p.begun.Timeout > 0 {
		timer := time.NewTimer(max(0, timeout))
		defer timer.Stop()
		expired = timer.C
	}
	if settle != nil {
		timer := time.NewTimer(settleAfter)
		defer timer.Stop()
		settled = timer.C
	}
	for wish.outcome == 0 {
		select {
		case status = <-p.exited:
			return ending{}, status
		case <-settled:
			settle()
			settle = nil
		case <-expired:
			wish = ending{runners.TimedOut, p.begun.Stop}
		case wish = <-p.stops:
		}
	}
	select {
	case status = <-p.exited:
		return ending{}, status
	default:
		if settle != nil {
			settle() // what it writes while it is brought to its end must not fill the pipe
		}
		return wish, 0
	}
}

// ended is the result of a program that ended by itself.
func (s *supervisor) ended(p *program, status syscall.WaitStatus) runners.Result {
	result := runners.Result{Started: p.started, Ended: time.Now()}
	switch {
	case p.adopted:
		result.Outcome, result.Reason = runners.Lost, lostReason(p.begun.Label)
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
	p.result = &result
	left := false
	if p.begun.Kind != runners.Check {
		left = s.groupLives(p)
		result.Emptied = !left && p.pid > 0 // where its pid is not known, nor is its group
		r := s.record(records.End, p)
		r.At, r.Result, r.Left = result.Ended, p.result, left
		if left {
			r.Process = p.group()
		}
		s.save(r)
	}
	s.mu.Lock()
	delete(s.active, p)
	delete(s.checks, p)
	switch {
	case left:
		s.left[p] = struct{}{}
	case s.programs[p.id] == p:
		s.replace(p, s.past(p.id, p.result))
	}
	s.mu.Unlock()
	close(p.done)
	s.leaveIfIdle()
}

// group is what finds the program's group again: a program that ended early was
// not looked up, and of it only the number is left.
func (p *program) group() *proc.Identity {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.process.PID != 0 {
		process := p.process
		return &process
	}
	return &proc.Identity{PID: p.pid, Boot: proc.BootID()}
}

// wish asks for the program's end, unless that has come or is being brought about.
func (p *program) wish(e ending) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case p.stops <- e:
	default:
	}
}

// state is what Look tells.
func (p *program) state() runners.State {
	select {
	case <-p.begin:
	default:
		return runners.State{Phase: runners.Running} // in a moment
	}
	if p.startErr != nil {
		return runners.State{Phase: runners.NotStarted}
	}
	select {
	case <-p.done:
		return runners.State{Phase: runners.Ended, Result: *p.result}
	default:
		return runners.State{Phase: runners.Running, PID: p.pid}
	}
}
