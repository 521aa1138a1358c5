package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/state"
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
			run, services, err := runAndServices(cmd.Context(), g, args)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			return onRun(ctx, g, &vars, "repair", run, cmd.OutOrStdout(), cmd.ErrOrStderr(), func(s *engine.Session) error {
				return s.Repair(ctx, services, tries)
			})
		},
	}
	vars.addFlags(cmd.Flags())
	cmd.Flags().IntVar(&tries, "tries", tries, "how often one service is brought up again at most")
	return cmd
}

// runAndServices splits [RUN] [SERVICE...]: services have a level in their address, runs may have a dot as well, so
// the store decides.
func runAndServices(ctx context.Context, g *globalOptions, args []string) (run string, services []string, err error) {
	if len(args) == 0 {
		return "", nil, nil
	}
	eng, err := g.engineOptions(ctx, "repair", false)
	if err != nil {
		return "", nil, err
	}
	defer eng.DB.Close()
	_, err = eng.DB.FindRun(ctx, args[0])
	switch {
	case err == nil:
		return args[0], args[1:], nil
	case errors.Is(err, state.ErrNoRun) && strings.Contains(args[0], "."):
		return "", args, nil
	case errors.Is(err, state.ErrNoRun):
		return args[0], nil, nil // findRun says that there is none
	}
	return "", nil, err
}
