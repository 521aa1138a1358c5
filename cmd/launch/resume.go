package main

import (
	"github.com/spf13/cobra"

	"github.com/launchplan/launch/engine"
)

func newResumeCommand(g *globalOptions) *cobra.Command {
	var vars variableOptions
	cmd := &cobra.Command{
		Use:   "resume [RUN]",
		Short: "Go on with a run that was interrupted or failed, from where it stopped",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return onRun(ctx, g, &vars, "resume", first(args), cmd.OutOrStdout(), cmd.ErrOrStderr(), func(s *engine.Session) error {
				return s.Resume(ctx)
			})
		},
	}
	vars.addFlags(cmd.Flags())
	return cmd
}
