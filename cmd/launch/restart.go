package main

import (
	"github.com/spf13/cobra"

	"github.com/launchplan/launch/engine"
)

func newRestartCommand(g *globalOptions) *cobra.Command {
	var vars variableOptions
	cmd := &cobra.Command{
		Use:   "restart [RUN] SERVICE...",
		Short: "End services of a run and bring them up again, and what used values of theirs that changed by that",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return onServices(ctx, g, &vars, "restart", args, 1, cmd.OutOrStdout(), cmd.ErrOrStderr(), func(s *engine.Session, services []string) error {
				return s.Restart(ctx, services, repairTries)
			})
		},
	}
	vars.addFlags(cmd.Flags())
	return cmd
}
