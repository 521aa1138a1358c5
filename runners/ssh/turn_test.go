package ssh

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/launchplan/launch/internal/sshtest"
	"github.com/launchplan/launch/runners"
)

// A deadLaunch is one whose last requests arrive at the host, and that takes no answers.
type deadLaunch struct {
	*machine
	t    *testing.T
	hand *hand
}

func dead(t *testing.T, h runners.Host) deadLaunch {
	t.Helper()
	m := h.(*host).m
	hand, err := m.link.acquire(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return deadLaunch{machine: m, t: t, hand: hand}
}

// asks sends a request and returns the first word of the answer.
func (d deadLaunch) asks(req request) string {
	d.t.Helper()
	ans, err := d.hand.do(d.t.Context(), req)
	if err != nil || len(ans.words) == 0 {
		d.t.Errorf("answer %q, %v", ans.words, err)
		return ""
	}
	return ans.words[0]
}

func (d deadLaunch) start(p *runners.Program) request {
	d.t.Helper()
	pieces, err := d.startPieces(p, "", true)
	if err != nil {
		d.t.Fatal(err)
	}
	return request{pieces: pieces}
}

// TestLateRequests lets what a dead launch asked for arrive when the next one works on the run, or has ended it.
func TestLateRequests(t *testing.T) {
	for _, removed := range []bool{false, true} {
		name := "taken over"
		if removed {
			name = "removed"
		}
		t.Run(name, func(t *testing.T) {
			s := sshtest.Start(t, sshtest.Options{})
			env := envFor(t)
			first := dead(t, connect(t, s, env, "127.0.0.1"))
			env.Turn = "second"
			second := connect(t, s, env, "127.0.0.1")
			gate := hold(t)
			running := program("boot-1", gate.script)
			if err := second.Start(t.Context(), running); err != nil {
				t.Fatal(err)
			}
			gate.await(t)
			if removed {
				if err := second.Remove(t.Context(), ""); err != nil {
					t.Fatal(err)
				}
			}
			mark := filepath.Join(t.TempDir(), "mark")
			late := program("boot-2", "echo ran >"+mark)
			late.Payload = &runners.Payload{Hash: "abc", Entry: "run", Interpreter: []string{"/bin/sh"}, Files: []runners.File{{Path: "in/run", Mode: 0o700, Content: []byte("x")}}}
			late.Files = []runners.File{{Path: "in/file", Mode: 0o644, Content: []byte("content\n")}}
			check := program("ready-1", "echo ran >"+mark)
			check.Kind = runners.Check
			for what, req := range map[string]request{
				"a start": first.start(late),
				"a check": first.start(check),
				"a stop":  ask("stop", first.prefix(running.ID, ""), "stopped", "KILL", "0"),
				"an end":  ask("erase", first.root("")+"/.programs", first.root("")),
				"a user":  ask("as", first.records("other", ""), "boot-1", "nobody"),
			} {
				if word := first.asks(req); word != "superseded" {
					t.Errorf("%s was answered with %q", what, word)
				}
			}
			if _, err := os.Stat(mark); err == nil {
				t.Error("a program of the dead launch ran")
			}
			if removed {
				if _, err := os.Stat(first.root("")); err == nil {
					t.Error("the dead launch made the folder of the run again")
				}
				return
			}
			gate.release(t)
			if res, err := second.Wait(t.Context(), running.ID); err != nil || res.Status != 7 {
				t.Errorf("the program of the living launch ended as %+v, %v", res, err)
			}
		})
	}
}

// TestTurnTakenDuringAStart has the next launch come when a start is halfway: it must find the program, or there must be none.
func TestTurnTakenDuringAStart(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	env := envFor(t)
	first := dead(t, connect(t, s, env, "127.0.0.1"))
	gate := hold(t)
	// clock is what the host does last before it records the program.
	slow := piece{line: `clock() { echo up >` + gate.up + `; read -r word <` + gate.hold + `; now=0; }`}
	mark := filepath.Join(t.TempDir(), "mark")
	req := first.start(program("boot-1", "echo ran >"+mark))
	req.pieces = append([]piece{slow}, req.pieces...)
	answered := make(chan string, 1)
	go func() { answered <- first.asks(req) }()
	gate.await(t)
	env.Turn = "second"
	second := connect(t, s, env, "127.0.0.1")
	gate.release(t)
	if word := <-answered; word != "superseded" {
		t.Errorf("the start was answered with %q", word)
	}
	if state, err := second.Look(t.Context(), runners.ID{Service: "web", Name: "boot-1"}); err != nil || state.Phase != runners.NotStarted {
		t.Errorf("Look = %+v, %v; want none", state, err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the program ran")
	}
}

// TestTurnTakenBack: the last session of a dead launch may greet the host after us, and people remove folders.
func TestTurnTakenBack(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	env := envFor(t)
	living := connect(t, s, env, "127.0.0.1")
	env.Turn = "late"
	connect(t, s, env, "127.0.0.1")
	run := func(name string) {
		t.Helper()
		if res, err := living.Run(t.Context(), program(name, "exit 3")); err != nil || res.Status != 3 {
			t.Errorf("Run = %+v, %v", res, err)
		}
	}
	run("boot-1")
	if err := os.RemoveAll(living.(*host).m.root("")); err != nil {
		t.Fatal(err)
	}
	run("boot-2")
}

// TestLookersTakeNoTurn: `launch status` runs checks beside a launch that works on the run.
func TestLookersTakeNoTurn(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	env := envFor(t)
	first := dead(t, connect(t, s, env, "127.0.0.1"))
	env.Turn = ""
	looker := connect(t, s, env, "127.0.0.1")
	check := program("ready-1", "exit 4")
	check.Kind = runners.Check
	if res, err := looker.Run(context.WithoutCancel(t.Context()), check); err != nil || res.Status != 4 {
		t.Errorf("Run = %+v, %v", res, err)
	}
	if word := first.asks(first.start(program("boot-1", "true"))); word != "started" {
		t.Errorf("the start was answered with %q", word)
	}
}
