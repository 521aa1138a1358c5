package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/state"
)

// onRun opens an existing run for a command that drives it, does it, and shows what came of it.
func onRun(ctx context.Context, g *globalOptions, vars *variableOptions, command, name string, stdout, stderr io.Writer, do func(*engine.Session) error) error {
	asJSON, err := g.json()
	if err != nil {
		return err
	}
	eng, err := g.engineOptions(ctx, command, false)
	if err != nil {
		return err
	}
	defer eng.DB.Close()
	run, err := findRun(ctx, eng.DB, name)
	if err != nil {
		return err
	}
	given, err := vars.given()
	if err != nil {
		return err
	}
	return onOpened(ctx, eng, run, given, asJSON, stdout, stderr, do)
}

func onOpened(ctx context.Context, eng engine.Options, run state.Run, given map[string]plan.Given, asJSON bool, stdout, stderr io.Writer, do func(*engine.Session) error) error {
	view := newView(ctx, asJSON, stdout, stderr)
	defer view.close()
	eng.Observe = view.event
	s, err := engine.Open(ctx, eng, run, given)
	if err != nil {
		return err
	}
	view.begin(s.Run(), s.Tree())
	return drive(s, view, func() error { return do(s) })
}

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

func newWatchCommand(g *globalOptions) *cobra.Command {
	var (
		vars   variableOptions
		repair bool
		times  int
	)
	every, tries := watchEvery, repairTries
	cmd := &cobra.Command{
		Use:   "watch RUN",
		Short: "Verify a run again and again, with --repair mend it, and say what changed",
		Long: `Verify a run again and again, with --repair mend it, and say what changed.

It goes on until it is interrupted, or for as often as --times says. The exit
status is that of the last verification, so that cron and systemd can act on it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if every <= 0 || tries < 1 || times < 0 {
				return usagef("--every and --tries must be more than nothing, --times not less")
			}
			ctx := cmd.Context()
			for n := 1; ; n++ {
				err := onRun(ctx, g, &vars, "watch", args[0], cmd.OutOrStdout(), cmd.ErrOrStderr(), func(s *engine.Session) error {
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

func newReloadCommand(g *globalOptions) *cobra.Command {
	var (
		vars variableOptions
		yes  bool
	)
	cmd := &cobra.Command{
		Use:   "reload RUN PLAN",
		Short: "Change a run to a changed plan: show the difference, then carry it out",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runReload(cmd.Context(), g, &vars, args[0], args[1], yes, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	vars.addFlags(cmd.Flags())
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func runReload(ctx context.Context, g *globalOptions, vars *variableOptions, name, planArg string, yes bool, stdin io.Reader, stdout, stderr io.Writer) error {
	dir, err := planDir(planArg)
	if err != nil {
		return err
	}
	given, err := vars.given()
	if err != nil {
		return err
	}
	return onRun(ctx, g, vars, "reload", name, stdout, stderr, func(s *engine.Session) error {
		run := s.Run()
		inputs, err := s.ReloadInputs(given)
		if err != nil {
			return err
		}
		tree, err := loadPlan(loadOptions(), dir, inputs, stderr)
		if err != nil {
			return err
		}
		difference, err := s.Compare(ctx, tree)
		if err != nil {
			return err
		}
		writeDifference(stderr, run.Name, difference)
		if !yes {
			if err := confirm(stdin, stderr, "Carry this out?"); err != nil {
				return err
			}
		}
		return s.Reload(ctx, tree, dir)
	})
}

// writeDifference shows what a reload would do.
func writeDifference(w io.Writer, run string, d *engine.Difference) {
	if d.Empty() {
		fmt.Fprintf(w, "no service of run %s differs; all %d are verified\n", run, d.Unchanged)
		return
	}
	for _, part := range []struct {
		sign, what string
		services   []string
	}{
		{"-", "is ended", d.Gone},
		{"+", "is brought up", d.New},
		{"~", "is ended and brought up again", d.Changed},
		{"~", "is ended and brought up again on a machine made anew", d.Replaced},
		{"~", "is given another size", d.Resized},
		{"?", "uses values of those; brought up again where they change", d.Depends},
	} {
		for _, s := range part.services {
			fmt.Fprintf(w, "  %s %s %s\n", part.sign, s, part.what)
		}
	}
	fmt.Fprintf(w, "  %s unchanged\n", count(d.Unchanged, "service"))
}
