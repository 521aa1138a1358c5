package local

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/local/supervisor"
	"github.com/launchplan/launch/runners/runnertest"
)

// supervise is the argument with which the test binary is the supervisor.
const supervise = "supervise-for-tests"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == supervise {
		if err := supervisor.Main(context.Background(), os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
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
