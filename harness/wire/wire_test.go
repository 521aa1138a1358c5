package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStatesGoForwards(t *testing.T) {
	for from, list := range sameRound {
		for _, to := range list {
			if to <= from {
				t.Errorf("%v to %v in the same round goes back", from, to)
			}
		}
	}
	for s := Unscheduled; s <= Rejected; s++ {
		if CanMove(s, 3, s, 2) || CanMove(s, 3, Requested, 5) {
			t.Errorf("%v can go to an earlier round, or skip one", s)
		}
		if s.Resting() && len(sameRound[s]) > 0 {
			t.Errorf("%v rests, but can go on to %v", s, sameRound[s])
		}
		kinds := 0
		for _, is := range []bool{s.Resting(), s.Queued(), s.Placed(), s == UnscheduledPending} {
			if is {
				kinds++
			}
		}
		if kinds != 1 {
			t.Errorf("%v is of %d kinds", s, kinds)
		}
	}
}

func TestStatesAreWrittenByName(t *testing.T) {
	for s := Unscheduled; s <= Rejected; s++ {
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back State
		if err := json.Unmarshal(data, &back); err != nil || back != s {
			t.Errorf("%v is written as %s and read as %v (%v)", s, data, back, err)
		}
	}
	if _, err := json.Marshal(State(0)); err == nil {
		t.Error("the zero State can be written")
	}
}

func TestModes(t *testing.T) {
	for _, c := range []struct {
		mode         Queueing
		fresh, again bool
	}{{QueueAlways, true, true}, {QueueNever, false, false}, {QueueStartOnly, true, false}, {QueueRestartOnly, false, true}} {
		if c.mode.Waits(0) != c.fresh || c.mode.Waits(1) != c.again {
			t.Errorf("%s: waits %v, %v", c.mode, c.mode.Waits(0), c.mode.Waits(1))
		}
	}
	for _, c := range []struct {
		mode           Restart
		clean, failure bool
	}{{RestartAbnormal, false, true}, {RestartAlways, true, true}, {RestartNever, false, false}} {
		if c.mode.After(true) != c.clean || c.mode.After(false) != c.failure {
			t.Errorf("%s: restarts %v, %v", c.mode, c.mode.After(true), c.mode.After(false))
		}
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "web-1": true, "A_b": true, "9": true, strings.Repeat("x", MaxName): true,
		"": false, "-a": false, "a.b": false, "a b": false, "a*": false, "ä": false, ">": false, "a\n": false, strings.Repeat("x", MaxName+1): false,
	} {
		if got := CheckName("node", name) == nil; got != want {
			t.Errorf("name %q: %v", name, got)
		}
	}
	for id, want := range map[string]bool{"a.b": true, "dispatch.web-0": true, "a..b": false, ".a": false, "a.": false, "..": false, "a/b": false} {
		if got := CheckID(id) == nil; got != want {
			t.Errorf("id %q: %v", id, got)
		}
	}
}

func TestParametersAreOneRequest(t *testing.T) {
	a := Parameters{Definition: "d", Config: json.RawMessage(`{"b": 1, "a": [1.50, "x"]}`), Constraints: map[string]Values{"engine": {"fast"}}}
	b := Parameters{Definition: "d", Config: json.RawMessage(`{"a":[1.50,"x"],"b":1}`), Constraints: map[string]Values{"engine": {"fast"}}, Queueing: QueueAlways, Restart: RestartAbnormal}
	for _, p := range []*Parameters{&a, &b} {
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
	}
	if !a.Same(b) {
		t.Errorf("not the same:\n%s", cmp.Diff(a, b))
	}
	b.NodeExclusive = "x"
	if a.Same(b) {
		t.Error("the same, with another tag")
	}
}

// What a client may ask for fits, with all that the dispatcher adds to it, into a record, an
// order and an answer: one that did not would come up again and again.
func TestParametersFitIntoMessages(t *testing.T) {
	p := Parameters{Definition: "d", Env: map[string]string{"A": strings.Repeat("x", MaxParameters)}}
	if err := p.Check(); err == nil {
		t.Error("an environment of half a MiB is let through")
	}
	p.Env["A"] = strings.Repeat("\x01", MaxParameters/6-100) // six bytes each, in JSON
	d := Definition{Name: "d", Argv: []string{strings.Repeat("\x01", MaxDefinition/6-100)}}
	if err := errors.Join(p.Check(), d.Check()); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(Orders{Assign: []Assignment{{Argv: d.Argv, Env: p.Env}}})
	if err != nil || len(data) > MaxMessage-4096 {
		t.Errorf("orders of %d bytes (%v)", len(data), err)
	}
}

func TestDefinitionFilesStayInside(t *testing.T) {
	hash := strings.Repeat("0", 64)
	for path, want := range map[string]bool{
		"a": true, "bin/tool": true,
		"": false, "/etc/passwd": false, "../x": false, "a/../../x": false, "a/../x": false, ".": false, "..": false, "a//b": false, LogFile: false, ConfigFile: false,
	} {
		d := Definition{Name: "d", Argv: []string{"x"}, Files: []File{{Path: path, SHA256: hash}}}
		if got := d.Check() == nil; got != want {
			t.Errorf("file %q: %v", path, got)
		}
	}
}

func TestOrdersAreSplit(t *testing.T) {
	o := &Orders{Term: 1, Epoch: 2, Forget: []Target{{ID: "f"}}}
	for range 10 {
		o.Assign = append(o.Assign, Assignment{Target: Target{ID: "x"}, Config: make(json.RawMessage, MaxConfig)})
	}
	var got []Assignment
	for _, part := range o.Split() {
		size := 0
		for _, a := range part.Assign {
			size += len(a.Config)
		}
		if size > MaxMessage {
			t.Errorf("a part of %d bytes", size)
		}
		if part.Term != 1 || part.Epoch != 2 {
			t.Error("a part without term or epoch")
		}
		got = append(got, part.Assign...)
	}
	if len(got) != 10 {
		t.Errorf("%d assignments of 10 are left", len(got))
	}
}

// An agent does what orders say: those without a program would bring down its minder, those
// with an odd id lead out of its directory, or make every heartbeat one that is dropped.
func TestOrdersThatNoDispatcherSends(t *testing.T) {
	hash := strings.Repeat("0", 64)
	for orders, want := range map[string]bool{
		`{}`: true,
		`{"welcome":{"slots":4,"heartbeat":"2s"}}`:                                                  true,
		`{"welcome":{"refused":"engine e is not defined"}}`:                                         true,
		`{"assign":[{"id":"p","round":0,"argv":["true"]}]}`:                                         true,
		`{"terminate":[{"id":"p"}],"forget":[{"id":"p"}]}`:                                          true,
		`{"welcome":{"slots":4,"heartbeat":"0s"}}`:                                                  false,
		`{"welcome":{"slots":-1,"heartbeat":"2s"}}`:                                                 false,
		`{"assign":[{"id":"p","round":0,"argv":[]}]}`:                                               false,
		`{"assign":[{"id":"p","round":0,"argv":[""]}]}`:                                             false,
		`{"assign":[{"id":"p","round":-1,"argv":["true"]}]}`:                                        false,
		`{"assign":[{"id":"../p","argv":["true"]}]}`:                                                false,
		`{"assign":[{"id":"p","argv":["true"],"files":[{"path":"../f","sha256":"` + hash + `"}]}]}`: false,
		`{"terminate":[{"id":"../p"}]}`:                                                             false,
		`{"forget":[{"id":"p","round":-1}]}`:                                                        false,
		`{"assign":[{"id":"p","argv":"true"}]}`:                                                     false,
	} {
		if _, err := DecodeOrders([]byte(orders)); (err == nil) != want {
			t.Errorf("orders %s: %v", orders, err)
		}
	}
}

// Every slot of the largest agent has a process with the longest id: all run, or have ended.
func TestHeartbeatsFitIntoMessages(t *testing.T) {
	now := time.Date(2026, 11, 27, 17, 36, 13, 622401094, time.UTC)
	for _, report := range []Report{
		{State: Running, Round: 1000, PID: 4194304, StartedAt: now},
		{State: Terminated, Round: 1000, StartedAt: now, EndedAt: now, ExitStatus: new(143), Signal: "SIGTERM", Reason: "ended by SIGTERM"},
	} {
		h := Heartbeat{Agent: strings.Repeat("a", MaxName), Node: strings.Repeat("n", MaxName), Engine: strings.Repeat("e", MaxName)}
		for i := range MaxSlots {
			report.ID = fmt.Sprintf("%0*d", MaxID, i)
			h.Processes = append(h.Processes, report)
		}
		data, err := h.Encode()
		if err != nil || len(data) > MaxMessage {
			t.Errorf("%v processes make a heartbeat of %d bytes (%v)", report.State, len(data), err)
		}
		back, err := DecodeHeartbeat(data)
		if err != nil || len(back.Processes) != MaxSlots || back.Processes[0].State != report.State {
			t.Errorf("%v processes are read as %d (%v)", report.State, len(back.Processes), err)
		}
	}
}

func TestRequestIDsAreBounded(t *testing.T) {
	for length, want := range map[int]bool{26: true, MaxName: true, MaxName + 1: false} {
		_, err := DecodeRequest([]byte(`{"op":"schedule","id":"` + strings.Repeat("x", length) + `"}`))
		if (err == nil) != want {
			t.Errorf("a request id of %d characters: %v", length, err)
		}
	}
}

func FuzzHeartbeat(f *testing.F) {
	f.Add([]byte(`{"agent":"a","node":"n","engine":"e","epoch":1,"clock":2,"processes":[{"id":"p","round":0,"state":"RUNNING","pid":7}]}`))
	f.Add([]byte(`{"agent":"a","processes":[{"state":"NONSENSE"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := DecodeHeartbeat(data)
		if err != nil {
			if len(err.Error()) > 2*MaxReason {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		for _, r := range h.Processes {
			if CheckID(r.ID) != nil || r.State < Pending || len(r.Reason) > MaxReason+3 {
				t.Errorf("let through: %+v", r)
			}
		}
	})
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"op":"schedule","name":"p","parameters":{"definition":"d","constraints":{"engine":["a","b"],"disk":"ssd"},"config":{"a":1}}}`))
	f.Add([]byte(`{"op":"definition.put","definition":{"name":"d","argv":["x"],"files":[{"path":"../x"}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r Request
		if Decode(data, &r) != nil {
			return
		}
		if r.Definition != nil && r.Definition.Check() == nil {
			for _, file := range r.Definition.Files {
				if strings.Contains(file.Path, "..") && slices.Contains(strings.Split(file.Path, "/"), "..") {
					t.Errorf("path %q leads out", file.Path)
				}
			}
		}
		if p := r.Parameters; p != nil && p.Check() == nil {
			if !p.Same(*p) {
				t.Error("parameters are not the same as themselves")
			}
			again := *p
			if err := again.Check(); err != nil || !again.Same(*p) {
				t.Errorf("checked twice, they differ: %v", err)
			}
		}
	})
}
