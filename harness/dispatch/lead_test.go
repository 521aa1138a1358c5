package dispatch_test

import (
	"testing"

	"github.com/launchplan/launch/harness/wire"
)

// TestNewLeaderHasNotHeard asks a leader that has heard no agent yet for a process that must
// not wait: that is no lack of room. That none of them is there any more is one.
func TestNewLeaderHasNotHeard(t *testing.T) {
	for _, silent := range []bool{false, true} {
		w := newWorld(1)
		w.kind = true
		params := wire.Parameters{Definition: "d"}
		w.request(wire.Request{Op: wire.OpSchedule, Name: "first", Parameters: &params})
		w.untilRuns("first") // now the agents are on record
		w.elect(0)
		for _, a := range w.agents {
			a.up = !silent
		}
		params.Queueing = wire.QueueNever
		w.request(wire.Request{Op: wire.OpSchedule, Name: "p", Parameters: &params})
		want := wire.Running
		if silent {
			want = wire.Rejected
		}
		if p := w.untilRuns("p"); p.State != want {
			t.Errorf("agents silent: %v: the process is %v, not %v: %s", silent, p.State, want, p.Reason)
		}
	}
}
