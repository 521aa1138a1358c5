package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// lightweight boots the project's own small system, and says where the time goes.
func lightweight(ctx context.Context, b *bench) error {
	plan := filepath.Join(b.root, "plans", "lightweight")
	if _, err := os.Stat(plan); err != nil {
		b.report.skip("boot plans/lightweight", err.Error())
		return nil
	}
	var cold []usage
	var path []byte
	for range min(3, b.rounds) {
		run, err := b.boot(ctx, plan)
		if err != nil {
			b.on(ctx, run, "terminate")
			b.report.skip("boot plans/lightweight", lastLines(err.Error()))
			return nil
		}
		cold = append(cold, run.boot)
		u, err := b.on(ctx, run, "history", "--critical-path", "-o", "json")
		if err != nil {
			return err
		}
		path = u.out
		if _, err := b.end(ctx, run); err != nil {
			return err
		}
	}
	b.report.budget("boot plans/lightweight, cold", median(cold, wall), time.Second)
	var steps []struct {
		Level, Service string
		Began, Ready   time.Time
		Phases         map[string]float64
	}
	if err := json.Unmarshal(path, &steps); err != nil {
		return fmt.Errorf("read the critical path: %w", err)
	}
	for _, s := range steps {
		b.report.tell("  "+s.Service, show(s.Ready.Sub(s.Began)),
			fmt.Sprintf("booting %.0f ms, verifying %.0f ms", s.Phases["booting"]*1e3, s.Phases["verifying"]*1e3))
	}
	return nil
}
