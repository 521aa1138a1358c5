package runnertest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/launchplan/launch/runners"
)

func testRunsOnce(t *testing.T, b *bench) {
	script := "echo run >>count; echo done; exit 5"
	for range 2 {
		result, out := b.run(t, sh("once", script))
		wantExit(t, result, 5)
		if out != "done\n" {
			t.Errorf("output = %q, want all of it, also after an attach", out)
		}
	}
	later := b.connect(t)
	result, out := b.runOn(t, later, sh("once", script))
	wantExit(t, result, 5)
	if out != "done\n" {
		t.Errorf("output in a later process = %q", out)
	}
	if result, err := later.Wait(b.ctx, id("once")); err != nil || result.Status != 5 {
		t.Errorf("Wait = %+v, %v; want status 5", result, err)
	}
	if out := b.check(t, "cat count"); out != "run\n" {
		t.Errorf("the program ran %d times", strings.Count(out, "run"))
	}
	// Also where several ask at the same time.
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if result, err := b.host.Run(b.ctx, sh("race", "echo run >>races; exit 6")); err != nil || result.Status != 6 {
				t.Errorf("Run = %+v, %v; want status 6", result, err)
			}
		})
	}
	wg.Wait()
	if out := b.check(t, "cat races"); out != "run\n" {
		t.Errorf("the program ran %d times when asked for at the same time", strings.Count(out, "run"))
	}
}

// begin runs p on the bench's host until it has come up, and returns a function
// that ends the context of Run with cause and returns what Run returned.
func (b *bench) begin(t *testing.T, p *runners.Program) func(cause error) (runners.Result, error) {
	t.Helper()
	b.makeGate(t)
	ctx, cancel := context.WithCancelCause(b.ctx)
	started := make(chan struct{})
	p.Started = sync.OnceFunc(func() { close(started) })
	var result runners.Result
	var err error
	var wg sync.WaitGroup
	wg.Go(func() { result, err = b.host.Run(ctx, p) })
	t.Cleanup(func() { cancel(runners.ErrDetach); wg.Wait() })
	select {
	case <-started:
	case <-b.ctx.Done():
		t.Fatal("Started was not called")
	}
	return func(cause error) (runners.Result, error) {
		if cause != nil {
			cancel(cause)
		}
		wg.Wait()
		return result, err
	}
}

func testDetach(t *testing.T, b *bench) {
	p := sh("long", gate+"echo one; up $$; hold; echo two; exit 4")
	end := b.begin(t, p)
	pid := b.awaitUp(t)
	if _, err := end(runners.ErrDetach); !errors.Is(err, runners.ErrDetach) {
		t.Errorf("Run of a detached program = %v, want ErrDetach", err)
	}
	b.host.Close()
	later := b.connect(t)
	b.host = later
	if state, err := later.Look(b.ctx, p.ID); err != nil || state.Phase != runners.Running || state.PID == 0 {
		t.Errorf("Look = %+v, %v; want it running", state, err)
	}
	if !b.alive(t, pid) {
		t.Error("the program ended with the process that started it")
	}
	var out buffer
	again := sh("long", "echo another; exit 9")
	again.Output = &out
	var wg sync.WaitGroup
	wg.Go(func() {
		if result, err := later.Run(b.ctx, again); err != nil || result.Outcome != runners.Exited || result.Status != 4 {
			t.Errorf("Run = %+v, %v; want status 4", result, err)
		}
	})
	b.release(t)
	wg.Wait()
	if out.String() != "one\ntwo\n" {
		t.Errorf("output after the attach = %q, want it from the first byte on", out.String())
	}
}

func testCancel(t *testing.T, b *bench) {
	for _, c := range []struct{ name, script string }{
		{"polite", gate + "sleep 600 & up \"$$ $!\"; wait"},
		{"stubborn", gate + "trap '' TERM; sh -c 'trap \"\" TERM; while :; do sleep 1; done' & up \"$$ $!\"; while :; do sleep 1; done"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := sh(c.name, c.script)
			p.Stop = runners.Stop{Signal: "SIGTERM", Grace: 500 * time.Millisecond}
			end := b.begin(t, p)
			pids := strings.Fields(b.awaitUp(t))
			result, err := end(errors.New("interrupted"))
			if err != nil {
				t.Fatalf("Run: %v", err)
			}
			wantOutcome(t, result, runners.Stopped)
			for _, pid := range pids {
				if b.alive(t, pid) {
					t.Errorf("process %s of the group is still there", pid)
				}
			}
		})
	}
}

// testCancelled is about a context that has ended before Run knows how the program stands.
func testCancelled(t *testing.T, b *bench) {
	p := sh("long", gate+"up $$; sleep 600")
	end := b.begin(t, p)
	pid := b.awaitUp(t)
	end(runners.ErrDetach)
	b.host.Close()
	b.host = b.connect(t)
	ctx, cancel := context.WithCancelCause(b.ctx)
	cancel(runners.ErrDetach)
	if _, err := b.host.Run(ctx, p); !errors.Is(err, runners.ErrDetach) || !b.alive(t, pid) {
		t.Errorf("Run = %v, want ErrDetach and a program that goes on", err)
	}
	ctx, cancel = context.WithCancelCause(b.ctx)
	cancel(errors.New("interrupted"))
	for _, p := range []*runners.Program{p, sh("new", "sleep 600")} {
		result, err := b.host.Run(ctx, p)
		if err != nil || result.Outcome != runners.Stopped {
			t.Errorf("Run %s = %+v, %v; want stopped", p.ID, result, err)
		}
	}
	if b.alive(t, pid) {
		t.Error("the program that ran before goes on")
	}
}

// testFrozen is about a program that was stopped by SIGSTOP: it is woken to take its stop signal.
func testFrozen(t *testing.T, b *bench) {
	p := sh("frozen", gate+"trap 'echo asked; exit 0' TERM; sleep 600 & up $$; wait")
	var out buffer
	p.Output = &out
	end := b.begin(t, p)
	b.check(t, `kill -STOP "$1"`, b.awaitUp(t))
	result, err := end(errors.New("interrupted"))
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	wantOutcome(t, result, runners.Stopped)
	if out.String() != "asked\n" {
		t.Errorf("output = %q, want a word that it was asked", out.String())
	}
}

func testTimeout(t *testing.T, b *bench) {
	p := sh("slow", "echo begun; sleep 600 & echo $! >pid; wait")
	p.Timeout = time.Second
	p.Stop.Grace = 500 * time.Millisecond
	result, out := b.run(t, p)
	wantOutcome(t, result, runners.TimedOut)
	if out != "begun\n" {
		t.Errorf("output = %q", out)
	}
	if b.alive(t, strings.TrimSpace(b.check(t, "cat pid"))) {
		t.Error("a process of the group outlived the timeout")
	}
	// It holds when nobody is there to enforce it.
	p = sh("alone", gate+"up $$; sleep 600")
	p.Timeout = 1500 * time.Millisecond
	p.Stop.Grace = 500 * time.Millisecond
	end := b.begin(t, p)
	pid := b.awaitUp(t)
	end(runners.ErrDetach)
	b.host.Close()
	b.host = b.connect(t)
	result, err := b.host.Wait(b.ctx, p.ID)
	if err != nil {
		t.Fatalf("Wait: %v", err)
	}
	wantOutcome(t, result, runners.TimedOut)
	if b.alive(t, pid) {
		t.Error("the program outlived its timeout")
	}
}

func testProcess(t *testing.T, b *bench) {
	b.makeGate(t)
	p := sh("process", gate+"trap 'echo bye; exit 0' TERM; echo hello; up $$; while :; do sleep 600 & wait; done")
	p.Kind = runners.Process
	for range 2 {
		if err := b.host.Start(b.ctx, p); err != nil {
			t.Fatalf("Start: %v", err)
		}
	}
	pid := b.awaitUp(t)
	b.host.Close()
	b.host = b.connect(t)
	if !b.alive(t, pid) {
		t.Fatal("the process ended with launch")
	}
	state, err := b.host.Look(b.ctx, p.ID)
	if err != nil || state.Phase != runners.Running {
		t.Errorf("Look = %+v, %v; want it running", state, err)
	}
	if out, err := b.host.Output(b.ctx, p.ID, 0, 100); err != nil || string(out) != "hello\n" {
		t.Errorf("Output = %q, %v", out, err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if result, err := b.host.Wait(b.ctx, p.ID); err != nil || result.Outcome != runners.Stopped {
			t.Errorf("Wait = %+v, %v; want stopped", result, err)
		}
	})
	for range 2 { // the second finds nothing to end
		if err := b.host.Stop(b.ctx, p.ID, quick); err != nil {
			t.Errorf("Stop: %v", err)
		}
	}
	wg.Wait()
	if b.alive(t, pid) {
		t.Error("the process is alive after Stop")
	}
	if out, err := b.host.Output(b.ctx, p.ID, -4, 100); err != nil || string(out) != "bye\n" {
		t.Errorf("Output = %q, %v; want its last word", out, err)
	}
	if err := b.host.Stop(b.ctx, id("never"), quick); err != nil {
		t.Errorf("Stop of a program that never was: %v", err)
	}
}

func testGroup(t *testing.T, b *bench) {
	// A daemon that a boot program leaves behind lives until Stop, and does not
	// keep Run waiting though it holds the output open.
	result, out := b.run(t, sh("boot", "sleep 600 & echo $!"))
	wantExit(t, result, 0)
	if result.Emptied {
		t.Error("its group is told to be empty, which has the daemon")
	}
	pid := strings.TrimSpace(out)
	if !b.alive(t, pid) {
		t.Error("the daemon did not outlive its boot program")
	}
	if err := b.host.Stop(b.ctx, id("boot"), quick); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if b.alive(t, pid) {
		t.Error("the daemon is alive after Stop")
	}
	if state, err := b.host.Look(b.ctx, id("boot")); err != nil || state.Result.Outcome != runners.Exited {
		t.Errorf("Look = %+v, %v; want it ended well, as before Stop", state, err)
	}
	// That of a program that failed goes with it.
	result, out = b.run(t, sh("failed", "sleep 600 & echo $!; exit 3"))
	wantExit(t, result, 3)
	if b.alive(t, strings.TrimSpace(out)) {
		t.Error("a failed program left its group behind")
	}
}

func testCheck(t *testing.T, b *bench) {
	result, out := b.run(t, func() *runners.Program { p := sh("ready-0-1", "echo no; exit 3"); p.Kind = runners.Check; return p }())
	wantExit(t, result, 3)
	if out != "no\n" {
		t.Errorf("output = %q", out)
	}
	p := sh("ready-0-2", gate+"up $$; sleep 600")
	p.Kind = runners.Check
	end := b.begin(t, p)
	pid := b.awaitUp(t)
	result, err := end(errors.New("interrupted"))
	if err != nil || result.Outcome != runners.Stopped {
		t.Errorf("Run of an interrupted check = %+v, %v; want stopped", result, err)
	}
	if b.alive(t, pid) {
		t.Error("the check is alive")
	}
	if out := b.check(t, "ls -A . .launch 2>/dev/null | grep ready; true"); out != "" {
		t.Errorf("checks left files: %q", out)
	}
	p = sh("ready-0-3", "sleep 600")
	p.Kind, p.Timeout = runners.Check, 100*time.Millisecond
	result, _ = b.run(t, p)
	wantOutcome(t, result, runners.TimedOut)
}
