package main

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/engine"
)

type watchOptions struct {
	variableOptions
	repair bool
	every  time.Duration
	tries  int // of repair
	times  int // 0: until interrupted
}

func newWatchCommand(g *globalOptions) *cobra.Command {
	var opts watchOptions
	cmd := &cobra.Command{
		Use:   "watch [RUN]",
		Short: "Verify a run again and again, with --repair mend it, and say what changed",
		Long: `Verify a run again and again, with --repair mend it, and say what changed.

It goes on until it is interrupted, or for as often as --times says. The exit
status is that of the last verification, so that cron and systemd can act on it.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runWatch(cmd.Context(), g, &opts, first(args), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	opts.addFlags(f)
	f.BoolVar(&opts.repair, "repair", false, "bring up again what fails")
	f.DurationVar(&opts.every, "every", watchEvery, "how often")
	f.IntVar(&opts.tries, "tries", repairTries, "how often one service is brought up again at most, each time")
	f.IntVar(&opts.times, "times", 0, "end after so many verifications (0: go on)")
	return cmd
}

func runWatch(ctx context.Context, g *globalOptions, opts *watchOptions, name string, stdout, stderr io.Writer) error {
	if opts.every <= 0 || opts.tries < 1 || opts.times < 0 {
		return usagef("--every and --tries must be more than nothing, --times not less")
	}
	for n := 1; ; n++ {
		err := onRun(ctx, g, &opts.variableOptions, "watch", name, stdout, stderr, func(s *engine.Session) error {
			name = s.Run().Name // the run that it began with, also when another one is live
			if opts.repair {
				return s.Repair(ctx, nil, opts.tries)
			}
			return s.Verify(ctx)
		})
		code := exitCode(err)
		if n == opts.times || code == exitUsage || code == exitNoRun || code == exitInterrupted {
			return err
		}
		if err != nil {
			report(stderr, err)
		}
		select {
		case <-ctx.Done():
			return engine.ErrInterrupted
		case <-time.After(opts.every):
		}
	}
}
