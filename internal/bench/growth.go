package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// The goals of growth: time per service against that at a thousand, and memory for each service more.
const (
	flat          = 1.3
	memoryPerMore = 4 << 10
)

// A grown run is what one size of a plan took.
type grown struct {
	services                                int
	validate, boot, cached, list, terminate usage
	store                                   int64
}

// growth takes ever more services through a run's life.
func growth(ctx context.Context, b *bench) error {
	sizes := []int{100, 1000, 10_000}
	if b.long {
		sizes = append(sizes, 100_000)
	}
	var all []grown
	for _, n := range sizes {
		rounds := 1
		if n <= 1000 {
			rounds = 3
		}
		g, err := b.grow(ctx, n, rounds)
		if err != nil {
			return err
		}
		all = append(all, g)
	}
	thousand := all[1]
	b.report.budget("validate a plan of 10,000 services", all[2].validate.wall, time.Second)
	for _, g := range all[2:] {
		for _, c := range []struct {
			name string
			of   func(grown) usage
		}{
			{"boot", func(g grown) usage { return g.boot }},
			{"terminate", func(g grown) usage { return g.terminate }},
			{"validate", func(g grown) usage { return g.validate }},
			{"status --cached", func(g grown) usage { return g.cached }},
			{"list", func(g grown) usage { return g.list }},
		} {
			ours, base := c.of(g), c.of(thousand)
			b.report.compare(fmt.Sprintf("%s, time per service at %d", c.name, g.services),
				per(ours.wall, g.services), "at 1,000:", per(base.wall, thousand.services), flat)
			more := float64(ours.peak-base.peak) / float64(g.services-thousand.services)
			b.report.amount(fmt.Sprintf("%s, memory per service at %d", c.name, g.services), more/1024, "KiB", memoryPerMore>>10)
		}
	}
	last := all[len(all)-1]
	b.report.tell("store, bytes per service", fmt.Sprintf("%.0f B", float64(last.store)/float64(last.services)),
		fmt.Sprintf("of a run of %d, with its journal", last.services))
	return nil
}

// per keeps nanoseconds: what a list takes for each service is less than a microsecond.
func per(d time.Duration, n int) time.Duration { return d / time.Duration(n) }

// grow takes n services through a run's life, as often as rounds says.
func (b *bench) grow(ctx context.Context, n, rounds int) (grown, error) {
	g := grown{services: n}
	plan, err := b.plan(shape{1, n})
	if err != nil {
		return g, err
	}
	var validate, boot, cached, list, terminate []usage
	for range rounds {
		u, err := command(ctx, plan, b.launch, "validate", plan)
		if err != nil {
			return g, err
		}
		validate = append(validate, u)
		run, err := b.boot(ctx, plan)
		if err != nil {
			return g, err
		}
		boot = append(boot, run.boot)
		if info, err := os.Stat(filepath.Join(run.state, "launch.db")); err == nil {
			g.store = info.Size()
		}
		if u, err = b.on(ctx, run, "status", "--cached"); err != nil {
			return g, err
		}
		cached = append(cached, u)
		if u, err = b.on(ctx, run, "list"); err != nil {
			return g, err
		}
		list = append(list, u)
		if u, err = b.end(ctx, run); err != nil {
			return g, err
		}
		terminate = append(terminate, u)
	}
	g.validate, g.boot, g.cached, g.list, g.terminate = middle(validate), middle(boot), middle(cached), middle(list), middle(terminate)
	return g, nil
}

func middle(all []usage) usage {
	return usage{wall: median(all, wall), cpu: median(all, cpu), peak: median(all, peak)}
}
