// Package sandbox runs the built binaries for tests, away from the user's own state, and finds
// what they left running.
package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// patience bounds one command: none of those in tests takes more than some seconds.
const patience = 2 * time.Minute

// markName is a variable that everything that is started in a sandbox inherits.
const markName = "LAUNCH_SANDBOX"

// A Sandbox has a home of its own. When the test ends, nothing that was started in it may be
// running any more.
type Sandbox struct {
	Root string // of the repository
	Home string
	Dir  string // where commands are run: Root, unless it is changed

	mark string
	env  []string
}

// New makes a sandbox for one test.
func New(t *testing.T) *Sandbox {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(root, "bin")
	if _, err := os.Stat(filepath.Join(bin, "launch")); err != nil {
		t.Fatalf("run make build first: %v", err)
	}
	home, err := os.MkdirTemp("", "launch") // t.TempDir's names are too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	s := &Sandbox{Root: root, Home: home, Dir: root, mark: rand.Text()}
	s.env = []string{
		"PATH=" + bin + string(filepath.ListSeparator) + os.Getenv("PATH"), "HOME=" + home, "XDG_STATE_HOME=" + filepath.Join(home, ".local", "state"),
		"NO_COLOR=1", "TMPDIR=" + os.TempDir(), "LANG=C", markName + "=" + s.mark,
	}
	t.Cleanup(func() { s.end(t) })
	return s
}

// Set adds a variable to the environment.
func (s *Sandbox) Set(name, value string) { s.env = append(s.env, name+"="+value) }

// Run runs a command line in Dir, and returns what it wrote and its status.
func (s *Sandbox) Run(t *testing.T, command string) (output string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience) // cleanups run commands, too
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir, cmd.Env = s.Dir, s.env
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) || ctx.Err() != nil {
		t.Fatalf("%s: %v, %v\n%s", command, err, context.Cause(ctx), out)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// Must is Run of a command line that ends well, and returns what it wrote.
func (s *Sandbox) Must(t *testing.T, command string) string {
	t.Helper()
	out, status := s.Run(t, command)
	if status != 0 {
		t.Fatalf("%s: status %d\n%s", command, status, out)
	}
	return out
}

// end ends what is left, and fails the test where that is something.
func (s *Sandbox) end(t *testing.T) {
	for _, p := range awaitEnd(func() []process { return running(markName + "=" + s.mark) }) {
		t.Errorf("process %d is left running: %s", p.pid, p.command)
		syscall.Kill(p.pid, syscall.SIGKILL)
	}
	if t.Failed() {
		t.Logf("the sandbox is kept: %s", s.Home)
		return
	}
	if err := os.RemoveAll(s.Home); err != nil {
		t.Error(err)
	}
}

type process struct {
	pid     int
	command string
}

// awaitEnd gives processes that are about to end, such as launch's own supervisor, a moment for it.
func awaitEnd(left func() []process) []process {
	deadline := time.Now().Add(5 * time.Second)
	for {
		found := left()
		if len(found) == 0 || time.Now().After(deadline) {
			return found
		}
		time.Sleep(10 * time.Millisecond) // of processes that are not our children there is no event
	}
}
