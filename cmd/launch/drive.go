package main

import (
	"context"
	"errors"
	"io"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/state"
)

// onRun opens an existing run for a command that drives it, does it, and shows what came of it.
func onRun(ctx context.Context, g *globalOptions, vars *variableOptions, command, name string, stdout, stderr io.Writer, do func(*engine.Session) error) error {
	find := func(db *state.DB) (state.Run, error) { return findRun(ctx, db, name) }
	return onFound(ctx, g, vars, command, find, func(f *foundRun) error {
		tellKept(stderr, f.run, f.given)
		return f.drive(ctx, stdout, stderr, nil, do)
	})
}

// onServices is onRun for [RUN] [SERVICE...], of which at least so many have to be named. Where none is, do gets none.
func onServices(ctx context.Context, g *globalOptions, vars *variableOptions, command string, args []string, least int, stdout, stderr io.Writer, do func(s *engine.Session, named []string) error) error {
	var named []string
	find := func(db *state.DB) (state.Run, error) {
		run, all, services, err := runAndItsServices(ctx, db, findRun, args)
		if err == nil && len(services) < least {
			err = usagef("say which services of run %s: it has %s", run.Name, someOf(all))
		}
		named = services
		return run, err
	}
	return onFound(ctx, g, vars, command, find, func(f *foundRun) error {
		tellKept(stderr, f.run, f.given)
		return f.drive(ctx, stdout, stderr, nil, func(s *engine.Session) error { return do(s, named) })
	})
}

// A foundRun is a run that a command is to drive, with what that takes.
type foundRun struct {
	eng    engine.Options
	run    state.Run
	given  map[string]plan.Given
	asJSON bool
}

// onFound finds the run that a command is for. Nobody else is kept from it yet.
func onFound(ctx context.Context, g *globalOptions, vars *variableOptions, command string, find func(*state.DB) (state.Run, error), do func(*foundRun) error) error {
	asJSON, err := g.json()
	if err != nil {
		return err
	}
	eng, err := g.engineOptions(ctx, command, false)
	if err != nil {
		return err
	}
	defer eng.DB.Close()
	run, err := find(eng.DB)
	if err != nil {
		return err
	}
	given, err := vars.given()
	if err != nil {
		return err
	}
	return do(&foundRun{eng: eng, run: run, given: given, asJSON: asJSON})
}

// A question is asked before anything is changed. It returns the plan that the run is to have then.
type question func(*engine.Session) (*plan.Tree, error)

// drive opens the run. It asks, where there is something to ask, before it shows anything else: a live tree would be drawn
// over the question.
func (f *foundRun) drive(ctx context.Context, stdout, stderr io.Writer, ask question, do func(*engine.Session) error) error {
	view := newView(ctx, f.asJSON, stdout, stderr)
	defer view.close()
	f.eng.Observe = view.event
	s, err := engine.Open(ctx, f.eng, f.run, f.given)
	if err != nil {
		return err
	}
	tree := s.Tree()
	if ask != nil {
		if tree, err = ask(s); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	view.begin(s, tree)
	return drive(s, view, func() error { return do(s) })
}

// drive carries out what a command does with a run, and shows what came of it.
func drive(s *engine.Session, view view, do func() error) error {
	err := s.Mask(do())
	summary := s.Summary()
	if closeErr := s.Close(); closeErr != nil { // it tells the last events
		summary.Unrecorded = true
		err = errors.Join(err, closeErr)
	}
	view.end(summary, err)
	return shown(err)
}

// shown is an error after a view of the run. That has the services that failed, and nothing else of what an error may say.
func shown(err error) error {
	if _, only := err.(*engine.RunError); only {
		return toldError{err}
	}
	return err
}
