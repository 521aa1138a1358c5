package ssh

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/launchplan/launch/internal/sshtest"
	"github.com/launchplan/launch/runners"
)

// A lifeline is a pipe that processes on the host hold: it ends with the last of them.
type lifeline struct {
	path  string
	ended chan error
}

func lifelineFor(t testing.TB) lifeline {
	l := lifeline{path: filepath.Join(t.TempDir(), "lifeline"), ended: make(chan error, 1)}
	if err := syscall.Mkfifo(l.path, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() { _, err := os.ReadFile(l.path); l.ended <- err }()
	return l
}

func (l lifeline) wait(t testing.TB) {
	t.Helper()
	if err := <-l.ended; err != nil {
		t.Fatal(err)
	}
}

// TestTimeoutWithoutLaunch: nobody is connected when a program's time is over. Its host ends it, and tells so whoever comes then.
func TestTimeoutWithoutLaunch(t *testing.T) {
	for _, c := range []struct {
		name, shell, script string
		output              string
	}{
		{"polite", "", "sleep 60 & wait", ""},
		{"stubborn", "busybox", "trap '' TERM; sleep 60", ""},
		{"well-mannered", "bash", "trap 'echo asked; exit 0' TERM; sleep 60 & wait", "asked\n"},
		{"with a stubborn child", "", "trap 'exit 0' TERM; (trap '' TERM; exec sleep 60) & wait", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := sshtest.Start(t, withShell(t, c.shell))
			env := envFor(t)
			h := connect(t, s, env, "127.0.0.1")
			gate, life := hold(t), lifelineFor(t)
			p := program("boot-1", "exec 9>"+life.path+"; echo up >"+gate.up+"; "+c.script)
			p.Timeout, p.Stop.Grace = time.Second, 100*time.Millisecond
			if err := h.Start(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			gate.await(t)
			s.Stop()
			life.wait(t)
			s.Again()
			var out bytes.Buffer
			p.Output = &out
			res, err := connect(t, s, env, "127.0.0.1").Run(t.Context(), p)
			if err != nil || res.Outcome != runners.TimedOut || out.String() != c.output {
				t.Errorf("Run = %+v, %v, with output %q; want it timed out, with output %q", res, err, out.String(), c.output)
			}
		})
	}
}

// TestTimeoutWithoutWrapper: the process that waits for a program was killed, and launch is not there.
func TestTimeoutWithoutWrapper(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	env := envFor(t)
	h := connect(t, s, env, "127.0.0.1")
	gate, life := hold(t), lifelineFor(t)
	p := program("boot-1", "exec 9>"+life.path+"; echo up >"+gate.up+"; sleep 60")
	p.Timeout = time.Second
	if err := h.Start(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	gate.await(t)
	kill(t, syscall.SIGKILL, wrapperOf(t, h, p.ID))
	s.Stop()
	life.wait(t)
	s.Again()
	if res, err := connect(t, s, env, "127.0.0.1").Wait(t.Context(), p.ID); err != nil || res.Outcome != runners.TimedOut {
		t.Errorf("Wait = %+v, %v; want it timed out", res, err)
	}
}

// TestTimeoutAsksOnce: launch and the host both see to a timeout, but a second signal means more than the first to many programs.
func TestTimeoutAsksOnce(t *testing.T) {
	h := connect(t, sshtest.Start(t, sshtest.Options{}), envFor(t), "127.0.0.1")
	p := program("boot-1", "trap 'echo asked' TERM; while :; do sleep 60 & wait; done")
	p.Timeout = time.Second
	var out bytes.Buffer
	p.Output = &out
	res, err := h.Run(t.Context(), p)
	if err != nil || res.Outcome != runners.TimedOut || out.String() != "asked\n" {
		t.Errorf("Run = %+v, %v, with output %q; want it timed out, asked to end once", res, err, out.String())
	}
}

// TestNothingIsLeftOfAListener: what waits on the host for a program's end does so for a launch.
func TestNothingIsLeftOfAListener(t *testing.T) {
	h := connect(t, sshtest.Start(t, sshtest.Options{}), envFor(t), "127.0.0.1")
	gate, life := hold(t), lifelineFor(t)
	p := program("boot-1", gate.script)
	if err := h.Start(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	gate.await(t)
	defer gate.release(t)
	first := dead(t, h)
	req := ask("attach", first.prefix(p.ID, ""), p.ID.String())
	req.pieces = append([]piece{{line: "exec 9>" + life.path}}, req.pieces...)
	if word := first.asks(req); word != "found" {
		t.Fatalf("the request was answered with %q", word)
	}
	first.hand.close()
	life.wait(t)
}

// TestNothingIsLeftOfATimeout: what waits for a program's timeout goes when the program ends before, however that comes.
func TestNothingIsLeftOfATimeout(t *testing.T) {
	ended := func(_ runners.Host, gate held) error { return os.WriteFile(gate.hold, []byte("go\n"), 0o600) }
	stopped := func(h runners.Host, _ held) error {
		return h.Stop(context.Background(), program("boot-1", "").ID, runners.Stop{Signal: "SIGTERM"})
	}
	removed := func(h runners.Host, _ held) error { return h.Remove(context.Background(), "") }
	forgotten := func(h runners.Host, gate held) error {
		return errors.Join(os.RemoveAll(filepath.Dir(h.WorkDir("web", ""))), ended(h, gate))
	}
	for _, c := range []struct {
		name, shell string
		end         func(runners.Host, held) error
	}{
		{"ended", "", ended},
		{"ended on busybox", "busybox", ended},
		{"ended on bash", "bash", ended},
		{"stopped", "", stopped},
		{"removed", "", removed},
		{"forgotten", "", forgotten},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := sshtest.Start(t, withShell(t, c.shell))
			h := connect(t, s, envFor(t), "127.0.0.1")
			gate, life := hold(t), lifelineFor(t)
			first := dead(t, h)
			p := program("boot-1", gate.script)
			p.Timeout = time.Hour
			req := first.start(p)
			req.pieces = append([]piece{{line: "exec 9>" + life.path}}, req.pieces...)
			if word := first.asks(req); word != "started" {
				t.Fatalf("the start was answered with %q", word)
			}
			gate.await(t)
			if err := c.end(h, gate); err != nil {
				t.Fatal(err)
			}
			first.hand.close()
			life.wait(t)
		})
	}
}
