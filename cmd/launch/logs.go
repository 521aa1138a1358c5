package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/state"
)

type logsOptions struct {
	variableOptions
	phase  string
	follow bool
	tail   int
}

// allLines is a --tail that leaves nothing out.
const allLines = -1

func newLogsCommand(g *globalOptions) *cobra.Command {
	var opts logsOptions
	cmd := &cobra.Command{
		Use:   "logs [RUN] [SERVICE...]",
		Short: "Show what programs of a run wrote: those of all services, or of some",
		Long: `Show what programs of a run wrote: those of all services, or of some.

Of several services each line begins with the service's address.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLogs(cmd.Context(), g, opts, args, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	opts.variableOptions.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&opts.phase, "phase", "", "only this `phase`: boot, verify, terminate or process")
	cmd.Flags().BoolVarP(&opts.follow, "follow", "f", false, "go on as more is written")
	cmd.Flags().IntVar(&opts.tail, "tail", allLines, "only the last `lines` of each service (-1: all)")
	return cmd
}

func runLogs(ctx context.Context, g *globalOptions, opts logsOptions, args []string, stdout, stderr io.Writer) error {
	asJSON, err := g.json()
	if err != nil {
		return err
	}
	switch opts.phase {
	case "", engine.PhaseBoot, engine.PhaseVerify, engine.PhaseTerminate, processPhase:
	default:
		return usagef("--phase %s: it can be boot, verify, terminate or process", opts.phase)
	}
	if opts.tail < allLines {
		return usagef("--tail %d: give a number of lines, or -1 for all", opts.tail)
	}
	given, err := opts.given()
	if err != nil {
		return err
	}
	eng, err := g.engineOptions(ctx, "logs", false)
	if err != nil {
		return err
	}
	defer eng.DB.Close()
	run, services, err := runAndItsServices(ctx, eng.DB, args)
	if err != nil {
		return err
	}
	r := newLogReader(eng, run, given, opts.phase, opts.tail, services, newLogLines(stdout, asJSON, services))
	err = r.show(ctx, opts.follow)
	switch {
	case err == nil && opts.follow:
		return r.follow(ctx, stderr)
	case err == nil && !r.lines.any():
		fmt.Fprintf(stderr, "%s written nothing\n", subject(run, services))
	}
	return err
}

func subject(run state.Run, services []string) string {
	if len(services) == 1 {
		return services[0] + " has"
	}
	return "the services of run " + run.Name + " have"
}

// runAndItsServices resolves [RUN] [SERVICE...] to services of a run, all of them where none is named. What is a run's
// name is the run.
func runAndItsServices(ctx context.Context, db *state.DB, args []string) (state.Run, []string, error) {
	name := ""
	if len(args) > 0 {
		_, err := db.FindRun(ctx, args[0])
		switch {
		case err == nil:
			name, args = args[0], args[1:]
		case !errors.Is(err, state.ErrNoRun):
			return state.Run{}, nil, err
		}
	}
	run, err := findHistory(ctx, db, name)
	if err != nil {
		return run, nil, err
	}
	rows, err := db.Services(ctx, run.ID)
	if err != nil {
		return run, nil, err
	}
	known := make([]string, len(rows))
	for i, row := range rows {
		known[i] = row.Address
	}
	if len(args) == 0 {
		return run, known, nil
	}
	services := make([]string, len(args))
	for i, arg := range args {
		services[i], err = fullAddress(run, known, arg)
		if err != nil && i == 0 && name == "" {
			if len(args) > 1 {
				_, err = findRun(ctx, db, arg) // a run was meant: there is none
				return run, nil, err
			}
			return run, nil, usagef("there is no run %[1]q, and run %[2]s has no service %[1]q; it has %[3]s", arg, run.Name, someOf(known))
		}
		if err != nil {
			return run, nil, err
		}
	}
	return run, services, nil
}

// fullAddress finds the service that is meant: by its address, or by the end of it where only one ends so. Where there
// is none, the error says which there are.
func fullAddress(run state.Run, known []string, meant string) (string, error) {
	var ending []string
	for _, address := range known {
		if address == meant {
			return meant, nil
		}
		if strings.HasSuffix(address, "."+meant) {
			ending = append(ending, address)
		}
	}
	switch {
	case len(ending) == 1:
		return ending[0], nil
	case len(ending) > 1:
		return "", usagef("several services of run %s are called so: %s", run.Name, someOf(ending))
	}
	return "", usagef("run %s has no service %q; it has %s", run.Name, meant, someOf(known))
}

// someOf lists names, the first ten of many.
func someOf(names []string) string {
	if len(names) > 10 {
		return strings.Join(names[:10], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}
