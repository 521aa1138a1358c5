package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/engine"
)

func newWatchCommand(g *globalOptions) *cobra.Command {
	var (
		vars   variableOptions
		repair bool
		times  int
	)
	every, tries := watchEvery, repairTries
	cmd := &cobra.Command{
		Use:   "watch [RUN]",
		Short: "Verify a run again and again, with --repair mend it, and say what changed",
		Long: `Verify a run again and again, with --repair mend it, and say what changed.

It goes on until it is interrupted, or for as often as --times says. The exit
status is that of the last verification, so that cron and systemd can act on it.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if every <= 0 || tries < 1 || times < 0 {
				return usagef("--every and --tries must be more than nothing, --times not less")
			}
			ctx, name := cmd.Context(), first(args)
			for n := 1; ; n++ {
				err := onRun(ctx, g, &vars, "watch", name, cmd.OutOrStdout(), cmd.ErrOrStderr(), func(s *engine.Session) error {
					name = s.Run().Name // the run that it began with, also when another one is live
					if repair {
						return s.Repair(ctx, nil, tries)
					}
					return s.Verify(ctx)
				})
				code := exitCode(err)
				if n == times || code == exitUsage || code == exitNoRun || code == exitInterrupted {
					return err
				}
				if err != nil {
					report(cmd.ErrOrStderr(), err)
				}
				select {
				case <-ctx.Done():
					return engine.ErrInterrupted
				case <-time.After(every):
				}
			}
		},
	}
	f := cmd.Flags()
	vars.addFlags(f)
	f.BoolVar(&repair, "repair", false, "bring up again what fails")
	f.DurationVar(&every, "every", every, "how often")
	f.IntVar(&tries, "tries", tries, "how often one service is brought up again at most, each time")
	f.IntVar(&times, "times", 0, "end after so many verifications (0: go on)")
	return cmd
}
