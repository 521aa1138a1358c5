package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/ec2"
	"github.com/launchplan/launch/state"
)

type adoptOptions struct {
	variableOptions
	cloudOptions
}

func newAdoptCommand(g *globalOptions) *cobra.Command {
	var opts adoptOptions
	cmd := &cobra.Command{
		Use:   "adopt RUN PLAN",
		Short: "Rebuild a run whose record was lost, from the tags of its instances, as far as they tell",
		Long: `Rebuild a run whose record was lost, from the tags of its instances, as far as they tell.

RUN is its name or id as the tags have it ('launch clean' lists them), PLAN the
plan that it was booted from, with its variables. Afterwards 'launch status'
verifies its services, 'launch repair' brings up again what cannot be verified,
and 'launch terminate' ends it.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runAdopt(cmd.Context(), g, &opts, args[0], args[1], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	opts.variableOptions.addFlags(cmd.Flags())
	opts.cloudOptions.addFlags(cmd.Flags())
	return cmd
}

func runAdopt(ctx context.Context, g *globalOptions, opts *adoptOptions, name, planArg string, stdout, stderr io.Writer) error {
	asJSON, err := g.json()
	if err != nil {
		return err
	}
	dir, err := planDir(planArg)
	if err != nil {
		return err
	}
	given, err := opts.given()
	if err != nil {
		return err
	}
	eng, err := g.engineOptions(ctx, "adopt", true)
	if err != nil {
		return err
	}
	defer eng.DB.Close()
	lost, err := findLost(ctx, eng, opts, dir, name)
	if err != nil {
		return err
	}
	if err := lost.unknownHere(ctx, eng.DB); err != nil {
		return err
	}
	tree, err := loadPlan(eng, dir, plan.Inputs{Variables: given, RunName: lost.name, RunID: lost.id}, stderr)
	if err != nil {
		return err
	}
	resources, err := lost.resources()
	if err != nil {
		return err
	}
	keyLost, err := lost.endKeyPairs(ctx)
	if err != nil {
		return err
	}
	view := newView(ctx, asJSON, stdout, stderr)
	defer view.close()
	eng.Observe = view.event
	s, err := engine.Create(ctx, eng, tree, lost.name, lost.id, dir, engine.Settings{OnFailure: engine.Stop})
	if err != nil {
		return err
	}
	view.begin(s, s.Tree())
	services := 0
	err = drive(s, view, func() (err error) {
		services, err = s.Adopt(ctx, resources)
		return err
	})
	if err != nil || asJSON {
		return err
	}
	next := fmt.Sprintf("`launch status %s` verifies them", lost.name)
	if keyLost {
		next = fmt.Sprintf("the key to their machines was lost with the record: `launch repair %[1]s` replaces them, `launch terminate %[1]s` ends them", lost.name)
	}
	fmt.Fprintf(stdout, "run %s is adopted: %s of %d found by their hosts' tags; %s\n", lost.name, count(services, "service"), len(tree.Services), next)
	return nil
}

// A lostRun is a run of which only the cloud knows, by its tags.
type lostRun struct {
	name, id string
	blocks   []ec2.Config // the runner blocks of its plan
	places   []ec2.Config // where each block has its machines
	things   []cloudThing
}

// findLost finds the run of this name or id where its plan, in dir, has its machines.
func findLost(ctx context.Context, eng engine.Options, opts *adoptOptions, dir, name string) (*lostRun, error) {
	given, err := opts.given()
	if err != nil {
		return nil, err
	}
	_, probe, _, err := engine.Load(eng, dir, plan.Inputs{Variables: given, RunName: name, RunID: engine.NewID()})
	if err != nil {
		return nil, err
	}
	blocks, err := ec2Configs(probe)
	if err != nil {
		return nil, err
	}
	places, err := adoptPlaces(ctx, blocks, opts.cloudOptions)
	if err != nil {
		return nil, err
	}
	things, err := findRunsThings(ctx, places, name)
	if err != nil {
		return nil, err
	}
	return &lostRun{name: things[0].Run, id: things[0].RunID, blocks: blocks, places: places, things: things}, nil
}

// unknownHere refuses a run that this store has, and one whose name it has for another.
func (l *lostRun) unknownHere(ctx context.Context, db *state.DB) error {
	if _, err := db.FindRun(ctx, l.id); err == nil {
		return fmt.Errorf("run %s is known here already: nothing is to be adopted", l.name)
	}
	if namesake, err := db.FindRun(ctx, l.name); err == nil && namesake.Status != state.RunTerminated {
		return usagef("another run named %[1]s is live here: end it with `launch terminate %[1]s`, then adopt this one, or name another state directory with --state", l.name)
	}
	return nil
}

// resources are what the run's runners are to know of what was found.
func (l *lostRun) resources() ([]runners.Resource, error) {
	var all []runners.Resource
	for i, b := range l.blocks {
		if b.Region == "" { // it stays where it was looked for, whatever region later commands have in their environment
			all = append(all, ec2.HomeRow(b, l.places[i].Region))
		}
	}
	for _, thing := range l.things {
		r, err := thing.found.Resource()
		if errors.Is(err, errors.ErrUnsupported) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// endKeyPairs removes the run's key pairs, and says whether it had any: a new one is made when a host has to be replaced.
func (l *lostRun) endKeyPairs(ctx context.Context) (had bool, err error) {
	for _, thing := range l.things {
		if !thing.found.KeyPair() {
			continue
		}
		had = true
		if err := ec2.End(ctx, thing.config, []ec2.Found{thing.found})[thing.ID]; err != nil {
			return had, fmt.Errorf("remove the key pair %s, the private half of which was lost with the record: %w", thing.ID, err)
		}
	}
	return had, nil
}

// adoptPlaces are where a plan's runner blocks have their machines, one for each. What was asked for holds where a block
// says nothing of a region, and in place of its profile and endpoint.
func adoptPlaces(ctx context.Context, blocks []ec2.Config, where cloudOptions) ([]ec2.Config, error) {
	if len(blocks) == 0 {
		return nil, usagef("the plan has no service on EC2: only those can be found by their tags")
	}
	inRegion := func(b ec2.Config) bool { return b.Region == "" || b.Region == where.region }
	if where.region != "" && !slices.ContainsFunc(blocks, inRegion) { // the run would make new ones in place of those that are there
		return nil, usagef("the plan's runner blocks name the region %s, not %s: a run is adopted where its plan has it", blocks[0].Region, where.region)
	}
	places := make([]ec2.Config, len(blocks))
	for i, b := range blocks {
		place := ec2.Config{Region: cmp.Or(b.Region, where.region), Profile: cmp.Or(where.profile, b.Profile), Endpoint: cmp.Or(where.endpoint, b.Endpoint)}
		region, err := ec2.RegionOf(ctx, place)
		if err != nil {
			return nil, err
		}
		place.Region = region
		places[i] = place
	}
	return places, nil
}

// findRunsThings finds what the cloud has of one run.
func findRunsThings(ctx context.Context, places []ec2.Config, name string) ([]cloudThing, error) {
	var found []cloudThing
	err := inPlaces(ctx, places, func(f ec2.Found, place ec2.Config) {
		if f.Run == name || f.RunID == name {
			found = append(found, cloudThing{ID: f.ID, Region: f.Region, Run: f.Run, RunID: f.RunID, found: f, config: place})
		}
	})
	if err != nil {
		return nil, err // what is not seen may be the run's
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: nothing in the cloud has the tags of run %q", state.ErrNoRun, name)
	}
	for _, f := range found {
		if f.RunID != found[0].RunID {
			return nil, usagef("several runs are named %s; give the id: %s or %s", name, found[0].RunID, f.RunID)
		}
	}
	return found, nil
}
