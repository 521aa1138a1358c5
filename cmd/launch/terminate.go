package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/engine"
)

type terminateOptions struct {
	variableOptions
	force bool
}

func newTerminateCommand(g *globalOptions) *cobra.Command {
	var opts terminateOptions
	cmd := &cobra.Command{
		Use:   "terminate [RUN...]",
		Short: "End everything that runs started, in reverse order",
		Long: `End everything that runs started, in reverse order.

What cannot be ended keeps nothing else from being ended. It is told, and the
next terminate tries it again; with --force it is told, and left as it is.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.force && len(args) == 0 {
				return usagef("--force: name the runs that are to be left as they are where they cannot be ended")
			}
			return runTerminate(cmd.Context(), g, &opts, args, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	opts.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&opts.force, "force", false, "terminate them also where something cannot be ended: say what, and leave it")
	return cmd
}

// runTerminate ends one run after the other; one that cannot be ended does not keep the rest up.
func runTerminate(ctx context.Context, g *globalOptions, opts *terminateOptions, names []string, stdout, stderr io.Writer) error {
	if len(names) == 0 {
		names = []string{""}
	}
	var worst error
	for _, name := range names {
		err := onRun(ctx, g, &opts.variableOptions, "terminate", name, stdout, stderr, func(s *engine.Session) error {
			if opts.force {
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
