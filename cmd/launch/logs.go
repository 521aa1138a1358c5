package main

import (
	"context"
	"fmt"
	"io"

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
	case "", engine.PhaseBoot, engine.PhaseVerify, engine.PhaseTerminate, engine.ProcessLog:
	default:
		return usagef("--phase %s: it can be boot, verify, terminate or process", opts.phase)
	}
	if !asJSON {
		stdout = exactly(stdout)
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
	run, services, named, err := runAndItsServices(ctx, eng.DB, findHistory, args)
	if err != nil {
		return err
	}
	if len(named) > 0 {
		services = named
	}
	r := newLogReader(eng, run, given, opts.phase, opts.tail, services, newLogLines(stdout, asJSON, services))
	err = r.show(ctx, opts.follow)
	switch {
	case err == nil && opts.follow:
		return r.follow(ctx, stderr)
	case err == nil && opts.tail != 0 && !r.lines.any():
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
