package agent

import (
	"fmt"
	"testing"
	"time"

	"github.com/launchplan/launch/harness/minder"
	"github.com/launchplan/launch/harness/wire"
)

func assignment(id string, round int) wire.Assignment {
	return wire.Assignment{Target: wire.Target{ID: id, Round: round}, Argv: []string{"x"}}
}

func orders(o wire.Orders) *wire.Orders {
	o.Term, o.Epoch = 5, 1
	return &o
}

// run has a process of a table come to run.
func run(t *Table, id string, round int) {
	target := wire.Target{ID: id, Round: round}
	t.Orders(orders(wire.Orders{Assign: []wire.Assignment{assignment(id, round)}}))
	t.Prepared(target, nil)
	t.Minded(minder.Process{Target: target, State: minder.Running})
}

func states(t *Table) string {
	s := ""
	for _, r := range t.Reports() {
		s += fmt.Sprintf("%s/%d %v ", r.ID, r.Round, r.State)
	}
	return s
}

func expect(t *testing.T, table *Table, want string) {
	t.Helper()
	if got := states(table); got != want {
		t.Errorf("the table has %q, want %q", got, want)
	}
}

func TestOrdersOfOthersAreVoid(t *testing.T) {
	table := NewTable(2, 4)
	for name, o := range map[string]*wire.Orders{
		"another incarnation": {Term: 5, Epoch: 1, Assign: []wire.Assignment{assignment("p", 0)}},
		"an earlier leader":   {Term: 4, Epoch: 2, Assign: []wire.Assignment{assignment("p", 0)}},
	} {
		table.Orders(&wire.Orders{Term: 5, Epoch: 2})
		if actions, valid := table.Orders(o); valid || len(actions) > 0 {
			t.Errorf("orders for or of %s are carried out", name)
		}
	}
}

func TestRepeatedAndLateAssignments(t *testing.T) {
	table := NewTable(1, 4)
	run(table, "p", 3)
	for _, round := range []int{3, 2} {
		if actions, _ := table.Orders(orders(wire.Orders{Assign: []wire.Assignment{assignment("p", round)}})); len(actions) > 0 {
			t.Errorf("round %d is started again", round)
		}
	}
	expect(t, table, "p/2 REJECTED p/3 RUNNING ")
	table.Orders(orders(wire.Orders{Forget: []wire.Target{{ID: "p", Round: 2}}}))
	target := wire.Target{ID: "p", Round: 3}
	table.Minded(minder.Process{Target: target, State: minder.Ended})
	table.Orders(orders(wire.Orders{Forget: []wire.Target{target}}))
	expect(t, table, "")
	if actions, _ := table.Orders(orders(wire.Orders{Assign: []wire.Assignment{assignment("p", 3)}})); len(actions) > 0 {
		t.Error("what ended is started again by a late assignment")
	}
	expect(t, table, "p/3 REJECTED ") // where the dispatchers know of no end, they go on to another round
}

func TestTerminateBeforeItsAssignment(t *testing.T) {
	table := NewTable(1, 4)
	table.Orders(orders(wire.Orders{Terminate: []wire.Target{{ID: "p", Round: 1}}}))
	expect(t, table, "p/1 TERMINATED ")
	if actions, _ := table.Orders(orders(wire.Orders{Assign: []wire.Assignment{assignment("p", 1)}})); len(actions) > 0 {
		t.Error("the assignment that came late is carried out")
	}
}

func TestSlotsAreKept(t *testing.T) {
	table := NewTable(1, 1)
	run(table, "a", 0)
	table.Orders(orders(wire.Orders{Assign: []wire.Assignment{assignment("b", 0)}}))
	expect(t, table, "a/0 RUNNING b/0 REJECTED ")
}

func TestRoundsDoNotOverlap(t *testing.T) {
	table := NewTable(1, 4)
	run(table, "p", 0)
	actions, _ := table.Orders(orders(wire.Orders{Assign: []wire.Assignment{assignment("p", 1)}}))
	if len(actions) != 1 || actions[0].Stop == nil {
		t.Fatalf("the earlier round is not stopped: %+v", actions)
	}
	table.Orders(orders(wire.Orders{Assign: []wire.Assignment{assignment("p", 2)}}))
	expect(t, table, "p/0 TERMINATING p/1 TERMINATED p/2 PENDING ")
	status := 0
	actions = table.Minded(minder.Process{Target: wire.Target{ID: "p"}, State: minder.Ended, ExitStatus: &status})
	if len(actions) != 1 || actions[0].Prepare == nil || actions[0].Prepare.Round != 2 {
		t.Fatalf("the last round does not begin: %+v", actions)
	}
}

func TestRestartedAgentKnowsWhatItsMinderHas(t *testing.T) {
	status := 7
	table := NewTable(1, 4)
	for _, p := range []minder.Process{
		{Target: wire.Target{ID: "a", Round: 2}, State: minder.Running},
		{Target: wire.Target{ID: "b"}, State: minder.Running, Stopped: true},
		{Target: wire.Target{ID: "c"}, State: minder.Ended, StartedAt: time.Unix(1, 0), ExitStatus: &status},
		{Target: wire.Target{ID: "d"}, State: minder.Ended, Reason: "no such program", Permanent: true},
	} {
		table.Minded(p)
	}
	for i, r := range table.Reports() {
		if want := []wire.State{wire.Running, wire.Terminating, wire.Exited, wire.Failed}[i]; r.State != want {
			t.Errorf("%s is %v, want %v", r.ID, r.State, want)
		}
	}
}

// What was handed to a minder that died before it had noted it is handed to the next.
func TestNextMinderGetsWhatTheLastDidNotNote(t *testing.T) {
	table := NewTable(1, 4)
	run(table, "noted", 0)
	table.Orders(orders(wire.Orders{Assign: []wire.Assignment{assignment("lost", 0)}}))
	table.Prepared(wire.Target{ID: "lost"}, nil)
	actions := table.Unminded([]minder.Process{{Target: wire.Target{ID: "noted"}, State: minder.Running}})
	if len(actions) != 1 || actions[0].Start.ID != "lost" {
		t.Errorf("%+v", actions)
	}
}

// A minder that died has not ended what it was told to end: the next is told again, whether
// the agent knows of that from its own order or from the minder's record.
func TestNextMinderEndsWhatTheLastWasToEnd(t *testing.T) {
	told, noted := wire.Target{ID: "told"}, wire.Target{ID: "noted"}
	table := NewTable(1, 4)
	run(table, "told", 0)
	table.Orders(orders(wire.Orders{Terminate: []wire.Target{told}}))
	for _, p := range []minder.Process{{Target: told, State: minder.Running}, {Target: noted, State: minder.Running, Stopped: true}} {
		if actions := table.Minded(p); len(actions) != 1 || actions[0].Stop == nil || actions[0].Stop.Target != p.Target {
			t.Errorf("the next minder, which has %s, is told %+v", p.ID, actions)
		}
	}
	expect(t, table, "noted/0 TERMINATING told/0 TERMINATING ")
}

func TestMemoryOfRoundsIsBounded(t *testing.T) {
	table := NewTable(1, 4)
	for i := range 3 * remembered {
		table.Orders(orders(wire.Orders{Terminate: []wire.Target{{ID: fmt.Sprint(i)}}}))
		table.Orders(orders(wire.Orders{Forget: []wire.Target{{ID: fmt.Sprint(i)}}}))
	}
	if len(table.rounds) > remembered || len(table.order) > remembered {
		t.Errorf("%d rounds, %d in order", len(table.rounds), len(table.order))
	}
}
