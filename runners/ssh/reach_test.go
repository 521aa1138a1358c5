package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/launchplan/launch/internal/sshtest"
	"github.com/launchplan/launch/runners"
)

func contextFor(t testing.TB, seconds int) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), time.Duration(seconds)*time.Second)
}

// TestPatientConnect waits for a host that is still booting, and says so.
func TestPatientConnect(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	s.Stop()
	env := envFor(t)
	noted := make(chan string, 10)
	env.Note = func(service, text string) { noted <- service + ": " + text }
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := reach(t, configFor(s), env, "127.0.0.1"); err != nil {
			t.Errorf("Connect: %v", err)
		}
	})
	if note := <-noted; !strings.HasPrefix(note, "web: ") || !strings.Contains(note, "connection refused") {
		t.Errorf("the operator is told %q", note)
	}
	s.Again()
	wg.Wait()
	s.Stop()
	ctx, cancel := contextFor(t, 1)
	defer cancel()
	_, err := runnerFor(t, configFor(s), envFor(t)).Connect(ctx, runners.Target{Service: "web", Host: "127.0.0.1"})
	if _, ok := errors.AsType[*runners.UnreachableError](err); !ok || !strings.Contains(err.Error(), "it did not answer in time; the last attempt: connect: connection refused") {
		t.Errorf("Connect to a host that stays away: %v", err)
	}
}

// TestSilentPeers: what accepts connections but is no SSH server, or one that says nothing.
func TestSilentPeers(t *testing.T) {
	for name, speak := range map[string]func(net.Conn){
		"silent":  func(c net.Conn) { io.Copy(io.Discard, c) },
		"web":     func(c net.Conn) { io.WriteString(c, strings.Repeat("HTTP/1.1 400 Bad Request\r\n", 100)) },
		"endless": func(c net.Conn) { io.Copy(c, forever{}) },
		"version": func(c net.Conn) { io.WriteString(c, "SSH-2.0-x\r\n"); io.Copy(io.Discard, c) },
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			defer wg.Wait()
			defer l.Close()
			wg.Go(func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					wg.Go(func() { speak(c); c.Close() })
				}
			})
			_, key := newKey(t)
			file := filepath.Join(t.TempDir(), "none")
			private, _ := newKey(t)
			env := envFor(t)
			env.Environ = append(env.Environ, "SSH_AUTH_SOCK="+startAgent(t, private))
			config := Config{Port: l.Addr().(*net.TCPAddr).Port, HostKey: authorizedKey(key), KnownHostsFile: file, ConnectTimeout: Duration(200 * time.Millisecond)}
			ctx, cancel := contextFor(t, 1)
			defer cancel()
			r := runnerFor(t, config, env)
			if _, err = r.Connect(ctx, runners.Target{Service: "web", Host: "127.0.0.1"}); err == nil {
				t.Error("Connect succeeded")
			}
			r.Close()
		})
	}
}

type forever struct{}

func (forever) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte("x"), len(p))), nil }

// TestCutOffHost: the network drops every packet of an established connection.
func TestCutOffHost(t *testing.T) {
	sshtest.NeedRoot(t)
	ip := sshtest.Need(t, "ip")
	space := fmt.Sprintf("lt%d", os.Getpid())
	network := fmt.Sprintf("10.231.%d", os.Getpid()%250)
	must := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(ip, args...).CombinedOutput(); err != nil {
			sshtest.Missing(t, fmt.Sprintf("a network namespace (ip %s: %s)", strings.Join(args, " "), out))
		}
	}
	must("netns", "add", space)
	t.Cleanup(func() { exec.Command(ip, "netns", "del", space).Run() })
	must("link", "add", space, "type", "veth", "peer", "name", "eth0", "netns", space)
	must("addr", "add", network+".1/24", "dev", space)
	must("link", "set", space, "up")
	must("-n", space, "addr", "add", network+".2/24", "dev", "eth0")
	must("-n", space, "link", "set", "eth0", "up")
	must("-n", space, "link", "set", "lo", "up")
	s := sshtest.Start(t, sshtest.Options{Address: network + ".2", Inside: []string{ip, "netns", "exec", space}})
	config := configFor(s)
	config.Keepalive, config.ConnectTimeout, config.Patience = hasty.Keepalive, hasty.ConnectTimeout, hasty.Patience
	h := connectWith(t, config, envFor(t), network+".2")
	gate := hold(t)
	results := make(chan error, 1)
	go func() { _, err := h.Run(t.Context(), program("boot-1", gate.script)); results <- err }()
	gate.await(t)
	must("-n", space, "route", "add", "blackhole", network+".1/32")
	if err := <-results; !isUnreachable(err) {
		t.Errorf("Run on a host that was cut off: %v", err)
	}
	must("-n", space, "route", "del", "blackhole", network+".1/32")
	go func() {
		res, err := h.Wait(t.Context(), program("boot-1", "").ID)
		if err == nil && res.Status != 7 {
			err = fmt.Errorf("%+v", res)
		}
		results <- err
	}()
	gate.release(t)
	if err := <-results; err != nil {
		t.Errorf("Wait after the network came back: %v; want status 7", err)
	}
}

func isUnreachable(err error) bool {
	_, ok := errors.AsType[*runners.UnreachableError](err)
	return ok
}

// TestFewSessions: servers that allow one or two sessions do, for many programs at a time.
func TestFewSessions(t *testing.T) {
	for _, max := range []int{1, 2} {
		t.Run(fmt.Sprint(max), func(t *testing.T) {
			s := sshtest.Start(t, sshtest.Options{Config: []string{fmt.Sprintf("MaxSessions %d", max)}})
			h := connect(t, s, envFor(t), "127.0.0.1")
			var wg sync.WaitGroup
			for i := range 20 {
				wg.Go(func() { run(t, h, program(fmt.Sprintf("p-%d", i), "echo x")) })
			}
			wg.Wait()
		})
	}
	s := sshtest.Start(t, sshtest.Options{Config: []string{"MaxSessions 0"}})
	ctx, cancel := contextFor(t, 1)
	defer cancel()
	if _, err := runnerFor(t, configFor(s), envFor(t)).Connect(ctx, runners.Target{Service: "web", Host: "127.0.0.1"}); err == nil {
		t.Error("Connect to a host without sessions succeeded")
	}
}

// TestFewLogins: an sshd that admits one login at a time is waited for.
func TestFewLogins(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{Address: "0.0.0.0", Config: []string{"MaxStartups 2:50:4"}})
	r := runnerFor(t, configFor(s), envFor(t))
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			if _, err := r.Connect(t.Context(), runners.Target{Service: "web", Host: fmt.Sprintf("127.0.1.%d", i+1)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestOneSession: many services of one host connect at once and need one session.
func TestOneSession(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	r := runnerFor(t, configFor(s), envFor(t))
	hosts := make([]runners.Host, 50)
	var wg sync.WaitGroup
	for i := range hosts {
		wg.Go(func() {
			var err error
			if hosts[i], err = r.Connect(t.Context(), runners.Target{Service: fmt.Sprint(i), Host: "127.0.0.1"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	l := hosts[0].(*host).m.link
	if l.open != 1 || hosts[49].(*host).m.link != l {
		t.Errorf("%d sessions were opened, want one", l.open)
	}
}

func TestForwardingForbidden(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{Config: []string{"AllowTcpForwarding no"}})
	h := connect(t, s, envFor(t), "127.0.0.1")
	_, err := h.Dial(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", s.Port))
	if err == nil || !strings.Contains(err.Error(), "forbids TCP forwarding") {
		t.Errorf("Dial: %v", err)
	}
}

// TestReboot restarts a host, as far as connections can tell.
func TestReboot(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	config := configFor(s)
	config.RebootCommand = s.RebootCommand()
	h := connectWith(t, config, envFor(t), "127.0.0.1")
	before := h.(*host).m.link
	if err := h.Reboot(t.Context()); err != nil {
		t.Fatalf("Reboot: %v", err)
	}
	if now := h.(*host).m.link; now == before {
		t.Error("the connection is the one from before")
	}
	if got := run(t, h, program("boot-1", "echo up")); got != "up\n" {
		t.Errorf("output = %q", got)
	}
	config.RebootCommand = "echo not today >&2; exit 1"
	h = connectWith(t, config, envFor(t), "127.0.0.1")
	if err := h.Reboot(t.Context()); err == nil || !strings.Contains(err.Error(), "not today") {
		t.Errorf("Reboot by a command that fails: %v", err)
	}
}

// TestNobodyAnswers: a host that never answers is waited for as long as one that was reached before.
func TestNobodyAnswers(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := configFor(s)
	config.Port, config.Patience = ln.Addr().(*net.TCPAddr).Port, Duration(500*time.Millisecond)
	ln.Close() // nobody listens there now
	r, err := New(t.Context(), config, envFor(t))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, err = r.Connect(t.Context(), runners.Target{Service: "web", Host: "127.0.0.1"})
	if !isUnreachable(err) || !strings.Contains(err.Error(), "did not answer for 500ms") || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("Connect to a host that does not answer: %v", err)
	}
}

// TestShell is a shell on a terminal of the given size, in the work directory.
func TestShell(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	h := connect(t, s, envFor(t), "127.0.0.1")
	run(t, h, program("boot-1", "true"))
	if out := shellOn(t, h); !strings.Contains(out, "17 91") || !strings.Contains(out, h.WorkDir("web", "")) || !strings.Contains(out, "terminal") {
		t.Errorf("the shell wrote %q", out)
	}
}

// TestShellWithoutTerminal: commands from a file or a pipe are run without a terminal, and the shell ends with them.
func TestShellWithoutTerminal(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	h := connect(t, s, envFor(t), "127.0.0.1")
	run(t, h, program("boot-1", "true"))
	var out bytes.Buffer
	in := strings.NewReader("test -t 0 && echo terminal\npwd\n")
	if err := h.Shell(t.Context(), "web", runners.TTY{In: in, Out: &out, Err: io.Discard}); err != nil {
		t.Fatalf("Shell: %v", err)
	}
	if want := h.WorkDir("web", "") + "\n"; !strings.HasSuffix(out.String(), want) || strings.Contains(out.String(), "terminal") {
		t.Errorf("the shell wrote %q, want %q", out.String(), want)
	}
}

// shellOn is what a shell on a terminal of 91 columns and 17 rows says of itself.
func shellOn(t *testing.T, h runners.Host) string {
	t.Helper()
	var out bytes.Buffer
	in := strings.NewReader("stty size; pwd; test -t 0 && echo terminal; exit 3\n")
	if err := h.Shell(t.Context(), "web", runners.TTY{In: in, Out: &out, Err: io.Discard, Term: "dumb", Cols: 91, Rows: 17}); err != nil {
		t.Fatalf("Shell: %v", err)
	}
	return out.String()
}

// TestShellOnlySession: where the server allows a single session, a shell gets it, and programs get it after the shell.
func TestShellOnlySession(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{Config: []string{"MaxSessions 1"}})
	h := connect(t, s, envFor(t), "127.0.0.1")
	for i := range 3 {
		run(t, h, program(fmt.Sprintf("boot-%d", i), "true"))
		if out := shellOn(t, h); !strings.Contains(out, "terminal") {
			t.Errorf("the shell wrote %q", out)
		}
	}
	run(t, h, program("boot-4", "true"))
}

// TestWorkRoot: where the home is read-only and /tmp is mounted noexec, another folder serves.
func TestWorkRoot(t *testing.T) {
	sshtest.NeedRoot(t)
	unshare := sshtest.Need(t, "unshare")
	home := t.TempDir()
	root := t.TempDir() // below /tmp, and so noexec there
	for _, c := range []struct {
		name, mounts string
		config       Config
		want         string // the folder; empty: none
	}{
		{"home", ``, Config{}, filepath.Join(home, ".launch")},
		{"read-only home", `mount --bind $H $H && mount -o remount,bind,ro $H`, Config{}, "/var/tmp/launch-"},
		{"noexec home", `mount -t tmpfs -o noexec tmpfs $H`, Config{}, "/var/tmp/launch-"},
		{"configured", ``, Config{WorkRoot: root}, root},
		{"configured, noexec", `mount -t tmpfs -o noexec tmpfs $W`, Config{WorkRoot: root}, filepath.Join(home, ".launch")},
		{"nowhere", `mount --bind $H $H && mount -o remount,bind,ro $H && mount -t tmpfs -o noexec tmpfs /var/tmp && mount -t tmpfs -o ro tmpfs /tmp`, Config{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			options := sshtest.Options{Home: home}
			if c.mounts != "" {
				// sshd needs its own folder where /tmp is hidden.
				script := "set -e; H=" + home + " W=" + root + "; keep=$1; shift; mount -t tmpfs tmpfs /mnt; mkdir /mnt/d; mount --bind \"$keep\" /mnt/d; " +
					c.mounts + "; if [ ! -d \"$keep\" ]; then mount -o remount,rw /tmp; mkdir -p \"$keep\" $H; mount --bind /mnt/d \"$keep\"; mount -o remount,ro /tmp; fi; exec \"$@\""
				options.Inside = []string{unshare, "-m", "sh", "-c", script, "sh", "KEEP"}
			}
			s := sshtest.Start(t, options)
			config := configFor(s)
			config.WorkRoot = c.config.WorkRoot
			h, err := runnerFor(t, config, envFor(t)).Connect(t.Context(), runners.Target{Service: "web", Host: "127.0.0.1"})
			if c.want == "" {
				if err == nil || !strings.Contains(err.Error(), "work_root") || !strings.Contains(err.Error(), "noexec") {
					t.Errorf("Connect: %v; want an error that says why and what to set", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if dir := h.WorkDir("web", ""); !strings.HasPrefix(dir, c.want) {
				t.Errorf("the work directory is %s, want it below %s", dir, c.want)
			}
			p := program("boot-1", "cd /; exit 0")
			p.Argv, p.Payload = nil, &runners.Payload{Hash: "abc", Entry: "run.sh", Files: []runners.File{{Path: "run.sh", Mode: 0o755, Content: []byte("#!/bin/sh\necho ran\n")}}}
			if got := run(t, h, p); got != "ran\n" {
				t.Errorf("output = %q", got)
			}
			if err := h.Remove(t.Context(), ""); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSudo: what is wrong with becoming another user is said in words.
func TestSudo(t *testing.T) {
	sshtest.NeedRoot(t)
	sshtest.Need(t, "sudo")
	s := sshtest.Start(t, sshtest.Options{})
	h := connect(t, s, envFor(t), "127.0.0.1")
	for user, want := range map[string]string{"no-such-user": "no-such-user", "a; rm -rf x": "cannot be a user's name", "-u": "cannot be a user's name"} {
		p := program("boot-1", "true")
		p.User = user
		_, err := h.Run(t.Context(), p)
		if start, ok := errors.AsType[*runners.StartError](err); !ok || !strings.Contains(start.Error(), want) {
			t.Errorf("Run as %q: %v; want a StartError with %q", user, err, want)
		}
	}
	if out := run(t, h, program("boot-2", "id -un")); out != s.User+"\n" {
		t.Errorf("output = %q", out)
	}
}
