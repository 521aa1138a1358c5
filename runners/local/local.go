// Package local runs programs on this machine. They are started by a supervisor,
// one small process per run, which outlives launch: see the package supervisor.
package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/launchplan/launch/runners"
)

// Config is what a plan says about this machine, and what the launch binary does.
type Config struct {
	// Supervisor is the command that calls supervisor.Main with one more
	// argument, the folder. Empty: this binary with the argument "supervise".
	Supervisor []string `json:"-"`
}

// A runner is one launch process's way to programs on this machine.
type runner struct {
	env        runners.Env
	supervisor *connector

	payloads sync.Map // hash -> *sync.Mutex held while it is put in place
	mine     sync.Map // runners.ID of each program that this runner asked for
	guests   guests
	removing chan struct{} // a token for each service whose files are being removed
	ledger   ledger
	sudo     bool // other users are reached through sudo, since only root can become them
}

// New makes the runner of a run. It starts nothing: the supervisor is started with the first program.
func New(_ context.Context, config Config, env runners.Env) (runners.Runner, error) {
	argv := config.Supervisor
	if len(argv) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find the launch binary for its supervisor: %w", err)
		}
		argv = []string{self, "supervise"}
	}
	environ := withoutVariables(env.Environ)
	dir, err := filepath.Abs(env.Dir)
	if err != nil {
		return nil, err
	}
	env.Dir = dir
	return &runner{
		env:        env,
		supervisor: newConnector(filepath.Join(dir, "supervisor"), argv, environ, env.Turn),
		sudo:       os.Geteuid() != 0,
		removing:   make(chan struct{}, 2*runtime.NumCPU()), // each is a thread of ours while it waits for the disk
	}, nil
}

// Connect returns this machine.
func (r *runner) Connect(_ context.Context, target runners.Target) (runners.Host, error) {
	if target.Host != "" && target.Host != "localhost" {
		return nil, fmt.Errorf("host = %q: without a runner, a service is on this machine; name an ssh runner to reach another", target.Host)
	}
	return &host{runner: r}, nil
}

// Close lets go of the supervisor, which leaves unless programs run.
func (r *runner) Close() error { return r.supervisor.close() }
