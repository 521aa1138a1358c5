package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners/ec2"
	"github.com/launchplan/launch/state"
)

// cloudOptions say where in the cloud to look, where the runs that are known do not tell.
type cloudOptions struct {
	region, profile, endpoint string
}

func (c *cloudOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&c.region, "region", "", "the `region` to look in (default: those of the runs that are known, else the AWS SDK's)")
	f.StringVar(&c.profile, "profile", "", "the AWS `profile`")
	f.StringVar(&c.endpoint, "endpoint", "", "the `URL` of a compatible cloud")
}

// An orphan is something in the cloud that no live run of this state directory owns.
type orphan struct {
	Kind    string    `json:"kind"`
	ID      string    `json:"id"`
	Region  string    `json:"region"`
	Run     string    `json:"run"`
	RunID   string    `json:"run_id"`
	Service string    `json:"service"`
	State   string    `json:"state"`
	Created time.Time `json:"created"`
	Known   bool      `json:"known"` // its run is known here, and ended
	found   ec2.Found
	config  ec2.Config
}

func newCleanCommand(g *globalOptions) *cobra.Command {
	var (
		where    cloudOptions
		yes, all bool
	)
	cmd := &cobra.Command{
		Use:   "clean [RUN]",
		Short: "Find, and end, what is left in the cloud of runs that are no longer live",
		Long: `Find, and end, what is left in the cloud of runs that are no longer live.

Everything that launch makes in EC2 has tags that say which run it belongs to.
What belongs to a run that is live here is left alone. What belongs to a run
that is not known here may be live on another machine: it is listed, and ended
only where the run is named (by name or id), or with --all.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runClean(cmd.Context(), g, where, first(args), yes, all, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	where.addFlags(cmd.Flags())
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&all, "all", false, "end what belongs to runs that are not known here, too")
	return cmd
}

func runClean(ctx context.Context, g *globalOptions, where cloudOptions, name string, yes, all bool, stdin io.Reader, stdout, stderr io.Writer) error {
	asJSON, err := g.json()
	if err != nil {
		return err
	}
	eng, err := g.engineOptions(ctx, "clean", true)
	if err != nil {
		return err
	}
	defer eng.DB.Close()
	orphans, err := findOrphans(ctx, eng, where, name)
	if err != nil {
		return err
	}
	if asJSON {
		if err := writeJSON(stdout, orphans); err != nil {
			return err
		}
	} else {
		writeOrphans(stdout, orphans)
	}
	var doomed []orphan
	for _, o := range orphans {
		if o.Known || all || name != "" {
			doomed = append(doomed, o)
		}
	}
	if left := len(orphans) - len(doomed); left > 0 {
		fmt.Fprintf(stderr, "%s not known here: they may be live on another machine, so they are left alone (name the run, or add --all)\n", count(left, "thing")+" of runs")
	}
	if len(doomed) == 0 {
		return nil
	}
	if !yes {
		if err := confirm(stdin, stderr, fmt.Sprintf("End %s?", count(len(doomed), "thing"))); err != nil {
			return err
		}
	}
	return endOrphans(ctx, doomed, stdout)
}

// endOrphans ends what was found, and reports what could not be ended.
func endOrphans(ctx context.Context, doomed []orphan, stdout io.Writer) error {
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

// placeOf names where a configuration looks.
func placeOf(c ec2.Config) string { return c.Region + "\n" + c.Profile + "\n" + c.Endpoint }

// findOrphans looks in every place that runs know of, or in the one that was asked for.
func findOrphans(ctx context.Context, eng engine.Options, where cloudOptions, name string) ([]orphan, error) {
	runs, err := eng.DB.Runs(ctx)
	if err != nil {
		return nil, err
	}
	live, known := map[string]bool{}, map[string]bool{}
	for _, r := range runs {
		known[r.ID] = true
		live[r.ID] = r.Status != state.RunTerminated
	}
	places, err := cloudPlaces(ctx, eng, where, runs)
	if err != nil {
		return nil, err
	}
	orphans := []orphan{}
	for _, config := range places {
		found, err := ec2.Find(ctx, config)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			if live[f.RunID] || name != "" && name != f.Run && name != f.RunID {
				continue
			}
			orphans = append(orphans, orphan{
				Kind: f.Kind, ID: f.ID, Region: f.Region, Run: f.Run, RunID: f.RunID, Service: f.Service,
				State: f.State, Created: f.Created, Known: known[f.RunID], found: f, config: config,
			})
		}
	}
	return orphans, nil
}

// cloudPlaces are the regions, profiles and endpoints to look in.
func cloudPlaces(ctx context.Context, eng engine.Options, where cloudOptions, runs []state.Run) ([]ec2.Config, error) {
	asked := ec2.Config{Region: where.region, Profile: where.profile, Endpoint: where.endpoint}
	if where != (cloudOptions{}) {
		return []ec2.Config{asked}, nil
	}
	seen := map[string]bool{}
	var places []ec2.Config
	for _, run := range runs {
		tree, err := engine.Restore(ctx, eng, run, run.Generation, nil)
		if err != nil {
			continue // another version's plan: its place can be given with --region
		}
		configs, err := ec2Configs(tree)
		if err != nil {
			return nil, err
		}
		for _, c := range configs {
			c = ec2.Config{Region: c.Region, Profile: c.Profile, Endpoint: c.Endpoint}
			if !seen[placeOf(c)] {
				seen[placeOf(c)] = true
				places = append(places, c)
			}
		}
	}
	if len(places) == 0 {
		places = append(places, asked)
	}
	return places, nil
}

func ec2Configs(tree *plan.Tree) ([]ec2.Config, error) {
	encoded, err := engine.RunnerConfigs(tree, "ec2")
	if err != nil {
		return nil, err
	}
	configs := make([]ec2.Config, len(encoded))
	for i, e := range encoded {
		if err := json.Unmarshal(e, &configs[i]); err != nil {
			return nil, fmt.Errorf("read a runner block: %w", err)
		}
	}
	return configs, nil
}

func writeOrphans(w io.Writer, orphans []orphan) {
	if len(orphans) == 0 {
		fmt.Fprintln(w, "nothing is left of runs that are no longer live")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KIND\tID\tREGION\tRUN\tSERVICE\tSTATE\tAGE\tRUN IS")
	for _, o := range orphans {
		is := "unknown here"
		if o.Known {
			is = "terminated"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", o.Kind, o.ID, o.Region, o.Run, o.Service, o.State, age(o.Created), is)
	}
	t.Flush()
}
