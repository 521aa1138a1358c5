// Command epuharness runs a process dispatcher with execution engine agents, on one
// machine or as the daemons of a fleet, and is their client.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/launchplan/launch/harness/daemon"
	"github.com/launchplan/launch/harness/wire"
)

// version is set at build time by -ldflags.
var version = "dev"

// Exit statuses.
const (
	exitOK          = 0
	exitFailed      = 1 // the thing failed, or is not well
	exitUsage       = 2
	exitUnknown     = 3 // no such process, definition, node, …
	exitInterrupted = 130
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	g := &globals{out: os.Stdout, err: os.Stderr}
	root := newRoot(g)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if !g.ran {
		err = &usageError{err}
	}
	if !errors.Is(err, errShown) {
		fmt.Fprintln(os.Stderr, "epuharness:", clean(err.Error()))
	}
	if ctx.Err() != nil {
		return exitInterrupted
	}
	return exitCode(err)
}

// errShown is a failure that the output tells already.
var errShown = errors.New("not well")

type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

func exitCode(err error) int {
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	if _, ok := errors.AsType[*daemon.UnknownError](err); ok {
		return exitUnknown
	}
	if refusal, ok := errors.AsType[*wire.Error](err); ok {
		switch refusal.Code {
		case wire.CodeInvalid:
			return exitUsage
		case wire.CodeUnknown:
			return exitUnknown
		}
	}
	return exitFailed
}
