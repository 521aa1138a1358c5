package main

import (
	"errors"
	"fmt"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/state"
)

// runView is a run as `list -o json` shows it. Its fields are stable.
type runView struct {
	Run    string          `json:"run"`
	Plan   string          `json:"plan"`
	Status state.RunStatus `json:"status"`
	Since  time.Time       `json:"since"`
}

func newListCommand(g *globalOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Show all runs",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := g.json()
			if err != nil {
				return err
			}
			all := []runView{}
			eng, err := g.engineOptions(cmd.Context(), "list", false)
			switch {
			case errors.Is(err, state.ErrNoRun): // no store yet: there are none
			case err != nil:
				return err
			default:
				defer eng.DB.Close()
				runs, err := eng.DB.Runs(cmd.Context())
				if err != nil {
					return err
				}
				for _, r := range runs {
					all = append(all, runView{Run: r.Name, Plan: r.Plan, Status: r.Status, Since: r.Since})
				}
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), all)
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "RUN\tSTATUS\tSINCE\tPLAN")
			for _, r := range all {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", r.Run, r.Status, r.Since.Local().Format(time.DateTime), r.Plan)
			}
			return t.Flush()
		},
	}
}

func newPurgeCommand(g *globalOptions) *cobra.Command {
	var olderThan time.Duration
	cmd := &cobra.Command{
		Use:   "purge [RUN]",
		Short: "Forget terminated runs: their record, journal and logs",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if len(args) == 0 && !cmd.Flags().Changed("older-than") {
				return usagef("say which run, or --older-than how long ago it ended (0s: all ended ones)")
			}
			eng, err := g.engineOptions(ctx, "purge", false)
			if err != nil {
				return err
			}
			defer eng.DB.Close()
			var runs []state.Run
			if len(args) == 1 {
				run, err := findRun(ctx, eng.DB, args[0])
				if err != nil {
					return err
				}
				if run.Status != state.RunTerminated {
					return fmt.Errorf("run %s is %s: only terminated runs can be forgotten; end it with `launch terminate %s`", run.Name, run.Status, run.Name)
				}
				runs = append(runs, run)
			} else if runs, err = eng.DB.Runs(ctx); err != nil {
				return err
			}
			for _, r := range runs {
				if r.Status != state.RunTerminated || max(0, time.Since(r.Since)) < olderThan { // a clock may have been set back
					continue
				}
				if err := purge(cmd, eng, r); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&olderThan, "older-than", 0, "only runs that ended at least so long ago, such as 720h")
	return cmd
}

// purge forgets one run; its lock keeps every other command away from it meanwhile.
func purge(cmd *cobra.Command, eng engine.Options, r state.Run) error {
	lock, _, err := eng.DB.Lock(r.ID, eng.Command)
	if err != nil {
		return err
	}
	err = errors.Join(engine.Forget(eng.Dir, r.ID), eng.DB.Purge(cmd.Context(), r.ID), lock.Unlock())
	if err == nil {
		fmt.Fprintf(cmd.OutOrStdout(), "run %s is forgotten\n", r.Name)
	}
	return err
}

func newVersionCommand(g *globalOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := g.json()
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), map[string]string{
					"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
				})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "launch %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}
