package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
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

// A cloudThing is something in the cloud that bears the tags of a run.
type cloudThing struct {
	Kind    string    `json:"kind"`
	ID      string    `json:"id"`
	Region  string    `json:"region"`
	Run     string    `json:"run"`
	RunID   string    `json:"run_id"`
	Service string    `json:"service"`
	State   string    `json:"state"`
	Created time.Time `json:"created"`
	Known   bool      `json:"known"` // its run is known here
	Live    bool      `json:"live"`  // and has not ended
	found   ec2.Found
	config  ec2.Config
}

// placeOf names where a configuration looks.
func placeOf(c ec2.Config) string { return c.Region + "\n" + c.Profile + "\n" + c.Endpoint }

// findInCloud looks in every place that runs know of, or in the one that was asked for, for what has the tags of a
// run: of the one that is named, or of all. It changes nothing. Where a place does not answer, it tells what the others
// have, with the error.
func findInCloud(ctx context.Context, eng engine.Options, where cloudOptions, name string) ([]cloudThing, error) {
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
	things := []cloudThing{}
	err = inPlaces(ctx, places, func(f ec2.Found, place ec2.Config) {
		if name != "" && name != f.Run && name != f.RunID {
			return
		}
		things = append(things, cloudThing{
			Kind: f.Kind, ID: f.ID, Region: f.Region, Run: f.Run, RunID: f.RunID, Service: f.Service,
			State: f.State, Created: f.Created, Known: known[f.RunID], Live: live[f.RunID], found: f, config: place,
		})
	})
	return things, err
}

// inPlaces calls found once for each thing in some places, and tells of the places that do not answer.
func inPlaces(ctx context.Context, places []ec2.Config, found func(ec2.Found, ec2.Config)) error {
	var errs []error
	asked := map[string]bool{}
	seen := map[string]bool{} // two blocks may name one place differently
	for _, place := range places {
		place = ec2.Config{Region: place.Region, Profile: place.Profile, Endpoint: place.Endpoint}
		if asked[placeOf(place)] {
			continue
		}
		asked[placeOf(place)] = true
		all, err := ec2.Find(ctx, place)
		if err != nil {
			errs = append(errs, err)
		}
		for _, f := range all {
			if id := f.Identity(); !seen[id] {
				seen[id] = true
				found(f, place)
			}
		}
	}
	return errors.Join(errs...)
}

// cloudPlaces are the regions, profiles and endpoints to look in.
func cloudPlaces(ctx context.Context, eng engine.Options, where cloudOptions, runs []state.Run) ([]ec2.Config, error) {
	asked := ec2.Config{Region: where.region, Profile: where.profile, Endpoint: where.endpoint}
	if where != (cloudOptions{}) {
		return []ec2.Config{asked}, nil
	}
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
		resources, err := eng.DB.Resources(ctx, run.ID)
		if err != nil {
			return nil, err
		}
		rows := make([]runners.Resource, len(resources))
		for i, r := range resources {
			rows[i] = runners.Resource{Kind: r.Kind, Key: r.Key, ID: r.ID}
		}
		for _, c := range configs {
			places = append(places, ec2.Home(c, rows))
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

func writeThings(w io.Writer, things []cloudThing) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KIND\tID\tREGION\tRUN\tSERVICE\tSTATE\tAGE\tRUN IS")
	for _, c := range things {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.Kind, c.ID, c.Region, c.Run, c.Service, c.State, age(c.Created), c.runIs())
	}
	t.Flush()
}

// runIs says how this machine's store has the thing's run.
func (c *cloudThing) runIs() string {
	switch {
	case c.Live:
		return "live"
	case c.Known:
		return "terminated"
	}
	return "unknown here"
}
