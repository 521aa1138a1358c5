package proc

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sleeper starts a program that leads its own session and does nothing.
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
	id := Identify(cmd.Process.Pid)
	if !id.Alive() || id.Age() < 0 {
		t.Fatalf("%+v is not alive", id)
	}
	later, rebooted := id, id
	later.Start++
	rebooted.Boot = "another"
	for _, other := range []Identity{later, rebooted, {}, {PID: -1, Start: 1, Boot: id.Boot}, {PID: 1 << 30, Start: 1, Boot: id.Boot}} {
		if other.Alive() {
			t.Errorf("%+v counts as alive", other)
		}
		if err := other.Signal(syscall.SIGKILL); err != nil || !id.Alive() {
			t.Errorf("a signal to %+v reached %+v (%v)", other, id, err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- id.Wait(t.Context()) }()
	if err := id.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("wait: %v", err)
	}
	if zombie, err := Find(id.PID); err != nil || !zombie.Zombie || id.Alive() {
		t.Errorf("one that ended and was not taken: %+v, %v, alive %v", zombie, err, id.Alive())
	}
	cmd.Wait()
	if id.Alive() {
		t.Error("a process that is gone counts as alive")
	}
	if self := Identify(os.Getpid()); !self.Alive() {
		t.Errorf("%+v, this process, is not alive", self)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	id := Identify(sleeper(t).Process.Pid)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- id.Wait(ctx) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("wait: %v", err)
	}
}

func TestFoundByItsSession(t *testing.T) {
	pid := sleeper(t).Process.Pid
	if found := InSessions(map[int]bool{pid: true}); len(found) != 1 || found[0].Identity() != Identify(pid) || found[0].Group != pid {
		t.Errorf("in its session: %+v", found)
	}
}

func TestFoundByItsVariables(t *testing.T) {
	if !CanFindVariables {
		t.Skip("not on this system")
	}
	mark := "EPU_TEST_MARK=" + t.TempDir()
	first := sleeper(t, mark, "EPU_OTHER=1")
	sleeper(t, "EPU_OTHER=1")
	second := sleeper(t, mark, "EPU_OTHER=1")
	for _, cmd := range []*exec.Cmd{first, second} {
		for known := false; !known; { // until the kernel has laid out the new program
			_, known = HasVariables(cmd.Process.Pid, mark)
		}
	}
	want := []Identity{Identify(first.Process.Pid), Identify(second.Process.Pid)}
	var found []Identity
	for p := range WithVariables(mark, "EPU_OTHER=1") {
		found = append(found, p.Identity())
	}
	if !slices.Equal(found, want) {
		t.Errorf("found %v, want %v", found, want)
	}
	for range WithVariables(mark[:len(mark)-1]) {
		t.Error("a part of a value is enough")
	}
}

// A process is not ended because no file can be opened that would tell.
func TestOutOfFileDescriptors(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no file is opened for it")
	}
	id := Identify(sleeper(t).Process.Pid)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := syscall.Rlimit{Cur: 0, Max: limit.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	alive, signalled := id.Alive(), id.Signal(syscall.SIGKILL)
	_, seen := All()
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if !alive || !id.Alive() {
		t.Error("it was taken for ended")
	}
	for what, err := range map[string]error{"a signal": signalled, "a look at all": seen} {
		if !errors.Is(err, syscall.EMFILE) {
			t.Errorf("%s: %v, want it to say that there are too many open files", what, err)
		}
	}
}
