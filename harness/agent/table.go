// Package agent is the execution engine agent: it runs processes in its slots, as
// the leading dispatcher orders, and tells every dispatcher what it has. Table
// decides; Agent is the daemon around it, and the minder holds the processes.
package agent

import (
	"cmp"
	"slices"
	"time"

	"github.com/launchplan/launch/harness/minder"
	"github.com/launchplan/launch/harness/wire"
)

// remembered is for how many processes an agent knows, after they were forgotten,
// the last round that it has seen: a late or repeated order must not start one again.
const remembered = 16384

// An Action is what the table wants done; one field is set.
type Action struct {
	Prepare *wire.Assignment // place its files, then say so with Prepared
	Start   wire.Target      // hand what was prepared to the minder
	Stop    *minder.Stop
	Forget  *wire.Target
}

// Table is an agent's knowledge of its processes and the rules for orders. One
// goroutine uses it.
type Table struct {
	Slots int

	epoch   uint64
	term    uint64
	entries map[wire.Target]*entry
	rounds  map[string]int // the last round seen of every process
	order   []string       // of rounds, oldest first
}

type entry struct {
	report     wire.Report
	assignment *wire.Assignment
	stage      stage
}

// stage is how far the start of a process has come on this agent.
type stage int

const (
	held      stage = iota // an earlier round has to end first
	preparing              // its files are being placed
	minded                 // the minder has it, or had
	over
)

// NewTable returns the table of an agent's incarnation.
func NewTable(epoch uint64, slots int) *Table {
	return &Table{Slots: slots, epoch: epoch, entries: map[wire.Target]*entry{}, rounds: map[string]int{}}
}

// Orders takes in orders of a leader. Those of an earlier leader, and those for an
// earlier incarnation of the agent, are void.
func (t *Table) Orders(o *wire.Orders) (actions []Action, valid bool) {
	if o.Epoch != t.epoch || o.Term < t.term {
		return nil, false
	}
	t.term = o.Term
	for i := range o.Assign {
		actions = append(actions, t.assign(&o.Assign[i])...)
	}
	for _, target := range o.Terminate {
		actions = append(actions, t.terminate(target)...)
	}
	for _, target := range o.Forget {
		actions = append(actions, t.forget(target)...)
	}
	return actions, true
}

func (t *Table) assign(a *wire.Assignment) []Action {
	if t.entries[a.Target] != nil {
		return nil // repeated
	}
	last, seen := t.rounds[a.ID]
	e := t.add(a.Target, wire.Pending)
	e.assignment = a
	if seen && a.Round <= last {
		// A late order, of which the dispatchers know the end; or they have lost what they
		// knew since, and must come to a new round.
		t.end(e, wire.Rejected, "the agent has seen a later round of it")
		return nil
	}
	if t.live() > t.Slots {
		t.end(e, wire.Rejected, "all slots of the agent are in use")
		return nil
	}
	if actions, busy := t.stopOlder(a.Target); busy {
		return actions
	}
	e.stage = preparing
	return []Action{{Prepare: a}}
}

// add makes an entry for a round that is new to the agent.
func (t *Table) add(target wire.Target, state wire.State) *entry {
	e := &entry{report: wire.Report{ID: target.ID, Round: target.Round, State: state}}
	t.entries[target] = e
	t.remember(target)
	return e
}

func (t *Table) remember(target wire.Target) {
	last, seen := t.rounds[target.ID]
	if !seen {
		t.order = append(t.order, target.ID)
		if len(t.order) > remembered {
			t.dropOldest()
		}
	}
	t.rounds[target.ID] = max(last, target.Round)
}

// dropOldest forgets the last rounds of the processes that were seen first, unless
// the agent still has them.
func (t *Table) dropOldest() {
	has := map[string]bool{}
	for target := range t.entries {
		has[target.ID] = true
	}
	kept := t.order[:0]
	for i, id := range t.order {
		if i < remembered/4 && !has[id] {
			delete(t.rounds, id)
			continue
		}
		kept = append(kept, id)
	}
	t.order = kept
}

// stopOlder has earlier rounds of a process end before a new one begins. Busy: one of
// them still runs.
func (t *Table) stopOlder(target wire.Target) (actions []Action, busy bool) {
	for other, e := range t.entries {
		if other.ID != target.ID || other.Round >= target.Round || e.report.State.Resting() {
			continue
		}
		if e.stage == minded {
			busy = true
			actions = append(actions, t.stop(e))
			continue
		}
		t.end(e, wire.Terminated, "it was terminated before it started")
	}
	return actions, busy
}

// terminate ends a process. One that the agent does not know counts as ended: if
// its assignment is still on the way, it will not be started.
func (t *Table) terminate(target wire.Target) []Action {
	e := t.entries[target]
	switch {
	case e == nil:
		t.end(t.add(target, wire.Terminating), wire.Terminated, "it was terminated before it started")
	case e.report.State.Resting():
	case e.stage != minded:
		t.end(e, wire.Terminated, "it was terminated before it started")
	default:
		return []Action{t.stop(e)}
	}
	return t.release(target.ID)
}

func (t *Table) stop(e *entry) Action {
	e.report.State = wire.Terminating
	stop := &minder.Stop{Target: wire.Target{ID: e.report.ID, Round: e.report.Round}, Timeout: DefaultStopTimeout}
	if e.assignment != nil && e.assignment.StopTimeout > 0 {
		stop.Timeout = e.assignment.StopTimeout
	}
	return Action{Stop: stop}
}

// DefaultStopTimeout is how long a process may take to end before it is killed.
const DefaultStopTimeout = wire.Duration(10 * time.Second)

func (t *Table) forget(target wire.Target) []Action {
	e := t.entries[target]
	if e == nil || !e.report.State.Resting() {
		return nil
	}
	delete(t.entries, target)
	return []Action{{Forget: &target}} // one that never started may have been prepared
}

// Prepared says how the preparation of a process went, and whether it is to be
// started now.
func (t *Table) Prepared(target wire.Target, err error) []Action {
	e := t.entries[target]
	if e == nil || e.stage != preparing || e.report.State != wire.Pending {
		return nil
	}
	if err != nil {
		t.end(e, wire.Failed, err.Error())
		e.report.Permanent = isPermanent(err)
		return nil
	}
	e.stage = minded
	return []Action{{Start: target}}
}

// Minded takes in what the minder says of a process.
func (t *Table) Minded(p minder.Process) []Action {
	e := t.entries[p.Target]
	if e == nil {
		e = t.add(p.Target, wire.Pending)
	}
	if e.report.State.Resting() {
		return nil
	}
	e.stage = minded
	r := &e.report
	r.PID, r.StartedAt = p.Proc.PID, p.StartedAt
	switch p.State {
	case minder.Running:
		if p.Stopped || r.State == wire.Terminating {
			// The minder that was told may have died before it had ended the process.
			return []Action{t.stop(e)}
		}
		r.State = wire.Running
		return nil
	case minder.Ended:
		r.EndedAt, r.ExitStatus, r.Signal, r.Reason, r.Permanent = p.EndedAt, p.ExitStatus, p.Signal, p.Reason, p.Permanent
		switch {
		case p.Stopped || r.State == wire.Terminating:
			r.State = wire.Terminated
		case p.StartedAt.IsZero() || p.ExitStatus == nil:
			r.State = wire.Failed
		default:
			r.State = wire.Exited
		}
		r.PID = 0
		return t.release(p.ID)
	}
	return nil
}

// Unminded returns the processes that were handed to a minder that died before it
// had recorded them; they are to be handed to the next.
func (t *Table) Unminded(all []minder.Process) []Action {
	known := map[wire.Target]bool{}
	for _, p := range all {
		known[p.Target] = true
	}
	var actions []Action
	for target, e := range t.entries {
		if e.stage != minded || e.report.State.Resting() || known[target] {
			continue
		}
		if e.report.State == wire.Pending && e.assignment != nil {
			actions = append(actions, Action{Start: target})
			continue
		}
		t.end(e, wire.Failed, "its minder died and left no record of it")
	}
	return actions
}

// release begins a round that waited for earlier ones of its process to end.
func (t *Table) release(id string) []Action {
	for target, e := range t.entries {
		if target.ID != id || e.stage != held || e.report.State != wire.Pending {
			continue
		}
		if _, busy := t.stopOlder(target); !busy {
			e.stage = preparing
			return []Action{{Prepare: e.assignment}}
		}
	}
	return nil
}

func (t *Table) end(e *entry, state wire.State, reason string) {
	e.report.State, e.report.Reason, e.stage = state, reason, over
}

func (t *Table) live() int {
	n := 0
	for _, e := range t.entries {
		if !e.report.State.Resting() {
			n++
		}
	}
	return n
}

// Live says whether some round of a process has not ended.
func (t *Table) Live(id string) bool {
	for target, e := range t.entries {
		if target.ID == id && !e.report.State.Resting() {
			return true
		}
	}
	return false
}

// Reports lists everything that the agent has, for a heartbeat.
func (t *Table) Reports() []wire.Report {
	list := make([]wire.Report, 0, len(t.entries))
	for _, e := range t.entries {
		list = append(list, e.report)
	}
	slices.SortFunc(list, func(a, b wire.Report) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Round, b.Round))
	})
	return list
}
