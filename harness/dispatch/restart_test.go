package dispatch_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/launchplan/launch/harness/minder"
	"github.com/launchplan/launch/harness/wire"
)

// TestRestartsInARow lets a process die time and again: max_restarts counts its restarts,
// a life that lasted begins the count anew, and zero allows none even after such a life.
func TestRestartsInARow(t *testing.T) {
	short, long := 10*time.Millisecond, 5*time.Second // Stable is 1 s
	tests := []struct {
		name   string
		limit  int
		lives  []time.Duration
		starts int
	}{
		{"none", 0, []time.Duration{short}, 1},
		{"none after a long life", 0, []time.Duration{long}, 1},
		{"two", 2, []time.Duration{short, short, short}, 3},
		{"two after each long life", 2, []time.Duration{short, short, long, short, short}, 5},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(1)
			w.kind = true
			w.request(wire.Request{Op: wire.OpSchedule, Name: "p", Parameters: &wire.Parameters{
				Definition: "d", Restart: wire.RestartAlways, MaxRestarts: &test.limit,
			}})
			for i, life := range test.lives {
				if p := w.untilRuns("p"); p.State != wire.Running {
					t.Fatalf("before life %d the process is %v: %s\n%s", i+1, p.State, p.Reason, w.tail())
				}
				w.now = w.now.Add(life)
				w.end("p")
			}
			p := w.untilRuns("p")
			if diff := cmp.Diff([]any{wire.Failed, test.starts}, []any{p.State, p.Starts}); diff != "" {
				t.Errorf("state and starts (-want +got):\n%s%s", diff, p.Reason)
			}
		})
	}
}

// TestRestartTakesItsOwnSlot has a process that must not wait die where all other slots are
// taken: there is room for it, its own.
func TestRestartTakesItsOwnSlot(t *testing.T) {
	for _, queueing := range []wire.Queueing{wire.QueueNever, wire.QueueStartOnly} {
		w := newWorld(1)
		w.kind = true
		w.request(wire.Request{Op: wire.OpSchedule, Name: "first", Parameters: &wire.Parameters{Definition: "d"}})
		w.untilRuns("first") // now the agents are known
		for i := range nAgents*slots - 1 {
			params := wire.Parameters{Definition: "d", Restart: wire.RestartAlways, Queueing: queueing}
			id := fmt.Sprintf("p%d", i)
			w.request(wire.Request{Op: wire.OpSchedule, Name: id, Parameters: &params})
			w.untilRuns(id)
		}
		w.request(wire.Request{Op: wire.OpSchedule, Name: "waits", Parameters: &wire.Parameters{Definition: "d"}})
		w.end("p0")
		if p := w.untilRuns("p0"); p.State != wire.Running || p.Starts != 2 {
			t.Errorf("%s: the process is %v after %d starts: %s", queueing, p.State, p.Starts, p.Reason)
		}
		w.request(wire.Request{Op: wire.OpRestart, Name: "p0"})
		w.untilRuns("waits")
		if p := w.untilRuns("p0"); p.State != wire.Running || p.Starts != 3 {
			t.Errorf("%s: restarted, the process is %v after %d starts: %s", queueing, p.State, p.Starts, p.Reason)
		}
	}
}

// TestRestartStaysOnItsNode has a process die on a node that it had filled up, while another
// one is empty. Its own slot is free again, so the other node stays empty.
func TestRestartStaysOnItsNode(t *testing.T) {
	w := newWorld(1)
	w.kind = true
	for i := range 2 * slots { // of the two agents of a node
		id := fmt.Sprint("p", i)
		w.request(wire.Request{Op: wire.OpSchedule, Name: id, Parameters: &wire.Parameters{Definition: "d", Restart: wire.RestartAlways}})
		w.untilRuns(id)
	}
	before := decode[wire.Process](w.store[wire.ProcessKey("p0")])
	w.end("p0")
	if p := w.untilRuns("p0"); p.State != wire.Running || p.Round != 1 || p.Node != before.Node {
		t.Errorf("the process is %v on %s, round %d; it was on %s", p.State, p.Node, p.Round, before.Node)
	}
}

// TestRefusalIsNoStart has an agent refuse a process that waits for its first start only: it
// still does, since it never ran.
func TestRefusalIsNoStart(t *testing.T) {
	w := newWorld(1)
	w.kind = true
	params := wire.Parameters{Definition: "d"}
	w.request(wire.Request{Op: wire.OpSchedule, Name: "first", Parameters: &params})
	w.untilRuns("first") // now the agents are known
	for _, a := range w.agents {
		a.table.Slots = 0
	}
	params.Queueing = wire.QueueStartOnly
	w.request(wire.Request{Op: wire.OpSchedule, Name: "p", Parameters: &params})
	refused := func() bool { return decode[wire.Process](w.store[wire.ProcessKey("p")]).Round > 0 }
	for !refused() {
		w.deliver()
		w.step(0, nil)
	}
	for _, a := range w.agents {
		a.table.Slots = slots
	}
	if p := w.untilRuns("p"); p.State != wire.Running || p.Starts != 1 {
		t.Errorf("the process is %v after %d starts: %s", p.State, p.Starts, p.Reason)
	}
}

// TestThrottleIsBounded has a leader whose clock was far ahead throttle a process, and
// another lead after it: the process is not held longer than any throttle lasts.
func TestThrottleIsBounded(t *testing.T) {
	w := newWorld(1)
	w.kind = true
	w.request(wire.Request{Op: wire.OpSchedule, Name: "p", Parameters: &wire.Parameters{Definition: "d", Restart: wire.RestartAlways}})
	w.untilRuns("p")
	for decode[wire.Process](w.store[wire.ProcessKey("p")]).NotBefore.IsZero() {
		w.end("p")
		w.step(0, nil)
		if decode[wire.Process](w.store[wire.ProcessKey("p")]).NotBefore.IsZero() {
			w.untilRuns("p")
		}
	}
	w.kill(0)
	p := decode[wire.Process](w.store[wire.ProcessKey("p")])
	p.NotBefore = w.now.Add(time.Hour)
	w.overwrite(wire.ProcessKey("p"), p)
	w.elect(0)
	if p := w.untilRuns("p"); p.State != wire.Running {
		t.Errorf("the process is %v, held until %v, now it is %v", p.State, p.NotBefore, w.now)
	}
}

// TestRecordsThatWentBack has the store lose what was written last, as a power cut may: its
// agent has seen later rounds of the process than the dispatchers now know.
func TestRecordsThatWentBack(t *testing.T) {
	w := newWorld(1)
	w.kind = true
	key := wire.ProcessKey("p")
	w.request(wire.Request{Op: wire.OpSchedule, Name: "p", Parameters: &wire.Parameters{Definition: "d", Restart: wire.RestartAlways}})
	first := w.untilRuns("p")
	for range 2 {
		w.end("p")
		w.untilRuns("p")
	}
	w.kill(0)
	first.State, first.PID, first.StartedAt, first.Clock = wire.Assigned, 0, time.Time{}, 0
	w.overwrite(key, first)
	a := decode[wire.Agent](w.store[wire.AgentKey(first.Agent)])
	a.Assigned = []wire.Target{{ID: "p", Round: first.Round}}
	w.overwrite(wire.AgentKey(first.Agent), a)
	w.elect(0)
	if p := w.untilRuns("p"); p.State != wire.Running {
		t.Errorf("the process is %v in round %d: %s\n%s", p.State, p.Round, p.Reason, w.tail())
	}
}

// overwrite has a record be what nobody has written.
func (w *world) overwrite(key string, v any) {
	o := w.store[key]
	o.Value, _ = json.Marshal(v)
	o.Revision = uint64(len(w.log) + 1)
	w.store[key] = o
	w.log = append(w.log, o)
}

// untilRuns lets time pass until a process runs or rests.
func (w *world) untilRuns(id string) wire.Process {
	var p wire.Process
	for range 1000 {
		w.now = w.now.Add(10 * time.Millisecond)
		for _, a := range w.agents {
			w.heartbeat(a)
			w.live(a)
		}
		for len(w.messages) > 0 {
			w.deliver()
		}
		w.step(0, nil)
		if p = decode[wire.Process](w.store[wire.ProcessKey(id)]); p.State == wire.Running || p.State.Resting() {
			break
		}
	}
	return p
}

// end has a process end by itself, with status 0.
func (w *world) end(id string) {
	for _, a := range w.agents {
		for target, p := range a.processes {
			if target.ID == id && p.State == minder.Running {
				p.State, p.EndedAt, p.ExitStatus = minder.Ended, w.now, new(0)
				w.act(a, a.table.Minded(*p))
				w.beatNow(a)
			}
		}
	}
	for len(w.messages) > 0 {
		w.deliver()
	}
}
