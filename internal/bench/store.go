package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/local"
	"github.com/launchplan/launch/state"
)

// store boots in this process, where the store's own counts can be read.
func store(ctx context.Context, b *bench) error {
	var commits []float64
	var longest []time.Duration
	for range min(3, b.rounds) {
		stats, err := b.bootHere(ctx, shape{1, 1000})
		if err != nil {
			return err
		}
		commits = append(commits, float64(stats.Commits))
		longest = append(longest, stats.Longest)
	}
	b.report.amount("commits for a level of 1,000", median(commits, func(x float64) float64 { return x }), "commits", 200)
	b.report.budget("longest wait for a commit", quantile(longest, 0.5), 10*time.Millisecond)
	return nil
}

func (b *bench) bootHere(ctx context.Context, s shape) (state.Stats, error) {
	none := state.Stats{}
	dir, err := b.plan(s)
	if err != nil {
		return none, err
	}
	stateDir, err := b.fresh("state")
	if err != nil {
		return none, err
	}
	defer os.RemoveAll(stateDir)
	db, err := state.Open(ctx, stateDir)
	if err != nil {
		return none, err
	}
	defer db.Close()
	opts := engine.Options{
		DB: db, Dir: stateDir, Environ: os.Environ(), Command: "bench",
		Runners: []engine.RunnerType{engine.Register("local", plan.NoHost,
			func(ctx context.Context, config local.Config, env runners.Env) (runners.Runner, error) {
				config.Supervisor = []string{b.launch, "supervise"}
				return local.New(ctx, config, env)
			})},
	}
	var writer *state.Writer
	var once sync.Once
	id := engine.NewID()
	opts.Observe = func(engine.Event) { once.Do(func() { writer = db.Writer(id) }) }

	_, tree, diags, err := engine.Load(opts, dir, plan.Inputs{RunName: "run", RunID: id})
	if err != nil {
		return none, err
	}
	if diags.HasErrors() {
		return none, diags
	}
	session, err := engine.Create(ctx, opts, tree, "run", id, dir, engine.Settings{})
	if err != nil {
		return none, err
	}
	if err := session.Boot(ctx); err != nil {
		return none, err
	}
	if err := session.Close(); err != nil {
		return none, err
	}
	stats := writer.Stats()
	if took := 3 * int64(s.services()); stats.Changes < took {
		return none, fmt.Errorf("%d transitions were written, which is fewer than %d", stats.Changes, took)
	}
	return stats, b.endHere(ctx, opts, id)
}

// endHere terminates, so that no supervisor is left behind.
func (b *bench) endHere(ctx context.Context, opts engine.Options, id string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	run, err := opts.DB.FindRun(ctx, "run")
	if err != nil {
		return err
	}
	session, err := engine.Open(ctx, opts, run, nil)
	if err != nil {
		return err
	}
	if err := session.Terminate(ctx); err != nil {
		return err
	}
	return session.Close()
}
