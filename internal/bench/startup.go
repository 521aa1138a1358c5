package main

import (
	"context"
	"path/filepath"
	"time"
)

// starts is how often a command that takes milliseconds is measured.
const starts = 21

// empty runs a Go program that does next to nothing.
func (b *bench) empty(ctx context.Context) (usage, error) {
	return command(ctx, b.dir, b.stamp, filepath.Join(b.dir, "stamped"))
}

// pace is how long an empty program takes now, in milliseconds.
func (b *bench) pace(ctx context.Context) (float64, error) {
	var bare []usage
	for range starts {
		u, err := b.empty(ctx)
		if err != nil {
			return 0, err
		}
		bare = append(bare, u)
	}
	return median(bare, wall).Seconds() * 1e3, nil
}

// startUp measures what a command costs that does next to nothing, against an empty Go program.
func startUp(ctx context.Context, b *bench) error {
	plan, err := b.plan(shape{2, 5})
	if err != nil {
		return err
	}
	run, err := b.boot(ctx, plan)
	if err != nil {
		return err
	}
	var bare, version, cached []usage
	for range starts {
		u, err := b.empty(ctx)
		if err != nil {
			return err
		}
		bare = append(bare, u)
		if u, err = command(ctx, b.dir, b.launch, "version"); err != nil {
			return err
		}
		version = append(version, u)
		if u, err = b.on(ctx, run, "status", "--cached"); err != nil {
			return err
		}
		cached = append(cached, u)
	}
	empty := median(bare, wall)
	b.report.tell("an empty Go program", show(empty), "")
	b.report.compare("launch version, wall", median(version, wall), "an empty Go program", empty, 0)
	b.report.budget("launch version, budget", median(version, wall), 15*time.Millisecond)
	b.report.compare("status --cached, wall", median(cached, wall), "an empty Go program", empty, 0)
	b.report.budget("status --cached, budget", median(cached, wall), 30*time.Millisecond)
	b.report.amount("launch version, memory", mib(median(version, peak)), "MiB", 25)
	_, err = b.end(ctx, run)
	return err
}
