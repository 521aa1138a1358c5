package ssh

import (
	"errors"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/launchplan/launch/internal/sshtest"
	"github.com/launchplan/launch/runners"
)

// TestFullDisk: what launch knows of programs survives a full disk, what cannot be
// started says so and leaves nothing half done, and all goes on when there is room again.
func TestFullDisk(t *testing.T) {
	sshtest.NeedRoot(t)
	home := t.TempDir()
	s := sshtest.Start(t, sshtest.Options{Home: home, Inside: []string{sshtest.Need(t, "unshare"), "-m", "sh", "-c",
		"mount -t tmpfs -o size=1m tmpfs " + home + "; mount -t tmpfs -o size=1m tmpfs /var/tmp; exec \"$@\"", "sh"}})
	env := envFor(t)
	h := connect(t, s, env, "127.0.0.1")
	shell := func(script string) string { // in a run of its own, with room in /var/tmp
		t.Helper()
		return run(t, connect(t, s, envFor(t), "127.0.0.1"), program("shell", script))
	}
	start := func(p *runners.Program) runners.ID {
		t.Helper()
		if err := h.Start(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		return p.ID
	}
	gate := hold(t)
	ends, stopped := start(program("ends", gate.script)), start(program("stopped", "sleep 600"))
	late := program("late", "sleep 600")
	late.Timeout = 2 * time.Second
	start(late)
	gate.await(t)
	shell("dd if=/dev/zero of=$HOME/fill bs=4096 2>/dev/null || true")

	gate.release(t)
	if res, err := h.Wait(t.Context(), ends); err != nil || res.Status != 7 {
		t.Errorf("Wait for a program that ends on a full disk = %+v, %v; want status 7", res, err)
	}
	if err := h.Stop(t.Context(), stopped, runners.Stop{Signal: "SIGTERM", Grace: time.Second}); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if st, err := h.Look(t.Context(), stopped); err != nil || st.Result.Outcome != runners.Stopped {
		t.Errorf("Look at a program that was stopped = %+v, %v", st, err)
	}
	if res, err := h.Wait(t.Context(), late.ID); err != nil || res.Outcome != runners.TimedOut {
		t.Errorf("Wait for a program that takes too long = %+v, %v", res, err)
	}

	payload := program("payload", "")
	payload.Argv, payload.Payload = nil, &runners.Payload{Hash: "abc", Entry: "run.sh", Files: []runners.File{
		{Path: "run.sh", Mode: 0o755, Content: []byte("#!/bin/sh\necho ran\n")}, {Path: "data", Content: make([]byte, 300_000)}}}
	asOther := program("other", "true")
	asOther.User = "nobody"
	for _, p := range []*runners.Program{program("new", "true"), payload, asOther} {
		_, err := h.Run(t.Context(), p)
		if failed, ok := errors.AsType[*runners.StartError](err); !ok || !strings.Contains(failed.Error(), "the disk is full") {
			t.Errorf("Run %s: %v; want a StartError that says why", p.ID, err)
		}
		later := connect(t, s, env, "127.0.0.1")
		if st, err := later.Look(t.Context(), p.ID); err != nil || st.Phase != runners.NotStarted {
			t.Errorf("a later launch looks at %s: %+v, %v; want that it was not started", p.ID, st, err)
		}
	}
	root := path.Dir(h.WorkDir("web", ""))
	if left := shell("ls " + root + "/.payloads"); left != "" {
		t.Errorf("of a payload that did not fit there is %q", left)
	}

	// A run that comes now finds another folder, and goes on there when this one has room again.
	elsewhere := envFor(t)
	dir := connect(t, s, elsewhere, "127.0.0.1").WorkDir("web", "")
	if !strings.HasPrefix(dir, "/var/tmp/") {
		t.Errorf("on a full disk the work directory is %s", dir)
	}
	if left := shell("ls $HOME/.launch"); strings.Contains(left, elsewhere.RunID) {
		t.Errorf("a run that is elsewhere left its folder at home: %q", left)
	}
	shell("rm $HOME/fill")
	if again := connect(t, s, elsewhere, "127.0.0.1").WorkDir("web", ""); again != dir {
		t.Errorf("a later launch has the work directory %s, the first had %s", again, dir)
	}
	if out := run(t, h, payload); out != "ran\n" {
		t.Errorf("output = %q", out)
	}
	if err := h.Remove(t.Context(), ""); err != nil {
		t.Error(err)
	}
}
