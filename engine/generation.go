package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/state"
)

// all are the services that the run has, also those of earlier generations that are still to be ended.
func (s *Session) all() []*service { return slices.Concat(s.services, s.gone) }

// addGone takes in a service that is no longer in the run's plan, but was not ended yet.
func (s *Session) addGone(ctx context.Context, row state.Service) error {
	svc := &service{row: row}
	if err := s.decodeDetail(svc); err != nil {
		return err
	}
	from := []int{svc.note.Generation}
	if svc.note.Generation == 0 { // it was never begun, and went from the latest plan that has it
		from = slices.Sorted(maps.Keys(s.set.Former))
	}
	for _, number := range slices.Backward(from) {
		tree, err := s.generation(ctx, number)
		if err != nil {
			return err
		}
		if svc.belongTo(tree) {
			svc.note.Generation = number
			s.gone = append(s.gone, svc)
			return s.restoreKnown(svc)
		}
	}
	return s.opts.DB.Damaged("run "+s.run.Name, "a service "+row.Address+" that no plan of it knows")
}

// generation lays out an earlier plan of the run, with what is known of its services.
func (s *Session) generation(ctx context.Context, number int) (*plan.Tree, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if number == s.run.Generation {
		return s.tree, nil
	}
	if tree := s.trees[number]; tree != nil {
		return tree, nil
	}
	run := s.run
	if f, ok := s.set.Former[number]; ok {
		run.Plan, run.Captured = f.Plan, f.Captured
	}
	tree, err := Restore(ctx, s.opts, run, number, s.given)
	if err != nil {
		return nil, fmt.Errorf("the plan that the service was brought up from cannot be read: %w", err)
	}
	for _, spec := range tree.Services {
		current := s.byAddress[spec.Address]
		if current == nil {
			continue
		}
		// What was brought up again since then is known as it is now: that is where those who use it find it.
		former := &service{spec: spec, tree: tree, row: current.snapshot(), note: current.note}
		if err := s.restoreKnown(former); err != nil && current.note.Generation == number {
			return nil, err
		}
	}
	s.masker.also(tree.SecretsAfter)
	if s.trees == nil {
		s.trees = map[int]*plan.Tree{}
	}
	s.trees[number] = tree
	return tree, nil
}

// formerly makes a service what it was in the plan that brought it up: it is ended by that plan's programs.
func (s *Session) formerly(ctx context.Context, svc *service) error {
	if svc.note.Generation == 0 || svc.note.Generation == s.Run().Generation {
		return nil
	}
	tree, err := s.generation(ctx, svc.note.Generation)
	if err != nil {
		return err
	}
	s.place(svc, tree)
	return nil
}

// currently makes a service what it is in the run's present plan.
func (s *Session) currently(svc *service) {
	s.place(svc, s.tree)
	svc.note.Generation = s.Run().Generation
}

// inPlan is the service as the run's present plan has it.
func (s *Session) inPlan(svc *service) *plan.Service {
	if svc.tree != s.tree {
		if spec := s.tree.Service(svc.row.Address); spec != nil {
			return spec
		}
	}
	return svc.spec
}

// belongTo finds the service in a tree.
func (svc *service) belongTo(tree *plan.Tree) bool {
	if svc.tree == tree {
		return true
	}
	spec := tree.Service(svc.row.Address)
	if spec != nil {
		svc.spec, svc.tree = spec, tree
	}
	return spec != nil
}

// endGone ends services that the plan no longer has, those that came up last first.
func (s *Session) endGone(ctx context.Context) error {
	slices.SortStableFunc(s.gone, func(a, b *service) int { return cmp.Compare(b.row.Position, a.row.Position) })
	for _, svc := range s.gone {
		if svc.on == nil {
			svc.on = s.onOf(svc.spec)
		}
	}
	var errs []error
	for from := 0; from < len(s.gone) && ctx.Err() == nil; {
		to := from + 1
		for to < len(s.gone) && s.gone[to].row.Level == s.gone[from].row.Level {
			to++
		}
		errs = append(errs, s.endAll(ctx, s.gone[from:to]))
		from = to
	}
	return errors.Join(errs...)
}
