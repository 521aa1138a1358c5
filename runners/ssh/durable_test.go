package ssh

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/launchplan/launch/internal/sshtest"
	"github.com/launchplan/launch/runners"
)

// A held program tells that it is up, and goes on when the test lets it: both by pipes on the host.
type held struct {
	up, hold string
	script   string
}

func hold(t testing.TB) held {
	dir := t.TempDir()
	h := held{up: filepath.Join(dir, "up"), hold: filepath.Join(dir, "hold")}
	for _, pipe := range []string{h.up, h.hold} {
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.script = "echo begun; echo $$ >" + h.up + "; read -r word <" + h.hold + "; echo ended; exit 7"
	return h
}

func (h held) await(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile(h.up)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

func (h held) release(t testing.TB) {
	t.Helper()
	if err := os.WriteFile(h.hold, []byte("go\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestProgramOutlivesTheConnection disturbs the connection while a program runs:
// Run must return its true status and complete output nevertheless.
func TestProgramOutlivesTheConnection(t *testing.T) {
	for _, c := range []struct {
		name    string
		disturb func(*sshtest.Server)
	}{
		{"cut", func(s *sshtest.Server) { s.Cut() }},
		{"restarted", func(s *sshtest.Server) { s.Restart() }},
		{"cut twice", func(s *sshtest.Server) { s.Cut(); s.Cut(); s.Restart() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := sshtest.Start(t, sshtest.Options{})
			h := connect(t, s, envFor(t), "127.0.0.1")
			gate := hold(t)
			p := program("boot-1", gate.script)
			var out bytes.Buffer
			p.Output = &out
			var wg sync.WaitGroup
			wg.Go(func() {
				res, err := h.Run(t.Context(), p)
				if err != nil || res.Outcome != runners.Exited || res.Status != 7 {
					t.Errorf("Run = %+v, %v; want status 7", res, err)
				}
			})
			gate.await(t)
			c.disturb(s)
			gate.release(t)
			wg.Wait()
			if out.String() != "begun\nended\n" {
				t.Errorf("output = %q", out.String())
			}
		})
	}
}

// TestEndDuringTheCut lets a program end while nobody is connected.
func TestEndDuringTheCut(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	h := connect(t, s, envFor(t), "127.0.0.1")
	gate := hold(t)
	done := filepath.Join(t.TempDir(), "done")
	if err := syscall.Mkfifo(done, 0o600); err != nil {
		t.Fatal(err)
	}
	p := program("boot-1", strings.Replace(gate.script, "exit 7", "echo x >"+done+"; exit 7", 1))
	var out bytes.Buffer
	p.Output = &out
	var wg sync.WaitGroup
	wg.Go(func() {
		if res, err := h.Run(t.Context(), p); err != nil || res.Status != 7 {
			t.Errorf("Run = %+v, %v; want status 7", res, err)
		}
	})
	gate.await(t)
	s.Stop()
	gate.release(t)
	if _, err := os.ReadFile(done); err != nil {
		t.Fatal(err)
	}
	s.Again()
	wg.Wait()
	if out.String() != "begun\nended\n" {
		t.Errorf("output = %q", out.String())
	}
}

// hasty is how soon a host counts as away in tests that wait for it: as soon as a busy
// machine can still tell one that is away from one that is slow.
var hasty = Config{
	Keepalive:      Duration(500 * time.Millisecond),
	ConnectTimeout: Duration(2 * time.Second), // a key exchange beside other tests
	Patience:       Duration(3 * time.Second),
}

// TestFrozenHost freezes sshd for longer than the keepalive waits, but for less than the patience.
func TestFrozenHost(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	c := configFor(s)
	c.Keepalive, c.ConnectTimeout = hasty.Keepalive, hasty.ConnectTimeout
	h := connectWith(t, c, envFor(t), "127.0.0.1")
	gate := hold(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		if res, err := h.Run(t.Context(), program("boot-1", gate.script)); err != nil || res.Status != 7 {
			t.Errorf("Run = %+v, %v; want status 7", res, err)
		}
	})
	gate.await(t)
	l := h.(*host).m.link
	s.Suspend()
	<-l.gone // the keepalive has noticed
	s.Resume()
	gate.release(t)
	wg.Wait()
}

// TestHostThatStaysAway is an error within the patience, not a hang, for whatever is asked.
func TestHostThatStaysAway(t *testing.T) {
	for _, c := range []struct {
		name  string
		leave func(*sshtest.Server)
	}{
		{"vanished", func(s *sshtest.Server) { s.Stop() }},
		{"frozen", func(s *sshtest.Server) { s.Suspend() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := sshtest.Start(t, sshtest.Options{})
			config := configFor(s)
			config.Keepalive, config.ConnectTimeout, config.Patience = hasty.Keepalive, hasty.ConnectTimeout, hasty.Patience
			h := connectWith(t, config, envFor(t), "127.0.0.1")
			gate := hold(t)
			ctx := t.Context()
			var wg sync.WaitGroup
			unreachable := func(what string, err error) {
				if _, ok := errors.AsType[*runners.UnreachableError](err); !ok || !strings.Contains(err.Error(), "127.0.0.1") {
					t.Errorf("%s: %v, want an UnreachableError that names the host", what, err)
				}
			}
			wg.Go(func() { _, err := h.Run(ctx, program("boot-1", gate.script)); unreachable("Run", err) })
			gate.await(t)
			c.leave(s)
			wg.Go(func() { _, err := h.Look(ctx, program("boot-1", "").ID); unreachable("Look", err) })
			wg.Go(func() { unreachable("Remove", h.Remove(ctx, "web")) })
			wg.Go(func() { unreachable("Stop", h.Stop(ctx, program("boot-1", "").ID, runners.Stop{})) })
			wg.Go(func() { _, err := h.ReadFile(ctx, "web", "", "x", 10); unreachable("ReadFile", err) })
			wg.Wait()
			gate.release(t)
		})
	}
}

// TestLaterLaunch is what a launch finds that comes after one which was killed:
// here its connection ends without any good-bye, and another Runner takes over.
func TestLaterLaunch(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	env := envFor(t)
	h := connect(t, s, env, "127.0.0.1")
	gate := hold(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { h.Run(ctx, program("boot-1", gate.script)) })
	gate.await(t)
	h.(*host).m.link.conn.Close()
	cancel(runners.ErrDetach)
	wg.Wait()
	later := connect(t, s, env, "127.0.0.1")
	var out bytes.Buffer
	again := program("boot-1", "exit 99")
	again.Output = &out
	wg.Go(func() {
		if res, err := later.Run(t.Context(), again); err != nil || res.Status != 7 {
			t.Errorf("Run = %+v, %v; want status 7", res, err)
		}
	})
	gate.release(t)
	wg.Wait()
	if out.String() != "begun\nended\n" {
		t.Errorf("output = %q", out.String())
	}
}

// TestCheckEndsWithLaunch: nobody waits for a check any more once the connection is gone.
func TestCheckEndsWithLaunch(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	h := connect(t, s, envFor(t), "127.0.0.1")
	dir := t.TempDir()
	up, last := filepath.Join(dir, "up"), filepath.Join(dir, "last")
	for _, pipe := range []string{up, last} {
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The pipe "last" has an end once nobody holds it open for writing.
	p := program("ready-0-1", "exec 9>"+last+"; echo up >"+up+"; sleep 600")
	p.Kind = runners.Check
	ctx, cancel := context.WithCancelCause(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { h.Run(ctx, p) })
	reader := make(chan error, 1)
	go func() { _, err := os.ReadFile(last); reader <- err }()
	if _, err := os.ReadFile(up); err != nil {
		t.Fatal(err)
	}
	cancel(runners.ErrDetach)
	wg.Wait()
	h.(*host).m.link.conn.Close()
	if err := <-reader; err != nil {
		t.Error(err)
	}
}

// kill sends a signal to the process whose pid is in text.
func kill(t testing.TB, signal syscall.Signal, text string) {
	t.Helper()
	if err := syscall.Kill(pidOf(t, text), signal); err != nil {
		t.Fatal(err)
	}
}

// killGroup ends the process group whose number is in text.
func killGroup(t testing.TB, text string) {
	t.Helper()
	if err := syscall.Kill(-pidOf(t, text), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func pidOf(t testing.TB, text string) int {
	t.Helper()
	pid, err := strconv.Atoi(text)
	if err != nil || pid < 2 {
		t.Fatalf("%q is not the pid of a program", text)
	}
	return pid
}

// wrapperOf is the pid of the process that waits for a program.
func wrapperOf(t testing.TB, h runners.Host, id runners.ID) string {
	t.Helper()
	data, err := os.ReadFile(h.(*host).m.prefix(id, "") + "=began")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(data))[3]
}

// TestFrozenWrapper: whoever freezes a program may do so to the process that waits for it, too.
func TestFrozenWrapper(t *testing.T) {
	h := connect(t, sshtest.Start(t, sshtest.Options{}), envFor(t), "127.0.0.1")
	gate := hold(t)
	p := program("boot-1", gate.script)
	if err := h.Start(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	gate.await(t)
	kill(t, syscall.SIGSTOP, wrapperOf(t, h, p.ID))
	ctx, cancel := contextFor(t, 30)
	defer cancel()
	if err := h.Stop(ctx, p.ID, p.Stop); err != nil {
		t.Error(err)
	}
	if state, err := h.Look(t.Context(), p.ID); err != nil || state.Result.Outcome != runners.Stopped {
		t.Errorf("Look = %+v, %v; want it stopped", state, err)
	}
}

// TestLostPrograms: the host was rebooted, the wrapper was killed, the record is garbage.
func TestLostPrograms(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	env := envFor(t)
	h := connect(t, s, env, "127.0.0.1")
	m := h.(*host).m
	start := func(name string) (runners.ID, held, string) {
		t.Helper()
		gate := hold(t)
		p := program(name, gate.script)
		if err := h.Start(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		return p.ID, gate, gate.await(t)
	}
	change := func(file string, edit func([]string) []string) {
		t.Helper()
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(strings.Join(edit(strings.Fields(string(data))), " ")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lost := func(id runners.ID, want string) {
		t.Helper()
		if res, err := h.Wait(t.Context(), id); err != nil || res.Outcome != runners.Lost {
			t.Errorf("Wait %s = %+v, %v; want it lost", id, res, err)
		}
		state, err := h.Look(t.Context(), id)
		if err != nil || state.Phase != runners.Ended || state.Result.Outcome != runners.Lost || !strings.Contains(state.Result.Reason, want) {
			t.Errorf("Look %s = %+v, %v; want it lost, with %q", id, state, err, want)
		}
	}

	id, gate, _ := start("rebooted")
	change(m.prefix(id, "")+"=began", func(f []string) []string { f[5] = "another-boot"; return f })
	lost(id, "rebooted")
	gate.release(t)

	// A pid that was reused: the process is there, but was born at another time.
	id, gate, _ = start("reused")
	change(m.prefix(id, "")+"=began", func(f []string) []string { f[2], f[4] = "1", "1"; return f })
	lost(id, "killed")
	gate.release(t)

	id, _, pid := start("killed")
	kill(t, syscall.SIGKILL, wrapperOf(t, h, id))
	if state, err := h.Look(t.Context(), id); err != nil || state.Phase != runners.Running {
		t.Errorf("Look = %+v, %v; want it running, though nobody waits for it", state, err)
	}
	killGroup(t, pid)
	lost(id, "killed")

	for name, file := range map[string]string{"garbage-began": "began", "garbage-ended": "ended"} {
		id, gate, _ := start(name)
		path := m.prefix(id, "") + "=" + file
		if err := os.WriteFile(path, []byte("\x1b[2J rm -rf / "+strings.Repeat("x", 100_000)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Look(t.Context(), id); err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\x1b") || len(err.Error()) > 1000 {
			t.Errorf("Look with garbage in %s: %v; want an error that names the file", file, err)
		}
		if err := h.Stop(t.Context(), id, runners.Stop{}); file == "began" && (err == nil || !strings.Contains(err.Error(), path)) {
			t.Errorf("Stop with garbage in %s: %v; want an error that names the file", file, err)
		}
		if file == "began" { // else Stop has ended it
			gate.release(t)
		}
	}
}

// TestRemoveKeepsWhatItCannotEnd: a program whose record is damaged cannot be
// ended, so it is not forgotten either.
func TestRemoveKeepsWhatItCannotEnd(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	h := connect(t, s, envFor(t), "127.0.0.1")
	m := h.(*host).m
	gate := hold(t)
	p := program("boot-1", gate.script)
	if err := h.Start(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	pid := gate.await(t)
	file := m.prefix(p.ID, "") + "=began"
	for _, bad := range []string{"launch1 1 1 1 1 - 1 1 TERM 1 1 .", "launch1 01 1 1 1 - 1 1 TERM 1 1 .", "launch1 0 1 1 1 - 1 1 TERM 1 1 .", "launch1 -1 1 1 1 - 1 1 TERM 1 1 .", "x"} {
		write(t, file, bad)
		if err := h.Remove(t.Context(), "web"); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("Remove with %q as record: %v; want an error that names %s", bad, err, file)
		}
	}
	killGroup(t, pid)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := h.Remove(t.Context(), "web"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(h.WorkDir("web", "")); !os.IsNotExist(err) {
		t.Errorf("the work directory is still there: %v", err)
	}
}

// TestRecordRemoved: somebody cleans up while a program runs.
func TestRecordRemoved(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	h := connect(t, s, envFor(t), "127.0.0.1")
	gate := hold(t)
	p := program("boot-1", gate.script)
	var wg sync.WaitGroup
	wg.Go(func() {
		if res, err := h.Run(t.Context(), p); err == nil || !strings.Contains(err.Error(), "=began") {
			t.Errorf("Run = %+v, %v; want an error that names the record", res, err)
		}
	})
	gate.await(t)
	if err := os.RemoveAll(filepath.Dir(h.WorkDir("web", ""))); err != nil {
		t.Fatal(err)
	}
	gate.release(t)
	wg.Wait()
}
