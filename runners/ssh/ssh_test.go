package ssh

import (
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/launchplan/launch/internal/sshtest"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/runnertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// configFor is a configuration that knows a test's server and nothing of the operator's own.
func configFor(s *sshtest.Server) Config {
	noAgent := false
	return Config{
		User: s.User, Port: s.Port, IdentityFile: s.Identity, Agent: &noAgent,
		KnownHostsFile: s.KnownHosts,
		ConnectTimeout: Duration(10 * time.Second),
		Patience:       Duration(30 * time.Second),
		Keepalive:      Duration(5 * time.Second),
	}
}

func subject(s *sshtest.Server) runnertest.Subject {
	sub := runnertest.Subject{
		New: func(t testing.TB, env runners.Env) runners.Runner {
			r, err := New(t.Context(), configFor(s), env)
			if err != nil {
				t.Fatal(err)
			}
			return r
		},
		Target: runners.Target{Host: "127.0.0.1"},
	}
	if os.Getuid() == 0 {
		sub.User = "nobody"
	}
	return sub
}

func TestContract(t *testing.T) {
	runnertest.Run(t, subject(sshtest.Start(t, sshtest.Options{})))
}
