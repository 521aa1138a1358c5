package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/state"
)

type bootOptions struct {
	variableOptions
	name      string
	until     string
	onFailure string
	dryRun    bool
}

func newBootCommand(g *globalOptions) *cobra.Command {
	var opts bootOptions
	cmd := &cobra.Command{
		Use:   "boot PLAN",
		Short: "Bring up a new run of a plan, level by level, and verify every service",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBoot(cmd.Context(), g, opts, args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	opts.variableOptions.addFlags(f)
	f.StringVarP(&opts.name, "name", "n", "", "the run's `name` (default: chosen from the plan's)")
	f.StringVar(&opts.until, "until", "", "stop when this `level` is complete; `launch resume` goes on")
	f.StringVar(&opts.onFailure, "on-failure", string(engine.Stop), "what a failed service means for the rest: stop, continue or terminate")
	f.BoolVar(&opts.dryRun, "dry-run", false, "say what would be done, and do nothing")
	return cmd
}

func runBoot(ctx context.Context, g *globalOptions, opts bootOptions, planArg string, stdout, stderr io.Writer) error {
	asJSON, err := g.json()
	if err != nil {
		return err
	}
	switch engine.OnFailure(opts.onFailure) {
	case engine.Stop, engine.Continue, engine.Terminate:
	default:
		return usagef("--on-failure %s: it can be stop, continue or terminate", opts.onFailure)
	}
	dir, err := planDir(planArg)
	if err != nil {
		return err
	}
	base := cmp.Or(opts.name, baseName(dir))
	if err := checkRunName(base); err != nil {
		return err
	}
	if opts.dryRun {
		tree, err := opts.layOut(loadOptions(), dir, base, engine.NewID(), stderr)
		if err != nil {
			return err
		}
		return showDryRun(stdout, tree, opts.until, asJSON)
	}
	if _, err := opts.given(); err != nil { // before there is a state directory
		return err
	}
	eng, err := g.engineOptions(ctx, "boot", true)
	if err != nil {
		return err
	}
	defer eng.DB.Close()
	view := newView(ctx, asJSON, stdout, stderr)
	defer view.close()
	eng.Observe = view.event
	s, err := opts.create(ctx, eng, dir, base, stderr)
	if err != nil {
		return err
	}
	view.begin(s, s.Tree())
	return drive(s, view, func() error { return s.Boot(ctx) })
}

// create records a new run, under the name that was asked for or else under one that is free.
func (o *bootOptions) create(ctx context.Context, eng engine.Options, dir, base string, stderr io.Writer) (*engine.Session, error) {
	set := engine.Settings{Until: o.until, OnFailure: engine.OnFailure(o.onFailure)}
	for {
		name := base
		if o.name == "" {
			var err error
			if name, err = freeName(ctx, eng.DB, base); err != nil {
				return nil, err
			}
		}
		id := engine.NewID()
		tree, err := o.layOut(eng, dir, name, id, stderr)
		if err != nil {
			return nil, err
		}
		s, err := engine.Create(ctx, eng, tree, name, id, dir, set)
		switch {
		case !errors.Is(err, state.ErrNameTaken):
			return s, err
		case o.name != "":
			return nil, usagef("a run named %s is live already: choose another name with -n, or end it with `launch terminate %s`", name, name)
		}
		stderr = io.Discard // another boot took the chosen name meanwhile; what the plan is warned of was told
	}
}

// layOut reads the plan for a run of this name.
func (o *bootOptions) layOut(eng engine.Options, dir, name, id string, stderr io.Writer) (*plan.Tree, error) {
	given, err := o.given()
	if err != nil {
		return nil, err
	}
	tree, err := loadPlan(eng, dir, plan.Inputs{Variables: given, RunName: name, RunID: id}, stderr)
	if err != nil {
		return nil, err
	}
	if o.until != "" && tree.Level(o.until) == nil {
		return nil, usagef("--until %s: the plan has no such level; it has %s", o.until, someOf(levelNames(tree)))
	}
	return tree, nil
}

func levelNames(tree *plan.Tree) []string {
	names := make([]string, len(tree.Levels))
	for i, level := range tree.Levels {
		names[i] = level.Name
	}
	return names
}

// freeName chooses a name for a run that was given none: shop, shop-2, shop-3 …
func freeName(ctx context.Context, db *state.DB, base string) (string, error) {
	runs, err := db.Runs(ctx)
	if err != nil {
		return "", err
	}
	taken := map[string]bool{}
	for _, r := range runs {
		taken[r.Name] = taken[r.Name] || r.Status != state.RunTerminated
	}
	name := base
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name, nil
}

// planDir resolves the plan argument.
func planDir(arg string) (string, error) {
	info, err := os.Stat(arg)
	switch {
	case arg == "":
		return "", usagef("the plan is named by an empty text: name its directory")
	case errors.Is(err, os.ErrNotExist):
		return "", usagef("there is no plan at %s", arg)
	case err != nil:
		return "", usagef("plan: %v", err)
	case !info.IsDir():
		return "", usagef("%s is a file: a plan is a directory with plan.hcl in it", arg)
	}
	return filepath.Abs(arg)
}

// baseName is the run name that a plan directory suggests.
func baseName(dir string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_", r) {
			return r
		}
		return '-'
	}, filepath.Base(dir))
	name = strings.TrimLeft(name, ".-_")
	if name == "" {
		name = "run-" + time.Now().Format("20060102")
	}
	return name[:min(len(name), 48)]
}

// loadPlan reads and lays out a plan, and shows its warnings.
func loadPlan(opts engine.Options, dir string, in plan.Inputs, stderr io.Writer) (*plan.Tree, error) {
	defer whileReading(dir)()
	p, tree, diags, err := engine.Load(opts, dir, in)
	if err != nil {
		return nil, err
	}
	if len(diags) > 0 {
		writeDiagnostics(stderr, warnings(diags), p.Sources())
	}
	return tree, nil
}

func warnings(diags hcl.Diagnostics) hcl.Diagnostics {
	var found hcl.Diagnostics
	for _, d := range diags {
		if d.Severity == hcl.DiagWarning {
			found = append(found, d)
		}
	}
	return found
}
