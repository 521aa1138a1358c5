package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/state"
)

// Exit statuses, as the README lists them.
const (
	exitOK          = 0
	exitFailed      = 1   // a service, level or check failed
	exitUsage       = 2   // usage, or an invalid plan
	exitNoRun       = 3   // no such run
	exitBusy        = 4   // another command is working on the run
	exitInterrupted = 130 // by SIGINT or SIGTERM
)

// exitCode is the one place where errors become exit statuses.
func exitCode(err error) int {
	var (
		usage  usageError
		planE  *engine.PlanError
		need   *engine.NeedError
		locked *state.LockedError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, engine.ErrInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &usage), errors.As(err, &planE), errors.As(err, &need):
		return exitUsage
	case errors.Is(err, state.ErrNoRun), errors.Is(err, state.ErrNoStore):
		return exitNoRun
	case errors.As(err, &locked):
		return exitBusy
	}
	return exitFailed
}

// report tells the operator why the command ends as it does.
func report(w io.Writer, err error) int {
	code := exitCode(err)
	var (
		planE *engine.PlanError
		told  toldError
		usage usageError
	)
	switch {
	case err == nil, errors.As(err, &told):
	case errors.As(err, &planE):
		writeDiagnostics(w, planE.Diagnostics, planE.Sources)
		fmt.Fprintf(w, "launch: %s\n", planE.Summary())
	case errors.As(err, &usage):
		fmt.Fprintf(w, "launch: %v\n", err)
		if usage.cmd != nil {
			fmt.Fprintf(w, "See `%s --help`.\n", usage.cmd.CommandPath())
		}
	case code == exitInterrupted && !errors.Is(err, engine.ErrInterrupted):
		fmt.Fprintf(w, "launch: %v\n", engine.ErrInterrupted) // what the interrupt met says nothing to the operator
	default:
		fmt.Fprintf(w, "launch: %s\n", strings.Join(distinct(strings.Split(err.Error(), "\n")), "\n"))
	}
	return code
}

// distinct leaves out lines that were there before: what is wrong with the store, every writer says.
func distinct(lines []string) []string {
	var kept []string
	for _, line := range lines {
		if !slices.Contains(kept, line) {
			kept = append(kept, line)
		}
	}
	return kept
}

// A usageError is a command line that cannot be carried out.
type usageError struct {
	cmd *cobra.Command
	err error
}

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return usageError{err: fmt.Errorf(format, args...)}
}

// A toldError has been shown already; only its exit status is left.
type toldError struct{ err error }

func (e toldError) Error() string { return e.err.Error() }
func (e toldError) Unwrap() error { return e.err }

// count says "1 error", "3 errors".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "y") {
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(noun, "y"))
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
