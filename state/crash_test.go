//go:build crashtest

package state

import (
	"errors"
	"os/exec"
	"syscall"
	"testing"
)

// A process that is killed right before or after a commit leaves what it had been told is durable, and nothing by halves.
func TestKillAtWrite(t *testing.T) {
	for setting, want := range map[string]int{"1:before": 0, "1:after": 1, "5:before": 4, "5:after": 5, "7:after": 7} {
		t.Run(setting, func(t *testing.T) {
			dir := closedStore(t)
			c := command(t, "fill", dir, "none")
			c.cmd.Env = append(c.cmd.Env, crashVariable+"="+setting)
			c.start(t)
			c.out.ReadString('\n') // until its end
			exit, ok := errors.AsType[*exec.ExitError](c.cmd.Wait())
			if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("it ended with %v", exit)
			}
			if got := len(journal(t, openIn(t, dir), runID)) - 1; got != want {
				t.Errorf("%d notes were written, want %d", got, want)
			}
		})
	}
}
