package minder

import (
	"strconv"
	"time"

	"github.com/launchplan/launch/harness/wire"
	"github.com/launchplan/launch/internal/proc"
)

// adopt takes over what an earlier minder left: its processes go on, but the exit
// status of those that were not children of this one cannot be known. Lost: the journal
// does not have all of them.
func (s *server) adopt(lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.journal.processes {
		s.processes[p.Target] = &p
		if p.State == Starting {
			s.findStarted(&p)
		}
	}
	if lost {
		s.findLost()
	}
	for _, p := range s.processes {
		if p.State == Running {
			s.waits.Go(func() { s.waitAdopted(p.Target, p.Proc) })
		}
	}
}

// findStarted settles a start during which the earlier minder died.
func (s *server) findStarted(p *Process) {
	for found := range proc.WithVariables(identityEnv(s.dir, p.Target)...) { // it itself is older than what it began
		p.Proc, p.State = found.Identity(), Running
		s.journal.write(*p)
		return
	}
	p.State, p.EndedAt, p.Reason = Ended, time.Now().UTC(), "its minder died while it started it"
	s.journal.write(*p)
}

// findLost finds processes without the journal, by what marks them: else they would run
// on beside their next rounds.
func (s *server) findLost() {
	for found := range proc.WithVariables("EPU_AGENT_DIR=" + s.dir) { // a process is older than what it began
		t, marked := targetOf(found.PID)
		if !marked || found.Session != found.PID || s.processes[t] != nil {
			continue
		}
		id := found.Identity()
		p := &Process{Target: t, Proc: id, State: Running, StartedAt: time.Now().UTC().Add(-id.Age())}
		s.processes[t] = p
		s.journal.write(*p)
	}
}

// targetOf is the process that a pid was started as, by what marks it.
func targetOf(pid int) (t wire.Target, marked bool) {
	id, _ := proc.Variable(pid, "EPU_PROCESS_ID")
	number, _ := proc.Variable(pid, "EPU_ROUND")
	round, err := strconv.Atoi(number)
	return wire.Target{ID: id, Round: round}, id != "" && err == nil
}

func (s *server) waitAdopted(target wire.Target, id proc.Identity) {
	if id.Wait(s.ctx) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.processes[target]; p != nil && p.State == Running {
		p.Reason = "it ended unwatched: its minder had died, and its exit status with it"
		s.end(p)
	}
}
