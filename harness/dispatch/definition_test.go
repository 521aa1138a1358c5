package dispatch_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/launchplan/launch/harness/dispatch"
	"github.com/launchplan/launch/harness/wire"
)

// TestTwoProgramsForOneProcess has two clients schedule a process with different programs
// in one step, when it is new and when it rests: the first one's runs, the other is refused.
func TestTwoProgramsForOneProcess(t *testing.T) {
	w := newWorld(1)
	w.kind = true
	with := func(program string) any {
		return dispatch.Asked{Request: wire.Request{
			Op: wire.OpSchedule, Name: "p", ID: program, Parameters: &wire.Parameters{Definition: "p"},
			Definition: &wire.Definition{Argv: []string{program}},
		}}
	}
	for _, programs := range [][]string{{"one", "two"}, {"three", "four"}} {
		w.step(0, []any{with(programs[0]), with(programs[1])})
		process, definition := decode[wire.Process](w.store["process.p"]), decode[wire.Definition](w.store["definition.p"])
		got := []string{process.Request, definition.Argv[0]}
		if diff := cmp.Diff([]string{programs[0], programs[0]}, got); diff != "" {
			t.Errorf("the request on record and the program (-want +got):\n%s\n%s", diff, w.tail())
		}
		w.step(0, []any{dispatch.Asked{Request: wire.Request{Op: wire.OpTerminate, Name: "p"}}})
		if state := decode[wire.Process](w.store["process.p"]).State; !state.Resting() {
			t.Fatalf("the process is %v after terminate", state)
		}
	}
}
