package main

import (
	"github.com/spf13/cobra"

	"github.com/launchplan/launch/engine"
)

// repairTries is how often repair brings one service up again where nothing is said: a second time for bad luck.
const repairTries = 2

func newRepairCommand(g *globalOptions) *cobra.Command {
	var vars variableOptions
	tries := repairTries
	cmd := &cobra.Command{
		Use:   "repair [RUN] [SERVICE...]",
		Short: "Verify a run, bring up again what fails, and what used its values",
		RunE: func(cmd *cobra.Command, args []string) error {
			if tries < 1 {
				return usagef("--tries %d: at least one is needed", tries)
			}
			ctx := cmd.Context()
			return onServices(ctx, g, &vars, "repair", args, 0, cmd.OutOrStdout(), cmd.ErrOrStderr(), func(s *engine.Session, services []string) error {
				return s.Repair(ctx, services, tries)
			})
		},
	}
	vars.addFlags(cmd.Flags())
	cmd.Flags().IntVar(&tries, "tries", tries, "how often one service is brought up again at most")
	return cmd
}
