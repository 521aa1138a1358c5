package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A shape is levels of services, each with a boot and a ready program that do nothing.
type shape struct{ levels, width int }

func (s shape) String() string { return fmt.Sprintf("%d x %d", s.levels, s.width) }
func (s shape) services() int  { return s.levels * s.width }

// plan writes the shape as a launch plan.
func (b *bench) plan(s shape) (string, error) {
	var text strings.Builder
	for i := range s.levels {
		fmt.Fprintf(&text, `level "l%d" {
  service "s%d" {
    count = %d
    boot  { command = ["/bin/true"] }
    ready { command = ["/bin/true"] }
  }
}
`, i, i, s.width)
	}
	return b.planOf(text.String())
}

func (b *bench) planOf(text string) (string, error) {
	dir, err := b.fresh("plan")
	if err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "plan.hcl"), []byte(text), 0o600)
}

// A booted plan is a run in a state directory of its own.
type booted struct {
	plan, state string
	boot        usage
}

// boot boots a plan as a new run in a new state directory.
func (b *bench) boot(ctx context.Context, plan string) (booted, error) {
	state, err := b.fresh("state")
	if err != nil {
		return booted{}, err
	}
	u, err := command(ctx, plan, b.launch, "--state", state, "boot", plan, "-n", "run")
	return booted{plan, state, u}, err
}

// on runs a command of launch on a booted plan.
func (b *bench) on(ctx context.Context, r booted, args ...string) (usage, error) {
	return command(ctx, r.plan, b.launch, append([]string{"--state", r.state}, args...)...)
}

func (b *bench) end(ctx context.Context, r booted) (usage, error) {
	u, err := b.on(ctx, r, "terminate", "run")
	if err == nil {
		err = os.RemoveAll(r.state)
	}
	return u, err
}
