package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/state"
)

// A pathStep is a service on the critical path of a boot: the one of its level that became ready last.
type pathStep struct {
	Level   string             `json:"level"`
	Service string             `json:"service"`
	Began   time.Time          `json:"began"`
	Ready   time.Time          `json:"ready"`
	Phases  map[string]float64 `json:"phases"` // seconds by status

	until time.Time // when the last of Phases ended
}

// showCriticalPath tells what a boot took its time for: from the level that was complete last, back through the level
// that each one waited for longest.
func showCriticalPath(ctx context.Context, eng engine.Options, run state.Run, asJSON bool, stdout io.Writer) error {
	steps, err := lastSteps(ctx, eng.DB, run)
	if err != nil {
		return err
	}
	tree, err := engine.Restore(ctx, eng, run, run.Generation, nil)
	if err != nil {
		return err
	}
	path := criticalPath(tree, steps)
	if asJSON {
		return writeJSON(stdout, path)
	}
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LEVEL\tSERVICE\tTOOK\tPROVISION\tCONNECT\tBOOT\tVERIFY")
	var whole time.Duration
	for _, s := range path {
		took := s.Ready.Sub(s.Began)
		whole += took
		fmt.Fprintf(t, "%s\t%s\t%s", s.Level, s.Service, short(took))
		for _, st := range []state.Status{state.Provisioning, state.Connecting, state.Booting, state.Verifying} {
			fmt.Fprintf(t, "\t%.3fs", s.Phases[string(st)])
		}
		fmt.Fprintln(t)
	}
	fmt.Fprintf(t, "\tin all\t%s\n", short(whole))
	return t.Flush()
}

// lastSteps reads from the journal how each service was brought up the last time.
func lastSteps(ctx context.Context, db *state.DB, run state.Run) (map[string]*pathStep, error) {
	last := map[string]*pathStep{} // by service
	for e, err := range db.Journal(ctx, run.ID, 0) {
		if err != nil {
			return nil, err
		}
		if e.Kind != "service" {
			continue
		}
		step := last[e.Service]
		if e.From == string(state.Pending) || step == nil {
			step = &pathStep{Service: e.Service, Began: e.At, Phases: map[string]float64{}, until: e.At}
			last[e.Service] = step
		} else if step.Ready.IsZero() {
			step.Phases[e.From] += e.At.Sub(step.until).Seconds()
			step.until = e.At
		}
		if e.To == string(state.Ready) && step.Ready.IsZero() {
			step.Ready = e.At
		}
	}
	return last, nil
}

// criticalPath walks from the level that was complete last back to one that waited for nothing.
func criticalPath(tree *plan.Tree, steps map[string]*pathStep) []*pathStep {
	slowest := map[*plan.Level]*pathStep{}
	var end *plan.Level
	for _, lv := range tree.Levels {
		for _, svc := range lv.Services {
			if s := steps[svc.Address]; s != nil && !s.Ready.IsZero() && (slowest[lv] == nil || s.Ready.After(slowest[lv].Ready)) {
				s.Level = lv.Name
				slowest[lv] = s
			}
		}
		if slowest[lv] == nil { // without services of its own it is complete when what it waits for is
			slowest[lv] = latest(lv.After, slowest)
		}
		if slowest[lv] != nil && (end == nil || !slowest[lv].Ready.Before(slowest[end].Ready)) {
			end = lv
		}
	}
	path := []*pathStep{}
	for lv := end; lv != nil; {
		if s := slowest[lv]; len(lv.Services) > 0 && s != nil {
			path = append([]*pathStep{s}, path...)
		}
		lv = latestLevel(lv.After, slowest)
	}
	return path
}

func latest(levels []*plan.Level, slowest map[*plan.Level]*pathStep) *pathStep {
	if lv := latestLevel(levels, slowest); lv != nil {
		return slowest[lv]
	}
	return nil
}

func latestLevel(levels []*plan.Level, slowest map[*plan.Level]*pathStep) *plan.Level {
	var last *plan.Level
	for _, lv := range levels {
		if slowest[lv] != nil && (last == nil || slowest[lv].Ready.After(slowest[last].Ready)) {
			last = lv
		}
	}
	return last
}
