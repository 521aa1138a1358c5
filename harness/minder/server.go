package minder

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/launchplan/launch/harness/flock"
	"github.com/launchplan/launch/harness/wire"
	"github.com/launchplan/launch/internal/proc"
)

// ErrRuns says that the agent has a minder already.
var ErrRuns = errors.New("a minder runs already")

// lockTimeout is how long a minder waits for the one before it to end.
const lockTimeout = 3 * time.Second

// expectAgent is how long a minder without processes waits for the agent that started it.
const expectAgent = 10 * time.Second

// eventBacklog is how many events may wait for an agent that does not read them;
// then its connection is closed, and it learns all on the next one.
const eventBacklog = 8192

type server struct {
	dir     string
	journal *journal
	null    *os.File        // the standard input of every process
	socket  net.Listener    // where the agent connects; closed as soon as this minder leaves
	ctx     context.Context // ends with the minder; for the waits on adopted processes
	waits   sync.WaitGroup

	mu        sync.Mutex
	processes map[wire.Target]*Process
	byPID     map[int]*Process // children of this minder
	kills     map[wire.Target]*time.Timer
	agent     *session
	expecting bool          // the agent that started this minder has not connected yet
	idle      chan struct{} // told when there is nothing left to mind
	left      bool          // what an agent wants from now on is for the next minder
}

// session is a connection of the agent.
type session struct {
	conn   net.Conn
	events chan event
}

// Run minds the processes of the agent with this directory until there are none and
// no agent is connected. Ready is called when it listens.
func Run(ctx context.Context, dir string, ready func()) error {
	lock, err := flock.Take(ctx, filepath.Join(dir, lockName), lockTimeout)
	if errors.Is(err, flock.ErrHeld) {
		return ErrRuns
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	again := Ran(dir)
	if err := proc.WriteOwn(filepath.Join(dir, pidName)); err != nil {
		return err
	}
	journal, err := openJournal(filepath.Join(dir, journalName))
	if err != nil {
		return err
	}
	defer journal.close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	ctx, cancel := context.WithCancel(ctx)
	s := &server{
		dir: dir, journal: journal, null: null, ctx: ctx,
		processes: map[wire.Target]*Process{}, byPID: map[int]*Process{},
		kills: map[wire.Target]*time.Timer{}, expecting: true, idle: make(chan struct{}, 1),
	}
	defer s.waits.Wait()
	defer cancel()
	children := notifyChildren()
	defer children.stop()
	s.adopt(again && !journal.whole)

	if s.socket, err = listen(dir); err != nil {
		return err
	}
	s.waits.Go(s.accept) // until we leave
	if ready != nil {
		ready()
	}
	unexpected := time.AfterFunc(expectAgent, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.expecting = false
		s.checkIdle()
	})
	defer unexpected.Stop()
	for {
		select {
		case <-ctx.Done():
			s.leave(true)
			return nil
		case <-s.idle:
			if s.leave(false) {
				return nil
			}
		case <-children.C:
			s.reap()
		}
	}
}

func (s *server) accept() {
	for {
		conn, err := s.socket.Accept()
		if err != nil {
			return
		}
		s.waits.Go(func() { s.serve(conn) })
	}
}

// serve talks with an agent. A new agent replaces the one before.
func (s *server) serve(conn net.Conn) {
	a := &session{conn: conn, events: make(chan event, eventBacklog)}
	s.mu.Lock()
	if s.left {
		s.mu.Unlock()
		conn.Close()
		return
	}
	if s.agent != nil {
		s.agent.conn.Close()
	}
	s.agent, s.expecting = a, false
	all := event{First: true}
	for _, p := range s.processes {
		all.All = append(all.All, *p)
	}
	a.events <- all
	s.mu.Unlock()

	done := make(chan struct{})
	s.waits.Go(func() { a.write(done) })
	dec := json.NewDecoder(bufio.NewReaderSize(conn, 64<<10))
	for {
		var c command
		if dec.Decode(&c) != nil {
			break
		}
		s.carryOut(c)
	}
	close(done)
	conn.Close()
	s.mu.Lock()
	if s.agent == a {
		s.agent = nil
	}
	s.checkIdle()
	s.mu.Unlock()
}

func (a *session) write(done <-chan struct{}) {
	w := bufio.NewWriterSize(a.conn, 64<<10)
	enc := json.NewEncoder(w)
	for {
		select {
		case <-done:
			return
		case e := <-a.events:
			if enc.Encode(e) != nil {
				a.conn.Close()
				return
			}
			if len(a.events) == 0 && w.Flush() != nil {
				a.conn.Close()
				return
			}
		}
	}
}

// tell reports a process's new state. s.mu is held.
func (s *server) tell(p *Process) {
	if s.agent == nil {
		return
	}
	known := *p
	select {
	case s.agent.events <- event{Process: &known}:
	default:
		s.agent.conn.Close()
	}
}

func (s *server) carryOut(c command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.left: // nobody would record what became of it
	case c.Start != nil:
		s.start(c.Start)
	case c.Stop != nil:
		s.stop(c.Stop)
	case c.Forget != nil:
		s.forget(*c.Forget)
	}
}

// start runs a process, once for each round.
func (s *server) start(st *Start) {
	if p := s.processes[st.Target]; p != nil {
		s.tell(p)
		return
	}
	p := &Process{Target: st.Target, State: Starting, StartedAt: time.Now().UTC()}
	s.processes[st.Target] = p
	s.journal.write(*p)
	pid, err := spawn(s.dir, s.null, st)
	if err != nil {
		p.State, p.EndedAt, p.Reason, p.Permanent = Ended, time.Now().UTC(), err.Error(), permanent(err)
		p.StartedAt = time.Time{}
	} else {
		p.Proc = proc.Identify(pid) // a child is there until it is waited for
		p.State = Running
		s.byPID[pid] = p
	}
	s.journal.write(*p)
	s.tell(p)
}

// stop asks a process's group to end; a second stop changes nothing.
func (s *server) stop(st *Stop) {
	p := s.processes[st.Target]
	if p == nil || p.State != Running {
		if p != nil {
			s.tell(p)
		}
		return
	}
	if s.kills[st.Target] != nil {
		return
	}
	p.Stopped = true
	s.journal.write(*p)
	s.signal(p, syscall.SIGTERM)
	s.signal(p, syscall.SIGCONT) // a stopped process must be able to end
	s.kills[st.Target] = time.AfterFunc(st.Timeout.Std(), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if p.State == Running {
			s.signal(p, syscall.SIGKILL)
		}
	})
}

// signal reaches the whole group of a process that has not been waited for, or that
// was adopted and is still the same.
func (s *server) signal(p *Process, sig syscall.Signal) {
	if s.byPID[p.Proc.PID] == p || p.Proc.Alive() {
		proc.SignalGroup(p.Proc.PID, sig)
	}
}

func (s *server) forget(t wire.Target) {
	p := s.processes[t]
	if p == nil || p.State != Ended {
		return
	}
	delete(s.processes, t)
	p.State = Forgotten
	s.journal.write(*p)
	s.journal.compact(s.processes)
}

// reap learns how children ended.
func (s *server) reap() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		p := s.byPID[pid]
		if p == nil {
			continue
		}
		// What it left in its group ends with it: the slot is free from now on.
		proc.SignalGroup(pid, syscall.SIGKILL)
		delete(s.byPID, pid)
		status := ws.ExitStatus()
		if ws.Signaled() {
			status = 128 + int(ws.Signal())
			p.Signal = signalName(ws.Signal())
		}
		p.ExitStatus = &status
		if p.Signal != "" {
			p.Reason = "ended by " + p.Signal
		} else if status != 0 {
			p.Reason = fmt.Sprintf("exit status %d", status)
		}
		s.end(p)
	}
}

func (s *server) end(p *Process) {
	p.State, p.EndedAt = Ended, time.Now().UTC()
	if t := s.kills[p.Target]; t != nil {
		t.Stop()
		delete(s.kills, p.Target)
	}
	s.journal.write(*p)
	s.tell(p)
	s.checkIdle()
}

// checkIdle ends a minder that has nothing to mind and nobody to talk to. The ends
// that nobody has asked for yet stay in the journal. s.mu is held.
func (s *server) checkIdle() {
	if !s.isIdle() {
		return
	}
	select {
	case s.idle <- struct{}{}:
	default:
	}
}

func (s *server) isIdle() bool {
	if s.agent != nil || s.expecting {
		return false
	}
	for _, p := range s.processes {
		if p.State == Running {
			return false
		}
	}
	return true
}

// leave ends the talk with agents for good. An agent that came since the minder was idle
// keeps it from that, unless it must end. One that comes later finds nobody listening, so
// that it starts the next minder at once instead of trying this one while it ends.
func (s *server) leave(must bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !must && !s.isIdle() {
		return false
	}
	s.left = true
	s.socket.Close()
	for _, t := range s.kills {
		t.Stop()
	}
	if s.agent != nil {
		s.agent.conn.Close()
	}
	return true
}
