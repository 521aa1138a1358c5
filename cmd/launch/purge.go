package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/state"
)

func newPurgeCommand(g *globalOptions) *cobra.Command {
	var olderThan time.Duration
	cmd := &cobra.Command{
		Use:   "purge [RUN]",
		Short: "Forget terminated runs: their record, journal and logs",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && !cmd.Flags().Changed("older-than") {
				return usagef("say which run, or --older-than how long ago it ended (0s: all ended ones)")
			}
			if len(args) > 0 && cmd.Flags().Changed("older-than") {
				return usagef("--older-than chooses among all ended runs: leave it out to forget run %s, or leave out the run", args[0])
			}
			if olderThan < 0 {
				return usagef("--older-than %s: no run ends in the future; 0s is all ended ones", olderThan)
			}
			return runPurge(cmd.Context(), g, first(args), olderThan, cmd.OutOrStdout())
		},
	}
	cmd.Flags().DurationVar(&olderThan, "older-than", 0, "only runs that ended at least so long ago, such as 720h")
	return cmd
}

// runPurge forgets one run, or all that ended long enough ago. Those that are forgotten are told also where the next
// one cannot be.
func runPurge(ctx context.Context, g *globalOptions, name string, olderThan time.Duration, stdout io.Writer) error {
	asJSON, err := g.json()
	if err != nil {
		return err
	}
	eng, err := g.engineOptions(ctx, "purge", false)
	if err != nil {
		return err
	}
	defer eng.DB.Close()
	runs, err := ended(ctx, eng.DB, name)
	if err != nil {
		return err
	}
	forgotten := []runView{}
	for _, r := range runs {
		if max(0, time.Since(r.Since)) < olderThan { // a clock may have been set back
			continue
		}
		err = forget(ctx, eng, r)
		if name == "" && (errors.Is(err, state.ErrNoRun) || exitCode(err) == exitBusy) {
			err = nil // another command was here first
			continue
		}
		if err != nil {
			break
		}
		forgotten = append(forgotten, newRunView(r))
		if !asJSON {
			fmt.Fprintf(stdout, "run %s is forgotten\n", r.Name)
		}
	}
	if asJSON {
		err = errors.Join(err, writeJSON(stdout, forgotten))
	}
	return err
}

// ended are the terminated runs; one that is named has to be.
func ended(ctx context.Context, db *state.DB, name string) ([]state.Run, error) {
	if name == "" {
		runs, err := db.Runs(ctx)
		return slices.DeleteFunc(runs, func(r state.Run) bool { return r.Status != state.RunTerminated }), err
	}
	run, err := findRun(ctx, db, name)
	if err == nil && run.Status != state.RunTerminated {
		err = fmt.Errorf("run %s is %s: only terminated runs can be forgotten; end it with `launch terminate %s`", run.Name, run.Status, run.Name)
	}
	return []state.Run{run}, err
}

// forget forgets one run; its lock keeps every other command away from it meanwhile.
func forget(ctx context.Context, eng engine.Options, r state.Run) error {
	lock, _, err := eng.DB.Lock(r.ID, eng.Command)
	if err != nil {
		return err
	}
	return errors.Join(engine.Forget(eng.Dir, r.ID), eng.DB.Purge(ctx, r.ID), lock.Unlock())
}
