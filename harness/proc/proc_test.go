package proc

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sleeper(t *testing.T, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd
}

func TestIdentity(t *testing.T) {
	cmd := sleeper(t)
	id, ok := Of(cmd.Process.Pid)
	if !ok || !id.Alive() {
		t.Fatalf("%v is not alive", id)
	}
	reused := ID{PID: id.PID, Start: "another"}
	if reused.Alive() {
		t.Error("another process with this pid counts as alive")
	}
	if err := reused.Signal(syscall.SIGKILL); err != nil || !id.Alive() {
		t.Errorf("a signal to the one before reached this one (%v)", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- id.Wait(t.Context()) }()
	if err := id.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("wait: %v", err)
	}
	if id.Alive() { // a zombie now: nobody has waited for it as its parent
		t.Error("it is still alive")
	}
	for _, none := range []ID{{}, {PID: -1, Start: "x"}, {PID: 1 << 30, Start: "x"}} {
		if none.Alive() {
			t.Errorf("%v is alive", none)
		}
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	id, _ := Of(sleeper(t).Process.Pid)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- id.Wait(ctx) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("wait: %v", err)
	}
}

func TestFoundByItsEnvironment(t *testing.T) {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("not on this system")
	}
	mark := "EPU_TEST_MARK=" + t.TempDir()
	cmd := sleeper(t, mark, "EPU_OTHER=1")
	sleeper(t, "EPU_OTHER=1")
	found := WithEnv(mark, "EPU_OTHER=1")
	if len(found) != 1 || found[0].PID != cmd.Process.Pid {
		t.Errorf("found %v, want pid %d", found, cmd.Process.Pid)
	}
	if len(WithEnv(mark[:len(mark)-1])) != 0 {
		t.Error("a part of a value is enough")
	}
	if v, ok := Env(cmd.Process.Pid, "EPU_OTHER"); !ok || v != "1" {
		t.Errorf("EPU_OTHER is %q", v)
	}
	if in := InSessions(map[int]bool{cmd.Process.Pid: true}); len(in) != 1 || in[0] != found[0] {
		t.Errorf("in its session: %v", in)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	f, err := Lock(t.Context(), path, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(t.Context(), path, 20*time.Millisecond); !errors.Is(err, ErrLocked) {
		t.Errorf("a held lock: %v", err)
	}
	got := make(chan error, 1)
	go func() {
		second, err := Lock(t.Context(), path, time.Minute)
		if err == nil {
			second.Close()
		}
		got <- err
	}()
	f.Close()
	if err := <-got; err != nil {
		t.Error(err)
	}
}
