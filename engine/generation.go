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

func (s *Session) goneByAddress() map[string]*service {
	found := make(map[string]*service, len(s.gone))
	for _, svc := range s.gone {
		found[svc.address()] = svc
	}
	return found
}

// addGone takes in a service that is no longer in the run's plan, but was not ended yet.
func (s *Session) addGone(ctx context.Context, row state.Service) error {
	svc := &service{row: row}
	s.withheld = s.withheld || len(row.Withheld) > 0
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

// A generation is an earlier plan of the run, with services of it as they were when this command began. One that comes
// from there is ended with what it knew, while those that it uses or stands on may be brought up again at the same time.
type generation struct {
	tree     *plan.Tree
	err      error               // why there is no tree
	services map[string]*service // by address: those that others stand on, or whose exports only their hosts keep
}

// generation lays out an earlier plan of the run. What its services are now is told to it by recallGenerations.
func (s *Session) generation(ctx context.Context, number int) (*plan.Tree, error) {
	if number == s.Run().Generation {
		return s.tree, nil
	}
	g := s.former[number]
	if g == nil {
		run := s.Run()
		if f, ok := s.set.Former[number]; ok {
			run.Plan, run.Captured = f.Plan, f.Captured
		}
		g = &generation{}
		if tree, err := Restore(ctx, s.opts, run, number, s.given); err != nil {
			g.err = fmt.Errorf("the plan that the service was brought up from cannot be read: %w", err)
		} else {
			g.tree = tree
			s.masker.also(tree.SecretsAfter)
		}
		s.former[number] = g
	}
	return g.tree, g.err
}

// recallGenerations lays out the plans that services come from, and tells them what is known of their services. What was
// brought up again since then is known as it is now: that is where those who use it find it.
func (s *Session) recallGenerations(ctx context.Context) error {
	for _, svc := range s.services {
		if svc.note.Generation != 0 {
			_, _ = s.generation(ctx, svc.note.Generation) // its end meets the same error, and reports it
		}
	}
	gone := s.goneByAddress()
	for number, g := range s.former {
		if g.err != nil {
			continue
		}
		if err := s.recall(g, number, gone); err != nil {
			return err
		}
	}
	return nil
}

// recall tells a generation what is known of its services, and keeps those that others need.
func (s *Session) recall(g *generation, number int, gone map[string]*service) error {
	bases := map[*plan.Service]bool{}
	for _, spec := range g.tree.Services {
		bases[spec.On] = true
	}
	g.services = map[string]*service{}
	for _, spec := range g.tree.Services {
		now := cmp.Or(s.byAddress[spec.Address], gone[spec.Address])
		if now == nil {
			continue
		}
		then := &service{spec: spec, tree: g.tree, row: now.snapshot(), note: now.note}
		if f := now.note.Facts; f != nil {
			then.note.Facts = new(*f)
		}
		if err := s.restoreKnown(then); err != nil && now.note.Generation == number {
			return err
		}
		if then.note.Generation = number; s.otherwise(now, spec) {
			then.note.Facts = nil // this plan does not know how to reach it where it is now
		}
		if spec.On != nil {
			then.on = g.services[spec.On.Address]
		}
		if bases[spec] || len(then.row.Withheld) > 0 {
			g.services[spec.Address] = then
		}
	}
	return nil
}

// formerly makes a service what it was in the plan that brought it up: it is ended by that plan's programs.
func (s *Session) formerly(svc *service) error {
	number := svc.note.Generation
	if number == 0 || number == s.Run().Generation {
		return nil
	}
	g := s.former[number]
	if g.err != nil {
		return g.err
	}
	s.place(svc, g.tree)
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

// leaveOld ends what earlier plans began and the present one does not have.
func (s *Session) leaveOld(ctx context.Context) error {
	if err := s.endGone(ctx); err != nil {
		return err
	}
	return s.leaveFormer(ctx)
}

// endGone ends services that the plan no longer has, those that came up last first.
func (s *Session) endGone(ctx context.Context) error {
	slices.SortStableFunc(s.gone, func(a, b *service) int { return cmp.Compare(b.row.Position, a.row.Position) })
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
