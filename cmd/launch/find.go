package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/launchplan/launch/state"
)

// findRun returns the run that is named, or the only live one.
func findRun(ctx context.Context, db *state.DB, name string) (state.Run, error) {
	if name != "" {
		run, err := db.FindRun(ctx, name)
		if errors.Is(err, state.ErrNoRun) {
			return run, fmt.Errorf("%w: %q; `launch list` shows all", state.ErrNoRun, name)
		}
		return run, err
	}
	runs, err := db.Runs(ctx)
	if err != nil {
		return state.Run{}, err
	}
	var live []state.Run
	for _, r := range runs {
		if r.Status != state.RunTerminated {
			live = append(live, r)
		}
	}
	switch len(live) {
	case 0:
		if len(runs) == 0 {
			return state.Run{}, fmt.Errorf("%w: none is live; `launch boot PLAN` brings one up", state.ErrNoRun)
		}
		return state.Run{}, fmt.Errorf("%w: none is live; `launch list` shows those that have ended, which have to be named", state.ErrNoRun)
	case 1:
		return live[0], nil
	}
	names := make([]string, len(live))
	for i, r := range live {
		names[i] = r.Name
	}
	return state.Run{}, usagef("several runs are live, say which: %s", strings.Join(names, ", "))
}

// findHistory is findRun, but an ended run will do where none is live and only one is known.
func findHistory(ctx context.Context, db *state.DB, name string) (state.Run, error) {
	if name == "" {
		if runs, err := db.Runs(ctx); err == nil && len(runs) == 1 {
			return runs[0], nil
		}
	}
	return findRun(ctx, db, name)
}

// runAndItsServices resolves [RUN] [SERVICE...] to a run, all its services and those of them that are named. What is a
// run's name is the run; where none is named, find chooses.
func runAndItsServices(ctx context.Context, db *state.DB, find findFunc, args []string) (run state.Run, all, named []string, err error) {
	name := ""
	if len(args) > 0 {
		_, err := db.FindRun(ctx, args[0])
		switch {
		case err == nil:
			name, args = args[0], args[1:]
		case !errors.Is(err, state.ErrNoRun):
			return run, nil, nil, err
		}
	}
	run, err = find(ctx, db, name)
	if name == "" && len(args) > 0 && errors.As(err, new(usageError)) {
		err = usagef("there is no run %q, and %v", args[0], err) // it may be a service
	}
	if err != nil {
		return run, nil, nil, err
	}
	rows, err := db.Services(ctx, run.ID)
	if err != nil {
		return run, nil, nil, err
	}
	for _, row := range rows {
		all = append(all, row.Address)
	}
	for i, arg := range args {
		address, err := fullAddress(run, all, arg)
		if err != nil && i == 0 && name == "" {
			if len(args) > 1 {
				_, err = findRun(ctx, db, arg) // a run was meant: there is none
				return run, nil, nil, err
			}
			return run, nil, nil, usagef("there is no run %[1]q, and run %[2]s has no service %[1]q; it has %[3]s", arg, run.Name, someOf(all))
		}
		if err != nil {
			return run, nil, nil, err
		}
		named = append(named, address)
	}
	return run, all, named, nil
}

// A findFunc returns the run that is named, or chooses one.
type findFunc func(ctx context.Context, db *state.DB, name string) (state.Run, error)

// fullAddress finds the service that is meant: by its address, or by the end of it where only one ends so. Where there
// is none, the error says which there are.
func fullAddress(run state.Run, known []string, meant string) (string, error) {
	var ending []string
	for _, address := range known {
		if address == meant {
			return meant, nil
		}
		if strings.HasSuffix(address, "."+meant) {
			ending = append(ending, address)
		}
	}
	switch {
	case len(ending) == 1:
		return ending[0], nil
	case len(ending) > 1:
		return "", usagef("several services of run %s are called so: %s", run.Name, someOf(ending))
	}
	return "", usagef("run %s has no service %q; it has %s", run.Name, meant, someOf(known))
}

// someOf lists names, the first ten of many.
func someOf(names []string) string {
	if len(names) > 10 {
		return strings.Join(names[:10], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}
