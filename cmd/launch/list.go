package main

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/state"
)

// runView is a run as `list -o json` shows it. Its fields are stable.
type runView struct {
	Run    string          `json:"run"`
	Plan   string          `json:"plan"`
	Status state.RunStatus `json:"status"`
	Since  time.Time       `json:"since"`
}

func newRunView(r state.Run) runView {
	return runView{Run: r.Name, Plan: r.Plan, Status: r.Status, Since: r.Since}
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
					all = append(all, newRunView(r))
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
