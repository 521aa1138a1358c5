package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/pflag"
)

// thingView is something in the cloud as `history --cloud -o json` shows it.
type thingView struct {
	cloudThing
	Ends []string `json:"ends"` // commands, any of which deals with it
}

// showCloud lists what the cloud has with the tags of runs, of this machine and others, and says what ends it.
func showCloud(ctx context.Context, g *globalOptions, where cloudOptions, name string, stdout io.Writer) error {
	asJSON, err := g.json()
	if err != nil {
		return err
	}
	eng, err := g.engineOptions(ctx, "history", true) // a machine without runs can look for those of others
	if err != nil {
		return err
	}
	defer eng.DB.Close()
	things, unseen := findInCloud(ctx, eng, where, name)
	if unseen != nil && len(things) == 0 {
		return unseen
	}
	if asJSON {
		views := make([]thingView, len(things))
		for i, c := range things {
			views[i] = thingView{c, c.ends()}
		}
		return errors.Join(unseen, writeJSON(stdout, views))
	}
	if len(things) == 0 {
		fmt.Fprintln(stdout, "nothing in the cloud has the tags of a run")
		return nil
	}
	writeThings(stdout, things)
	fmt.Fprintln(stdout)
	told := map[string]bool{}
	for _, c := range things {
		if told[c.RunID] {
			continue
		}
		told[c.RunID] = true
		switch ends := c.ends(); {
		case len(ends) > 1:
			fmt.Fprintf(stdout, "run %s is %s: where it is live on another machine, end it there; else `%s` ends what is left of it, and `%s` takes it over\n", c.Run, c.runIs(), ends[0], ends[1])
		default:
			fmt.Fprintf(stdout, "run %s is %s: `%s` ends it\n", c.Run, c.runIs(), ends[0])
		}
	}
	return unseen
}

// ends are the commands that deal with the thing. Its tags can be anybody's, so only what could be the name or the
// id of a run is taken into a command, which somebody may paste into a shell.
func (c *cloudThing) ends() []string {
	run := c.Run
	if checkRunName(run) != nil {
		run = c.RunID
	}
	switch {
	case checkRunName(run) != nil:
		return []string{"launch clean --all"}
	case c.Live:
		return []string{"launch terminate " + run}
	case c.Known:
		return []string{"launch clean " + run}
	}
	return []string{"launch clean " + run, "launch adopt " + run + " PLAN"}
}

// needsCloud refuses flags that say where in the cloud to look, where nobody looks there.
func needsCloud(flags *pflag.FlagSet) error {
	for _, name := range []string{"region", "profile", "endpoint"} {
		if flags.Changed(name) {
			return usagef("--%s says where in the cloud to look: it goes with --cloud", name)
		}
	}
	return nil
}
