package local

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"go.uber.org/goleak"

	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/local/supervisor"
	"github.com/launchplan/launch/runners/runnertest"
)

// Arguments with which the test binary is the supervisor, or a launch process to be killed.
const (
	supervise     = "supervise-for-tests"
	launchProcess = "launch-for-tests"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == supervise {
		if err := supervisor.Main(context.Background(), os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 3 && os.Args[1] == launchProcess {
		actAsLaunch(os.Args[2])
	}
	goleak.VerifyTestMain(m)
}

func newRunner(t testing.TB, env runners.Env) *runner {
	t.Helper()
	r, err := New(t.Context(), Config{Supervisor: []string{os.Args[0], supervise}}, env)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return r.(*runner)
}

func TestContract(t *testing.T) {
	user := ""
	if os.Geteuid() == 0 {
		user = "nobody"
	}
	runnertest.Run(t, runnertest.Subject{
		New:  func(t testing.TB, env runners.Env) runners.Runner { return newRunner(t, env) },
		User: user,
		Here: true,
	})
}

// Where launch is not root, other users' programs go through sudo. Root can do that too.
func TestContractThroughSudo(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be sure to need no password")
	}
	if _, err := exec.LookPath("sudo"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no sudo")
		}
		t.Skip("no sudo")
	}
	runnertest.RunUser(t, runnertest.Subject{
		New: func(t testing.TB, env runners.Env) runners.Runner {
			r := newRunner(t, env)
			r.sudo = true
			return r
		},
		User: "nobody",
		Here: true,
	})
}
