package local

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/launchplan/launch/runners"
)

// shellEnd is how long the copying of a terminal that is no file may go on after the shell's end.
const shellEnd = 200 * time.Millisecond

// Shell runs the operator's shell in the service's work directory, on the
// operator's own terminal: that knows its size by itself.
func (h *host) Shell(ctx context.Context, service string, tty runners.TTY) error {
	shell := "/bin/sh"
	for _, v := range slices.Backward(h.runner.supervisor.environ) {
		if path, ok := strings.CutPrefix(v, "SHELL="); ok && path != "" {
			shell = path
			break
		}
	}
	cmd := exec.CommandContext(ctx, shell)
	cmd.Dir = h.WorkDir(service, "")
	cmd.Env = h.runner.supervisor.environ
	if tty.Term != "" {
		cmd.Env = append(slices.Clip(cmd.Env), "TERM="+tty.Term)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty.In, tty.Out, tty.Err
	cmd.WaitDelay = shellEnd
	err := cmd.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); ended || errors.Is(err, exec.ErrWaitDelay) {
		return nil // its status is that of the last command that the operator typed
	}
	if err != nil {
		return fmt.Errorf("start a shell in %s: %w", cmd.Dir, err)
	}
	return nil
}
