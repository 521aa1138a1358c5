package ssh

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/launchplan/launch/internal/sshtest"
	"github.com/launchplan/launch/runners"
)

// program is a durable program of sh.
func program(name, script string) *runners.Program {
	return &runners.Program{
		ID: runners.ID{Service: "web", Name: name}, Kind: runners.Durable,
		Argv: []string{"sh", "-c", script},
		Stop: runners.Stop{Signal: "SIGTERM", Grace: 2 * time.Second},
	}
}

// run runs p, which must end with status 0, and returns what it wrote.
func run(t testing.TB, h runners.Host, p *runners.Program) string {
	t.Helper()
	var out bytes.Buffer
	p.Output = &out
	res, err := h.Run(t.Context(), p)
	if err != nil || res.Outcome != runners.Exited || res.Status != 0 {
		t.Fatalf("Run %s = %+v, %v; it wrote %q", p.ID, res, err, out.String())
	}
	return out.String()
}

// everyByte is a value that shells may mangle: all bytes but NUL.
func everyByte() string {
	var b strings.Builder
	for i := 1; i < 256; i++ {
		b.WriteByte(byte(i))
	}
	return b.String() + "\n\n'$(exit 3)`exit 4`\\"
}

// TestShells makes the same round through hosts with other shells: what /bin/sh
// is there, and what the user's login shell is.
func TestShells(t *testing.T) {
	noisy := filepath.Join(t.TempDir(), "noisy")
	if err := os.WriteFile(noisy, []byte("#!/bin/sh\necho \"** Authorized use only **\"; printf 'no newline'; echo oops >&2\nexec /bin/sh \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, needs string
		options     sshtest.Options
	}{
		{"busybox", "busybox", withShell(t, "busybox")},
		{"bash", "bash", sshtest.Options{Sh: "bash", Env: []string{"LC_ALL=C.UTF-8"}}},
		{"mksh", "mksh", withShell(t, "mksh")},
		{"ksh93", "ksh93", withShell(t, "ksh93")},
		{"fish", "fish", sshtest.Options{Shell: "fish"}},
		{"tcsh", "tcsh", sshtest.Options{Shell: "tcsh"}},
		{"banner", "sh", sshtest.Options{Shell: noisy}},
	} {
		t.Run(c.name, func(t *testing.T) {
			shell := sshtest.Need(t, c.needs)
			if c.name != "banner" && c.options.Shell != "" {
				c.options.Shell = shell
				c.options.Env = append(c.options.Env, "SHELL="+shell)
			}
			h := connect(t, sshtest.Start(t, c.options), envFor(t), "127.0.0.1")
			t.Cleanup(func() {
				if err := h.Remove(context.WithoutCancel(t.Context()), ""); err != nil {
					t.Error(err)
				}
			})
			round(t, h)
			if out := shellOn(t, h); !strings.Contains(out, "17 91") || !strings.Contains(out, h.WorkDir("web", "")) {
				t.Errorf("a shell on a terminal wrote %q", out)
			}
		})
	}
}

// withShell are the options of a host whose /bin/sh is that shell; empty: this machine's.
func withShell(t *testing.T, name string) sshtest.Options {
	switch name {
	case "":
		return sshtest.Options{}
	case "busybox":
		dir := applets(t, sshtest.Need(t, name))
		return sshtest.Options{Path: dir, Sh: filepath.Join(dir, "sh")}
	}
	return sshtest.Options{Sh: sshtest.Need(t, name)}
}

// applets is a folder with busybox's commands and nothing else.
func applets(t *testing.T, busybox string) string {
	dir := t.TempDir()
	if out, err := exec.Command(busybox, "--install", "-s", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

func round(t *testing.T, h runners.Host) {
	ctx := t.Context()
	p := program("boot-1", `printf '%s|%s|' "$ODD" "$1"; cat sub/data; printf made >.launch/exports; exit 0`)
	p.Env = map[string]string{"ODD": everyByte()}
	p.Argv = append(p.Argv, "sh", everyByte())
	data := []byte("\x00\xff\r\n" + strings.Repeat("x\x00", 70_000))
	p.Files = []runners.File{{Path: "sub/data", Mode: 0o644, Content: data}, {Path: ".launch/none", Mode: 0o600}}
	p.Collect = ".launch/exports"
	var out bytes.Buffer
	p.Output = &out
	res, err := h.Run(ctx, p)
	if err != nil || res.Status != 0 || string(res.Collected) != "made" {
		t.Fatalf("Run = %+v, %v", res, err)
	}
	if want := everyByte() + "|" + everyByte() + "|" + string(data); out.String() != want {
		t.Errorf("what a program got differs from what was sent: %d bytes, want %d; %.300q", out.Len(), len(want), out.String())
	}
	// What the shell that starts a program does about signals is not the program's.
	ignored := run(t, h, program("signals", "while read -r name mask; do case $name in SigIgn:) echo $mask; esac; done </proc/self/status"))
	if mask, err := strconv.ParseUint(strings.TrimSpace(ignored), 16, 64); err != nil || mask&(1<<(syscall.SIGHUP-1)|1<<(syscall.SIGPIPE-1)) != 0 {
		t.Errorf("a program starts with these signals ignored: %q, %v", ignored, err)
	}
	// A program that is stopped, with a child.
	slow := program("slow", "sleep 600 & wait")
	slow.Timeout = 300 * time.Millisecond
	if res, err := h.Run(ctx, slow); err != nil || res.Outcome != runners.TimedOut {
		t.Errorf("Run of a slow program = %+v, %v", res, err)
	}
	if res, err := h.Run(ctx, program("signal", "kill -KILL $$")); err != nil || res.Signal != "SIGKILL" {
		t.Errorf("Run = %+v, %v; want SIGKILL", res, err)
	}
	// A process that a later launch finds again.
	proc := program("process", "echo up; exec sleep 600")
	proc.Kind = runners.Process
	if err := h.Start(ctx, proc); err != nil {
		t.Fatal(err)
	}
	if s, err := h.Look(ctx, proc.ID); err != nil || s.Phase != runners.Running || s.PID == 0 {
		t.Errorf("Look = %+v, %v", s, err)
	}
	if err := h.Stop(ctx, proc.ID, runners.Stop{Signal: "SIGTERM", Grace: time.Second}); err != nil {
		t.Error(err)
	}
	if s, err := h.Look(ctx, proc.ID); err != nil || s.Result.Outcome != runners.Stopped {
		t.Errorf("Look = %+v, %v; want stopped", s, err)
	}
	if _, err := h.Run(ctx, &runners.Program{ID: runners.ID{Service: "web", Name: "none"}, Kind: runners.Durable, Argv: []string{"no-such-program"}}); err == nil {
		t.Error("a program that does not exist was started")
	}
}
