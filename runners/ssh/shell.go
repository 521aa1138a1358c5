package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/launchplan/launch/runners"
)

// Shell opens the user's login shell, on a terminal of its own where the operator has one.
func (h *host) Shell(ctx context.Context, service string, tty runners.TTY) error {
	l, err := h.m.back(ctx)
	if err != nil {
		return h.m.explain(ctx, err)
	}
	session, end, err := l.session(ctx)
	if err != nil {
		return fmt.Errorf("open a session on %s: %w", h.m.end, err)
	}
	defer end()
	stop := context.AfterFunc(ctx, func() { session.Close() })
	defer stop()
	if tty.Term != "" {
		if err := session.RequestPty(tty.Term, max(1, tty.Rows), max(1, tty.Cols), ssh.TerminalModes{}); err != nil {
			return fmt.Errorf("open a terminal on %s: %w", h.m.end, err)
		}
	}
	in, err := session.StdinPipe()
	if err != nil {
		return err
	}
	session.Stdout, session.Stderr = tty.Out, tty.Err
	if err := session.Start(shellCommand(h.WorkDir(service, ""))); err != nil {
		return fmt.Errorf("open a shell on %s: %w", h.m.end, err)
	}
	if tty.In != nil {
		// A read from a terminal cannot be ended: this goroutine stays until the
		// next key, and finds the session closed then.
		go func() {
			io.Copy(in, tty.In)
			in.Close() // a shell that reads commands from a file ends where the file does
		}()
	}
	ended := make(chan error, 1)
	go func() { ended <- session.Wait() }()
	for {
		select {
		case size, ok := <-tty.Resize:
			if !ok {
				tty.Resize = nil
				continue
			}
			session.WindowChange(size[1], size[0])
		case err := <-ended:
			if _, status := errors.AsType[*ssh.ExitError](err); status {
				return nil // that of the operator's last command
			}
			if _, missing := errors.AsType[*ssh.ExitMissingError](err); missing && ctx.Err() == nil {
				return fmt.Errorf("the connection to %s was cut", h.m.end)
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
	}
}

// shellCommand enters dir and becomes the user's shell, whatever that is: dir is
// written in octal, since shells differ in how they quote.
func shellCommand(dir string) string {
	var octal strings.Builder
	for _, b := range []byte(dir) {
		fmt.Fprintf(&octal, `\%03o`, b)
	}
	return `exec /bin/sh -c 'cd "$(printf "` + octal.String() + `")" 2>/dev/null || echo "The work directory does not exist yet." >&2; exec "${SHELL:-/bin/sh}" -l'`
}
