package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/runners/ec2"
)

type cleanOptions struct {
	cloudOptions
	yes bool
	all bool
}

func newCleanCommand(g *globalOptions) *cobra.Command {
	var opts cleanOptions
	cmd := &cobra.Command{
		Use:   "clean [RUN]",
		Short: "Find, and end, what is left in the cloud of runs that are no longer live",
		Long: `Find, and end, what is left in the cloud of runs that are no longer live.

Everything that launch makes in EC2 has tags that say which run it belongs to.
What belongs to a run that is live here is left alone ('launch history --cloud'
shows that, too). What belongs to a run that is not known here may be live on
another machine: it is listed, and ended only where the run is named (by name or
id), or with --all.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runClean(cmd.Context(), g, opts, first(args), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	opts.addFlags(cmd.Flags())
	cmd.Flags().BoolVarP(&opts.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&opts.all, "all", false, "end what belongs to runs that are not known here, too")
	return cmd
}

func runClean(ctx context.Context, g *globalOptions, opts cleanOptions, name string, stdin io.Reader, stdout, stderr io.Writer) error {
	asJSON, err := g.json()
	if err != nil {
		return err
	}
	eng, err := g.engineOptions(ctx, "clean", true)
	if err != nil {
		return err
	}
	defer eng.DB.Close()
	orphans, unseen := findInCloud(ctx, eng, opts.cloudOptions, name)
	orphans = slices.DeleteFunc(orphans, func(t cloudThing) bool { return t.Live })
	if unseen != nil && len(orphans) == 0 {
		return unseen
	}
	if asJSON {
		if err := writeJSON(stdout, orphans); err != nil {
			return err
		}
	} else if len(orphans) == 0 {
		fmt.Fprintln(stdout, "nothing is left of runs that are no longer live")
	} else {
		writeThings(stdout, orphans)
	}
	var doomed []cloudThing
	for _, o := range orphans {
		if o.Known || opts.all || name != "" {
			doomed = append(doomed, o)
		}
	}
	if left := len(orphans) - len(doomed); left > 0 {
		fmt.Fprintf(stderr, "%s not known here: they may be live on another machine, so they are left alone (name the run, or add --all)\n", count(left, "thing")+" of runs")
	}
	if len(doomed) == 0 {
		return unseen
	}
	if !opts.yes {
		if err := confirm(ctx, stdin, stderr, fmt.Sprintf("End %s?", count(len(doomed), "thing"))); err != nil {
			return err
		}
	}
	if asJSON {
		stdout = stderr // the list is all of the result
	}
	return errors.Join(unseen, endOrphans(ctx, doomed, stdout))
}

// endOrphans ends what was found, and reports what could not be ended.
func endOrphans(ctx context.Context, doomed []cloudThing, stdout io.Writer) error {
	byConfig := map[string][]ec2.Found{}
	configs := map[string]ec2.Config{}
	for _, o := range doomed {
		key := placeOf(o.config)
		byConfig[key] = append(byConfig[key], o.found)
		configs[key] = o.config
	}
	var errs []error
	for key, list := range byConfig {
		failed := ec2.End(ctx, configs[key], list)
		for id, err := range failed {
			errs = append(errs, fmt.Errorf("%s: %w", id, err))
		}
		fmt.Fprintf(stdout, "%s ended\n", count(len(list)-len(failed), "thing"))
	}
	return errors.Join(errs...)
}
