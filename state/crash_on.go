//go:build crashtest

package state

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
)

// crashVariable makes this process kill itself at its Nth commit: "3:before" right before it, "3:after" right
// after it, when nobody has been told of it yet. It is for tests of what survives a kill -9,
// and works only in a launch that was built with -tags crashtest.
const crashVariable = "LAUNCH_TEST_KILL_AT_WRITE"

type crash struct {
	at      int64
	when    string
	commits *atomic.Int64
}

func newCrash() crash {
	c := crash{commits: new(atomic.Int64)}
	setting := os.Getenv(crashVariable)
	if setting == "" {
		return c
	}
	if _, err := fmt.Sscanf(setting, "%d:%s", &c.at, &c.when); err != nil || c.at < 1 || c.when != "before" && c.when != "after" {
		panic(crashVariable + " is N:before or N:after, not " + setting)
	}
	return c
}

func (c crash) beforeCommit() {
	if c.commits.Add(1) == c.at && c.when == "before" {
		kill()
	}
}

func (c crash) afterCommit() {
	if c.commits.Load() == c.at && c.when == "after" {
		kill()
	}
}

func kill() {
	syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {} // it does not arrive at once
}
