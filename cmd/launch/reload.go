package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/state"
)

type reloadOptions struct {
	variableOptions
	yes bool
}

func newReloadCommand(g *globalOptions) *cobra.Command {
	var opts reloadOptions
	cmd := &cobra.Command{
		Use:   "reload RUN PLAN",
		Short: "Change a run to a changed plan: show the difference, then carry it out",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runReload(cmd.Context(), g, &opts, args[0], args[1], cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	opts.addFlags(cmd.Flags())
	cmd.Flags().BoolVarP(&opts.yes, "yes", "y", false, "do not ask")
	return cmd
}

func runReload(ctx context.Context, g *globalOptions, opts *reloadOptions, name, planArg string, stdin io.Reader, stdout, stderr io.Writer) error {
	dir, err := planDir(planArg)
	if err != nil {
		return err
	}
	find := func(db *state.DB) (state.Run, error) { return findRun(ctx, db, name) }
	return onFound(ctx, g, &opts.variableOptions, "reload", find, func(f *foundRun) error {
		var tree *plan.Tree
		ask := func(s *engine.Session) (*plan.Tree, error) {
			inputs, err := s.ReloadInputs(f.given)
			if err != nil {
				return nil, err
			}
			if tree, err = loadPlan(loadOptions(), dir, inputs, stderr); err != nil {
				return nil, err
			}
			difference, err := s.Compare(ctx, tree)
			if err != nil {
				return nil, err
			}
			writeDifference(stderr, s.Run().Name, difference)
			if opts.yes {
				return tree, nil
			}
			return tree, confirm(ctx, stdin, stderr, "Carry this out?")
		}
		return f.drive(ctx, stdout, stderr, ask, func(s *engine.Session) error { return s.Reload(ctx, tree, dir) })
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
