package supervisor

import (
	"context"
	"fmt"
	"math"
	"sync"
	"syscall"
	"time"

	"github.com/launchplan/launch/internal/proc"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/local/records"
)

func lostReason(label string) string {
	return fmt.Sprintf("the supervisor of this run was killed, so the exit status of %s is not known", label)
}

// Standing tells from the records how a program stands that no living supervisor
// answers for. Found is its process, or has the number of its group where only others of that are left.
func Standing(p *records.Program) (state runners.State, found proc.Identity) {
	lost := func(reason string) (runners.State, proc.Identity) {
		return runners.State{Phase: runners.Ended, Result: runners.Result{
			Outcome: runners.Lost, Reason: reason, Started: p.Started, Ended: time.Now(),
		}}, p.Process
	}
	switch {
	case p.Result != nil:
		return runners.State{Phase: runners.Ended, Result: *p.Result}, p.Process
	case p.Boot != proc.BootID():
		return lost(fmt.Sprintf("this machine was rebooted while %s ran", p.Begun.Label))
	case p.Process.PID != 0 && p.Process.Alive():
		return runners.State{Phase: runners.Running, PID: p.Process.PID}, p.Process
	case p.Process.PID != 0:
		return lost(lostReason(p.Begun.Label))
	}
	found, group := marked(p.Begun.Marker)
	if group == 0 { // it may be on its way through exec, and without an environment for a moment
		time.Sleep(execTime)
		found, group = marked(p.Begun.Marker)
	}
	switch {
	case found.PID != 0:
		return runners.State{Phase: runners.Running, PID: found.PID}, found
	case group != 0:
		state, _ := lost(lostReason(p.Begun.Label))
		return state, proc.Identity{PID: group, Boot: p.Boot}
	}
	return lost(fmt.Sprintf("the supervisor of this run was killed when it was about to start %s: whether that ran is not known", p.Begun.Label))
}

// execTime is more than a program needs from its fork to its environment.
const execTime = 20 * time.Millisecond

// marked finds the process that was started with marker in its environment, and
// leads its session. Processes that it began and that left its group have the
// same marker; it is the oldest. Where it has ended, group is that of the oldest which it left.
func marked(marker string) (leader proc.Identity, group int) {
	for p := range proc.WithVariables(marker) {
		if p.PID == p.Group {
			return p.Identity(), p.Group
		}
		if group == 0 {
			group = p.Group
		}
	}
	return proc.Identity{}, group
}

// adopt takes over what the records of a dead supervisor tell about.
func (s *supervisor) adopt(known []*records.Program) {
	census := sync.OnceValues(s.census.take) // the same for all: none of them is ended yet
	for i, k := range known {
		known[i] = nil // there are thousands, and one copy is enough
		if k.Result != nil && !k.Left {
			s.keep(s.past(k.ID, k.Result))
			continue
		}
		p := newProgram(k.ID, *k.Begun)
		state, found := Standing(k)
		p.pid, p.process, p.started, p.adopted, p.reaped = found.PID, found, k.Started, true, true
		close(p.begin)
		s.keep(p)
		if state.Phase == runners.Running {
			if k.Process.PID == 0 {
				r := s.record(records.Start, p)
				r.At, r.Process = k.Started, &p.process
				s.save(r)
			}
			s.active[p] = struct{}{}
			s.work.Go(func() { s.resume(p) })
			continue
		}
		p.result = &state.Result
		close(p.done)
		if k.Result == nil {
			r := s.record(records.End, p)
			r.Result, r.Left = p.result, true
			if p.pid != 0 {
				r.Process = p.group()
			}
			s.save(r)
		}
		if (k.Result == nil || k.Left) && p.pid != 0 && p.process.Boot == proc.BootID() && s.groupLives(p) {
			s.left[p] = struct{}{}
			s.forgetEmpty(p, census)
		}
	}
}

// resume waits for a program that a dead supervisor started: its end can be
// seen, its status cannot. Its timeout counts from its start.
func (s *supervisor) resume(p *program) {
	go func() { // outlives p only where that cannot be killed
		p.process.Wait(context.Background())
		p.exited <- syscall.WaitStatus(0)
		s.reaper.notify()
	}()
	timeout := time.Duration(math.MaxInt64)
	if p.begun.Timeout > 0 {
		timeout = p.begun.Timeout - p.process.Age()
	}
	s.end(p, s.await(p, timeout, nil))
}
