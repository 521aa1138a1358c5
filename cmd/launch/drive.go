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
	return onFound(ctx, g, vars, command, find, stdout, stderr, nil, do)
}

// onServices is onRun for [RUN] [SERVICE...]. Where no service is named, do gets none.
func onServices(ctx context.Context, g *globalOptions, vars *variableOptions, command string, args []string, stdout, stderr io.Writer, do func(s *engine.Session, named []string) error) error {
	var named []string
	find := func(db *state.DB) (run state.Run, err error) {
		run, _, named, err = runAndItsServices(ctx, db, findRun, args)
		return run, err
	}
	return onFound(ctx, g, vars, command, find, stdout, stderr, nil, func(s *engine.Session) error { return do(s, named) })
}

func onFound(ctx context.Context, g *globalOptions, vars *variableOptions, command string, find func(*state.DB) (state.Run, error), stdout, stderr io.Writer, ask question, do func(*engine.Session) error) error {
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
	if command != "reload" {
		tellKept(stderr, run, given)
	}
	return onOpened(ctx, eng, run, given, asJSON, stdout, stderr, ask, do)
}

// A question is asked before anything is changed. It returns the plan that the run is to have then.
type question func(*engine.Session) (*plan.Tree, error)

// onOpened asks, where there is something to ask, before it shows anything else: a live tree would be drawn over the question.
func onOpened(ctx context.Context, eng engine.Options, run state.Run, given map[string]plan.Given, asJSON bool, stdout, stderr io.Writer, ask question, do func(*engine.Session) error) error {
	view := newView(ctx, asJSON, stdout, stderr)
	defer view.close()
	eng.Observe = view.event
	s, err := engine.Open(ctx, eng, run, given)
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
	err := do()
	summary := s.Summary()
	closeErr := s.Close() // tells the last events
	summary.Unrecorded = closeErr != nil
	all := errors.Join(err, closeErr)
	view.end(summary, all)
	if errors.As(err, new(*engine.RunError)) {
		return toldError{all} // with the services that failed
	}
	return all
}
