package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/engine"
)

func newTerminateCommand(g *globalOptions) *cobra.Command {
	var (
		vars  variableOptions
		force bool
	)
	cmd := &cobra.Command{
		Use:   "terminate [RUN...]",
		Short: "End everything that runs started, in reverse order",
		Long: `End everything that runs started, in reverse order.

What cannot be ended keeps nothing else from being ended. It is told, and the
next terminate tries it again; with --force it is told, and left as it is.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if force && len(args) == 0 {
				return usagef("--force: name the runs that are to be left as they are where they cannot be ended")
			}
			return runTerminate(cmd.Context(), g, &vars, args, force, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	vars.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&force, "force", false, "terminate them also where something cannot be ended: say what, and leave it")
	return cmd
}

// runTerminate ends one run after the other; one that cannot be ended does not keep the rest up.
func runTerminate(ctx context.Context, g *globalOptions, vars *variableOptions, names []string, force bool, stdout, stderr io.Writer) error {
	if len(names) == 0 {
		names = []string{""}
	}
	var worst error
	for _, name := range names {
		err := onRun(ctx, g, vars, "terminate", name, stdout, stderr, func(s *engine.Session) error {
			if force {
				return s.ForceTerminate(ctx)
			}
			return s.Terminate(ctx)
		})
		if err != nil && len(names) > 1 {
			report(stderr, err)
			err = toldError{err}
		}
		if exitCode(err) > exitCode(worst) {
			worst = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return worst
}
