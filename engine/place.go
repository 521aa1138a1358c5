package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
)

const (
	otherKindReason = "the plan makes a pool of what was a host, or the other way round"
	elsewhereReason = "the plan has it on another host now"
)

// unfit is why nothing can be gone on with of what there is of the service, so that it is brought up from its beginning; "" where it can.
func (s *Session) unfit(ctx context.Context, svc *service) string {
	if svc.endedBefore() {
		return "it was being ended"
	}
	if why := s.misfit(ctx, svc); why != "" {
		return why
	}
	if s.elsewhere(svc) {
		return elsewhereReason
	}
	return ""
}

// misfit is why what the service has cannot become what the plan wants, so that it is given back and made anew; "" where it can.
func (s *Session) misfit(ctx context.Context, svc *service) string {
	spec := s.inPlan(svc)
	if s.otherKind(svc, spec) {
		return otherKindReason
	}
	err := s.fits(ctx, spec)
	if err == nil || errors.Is(err, runners.ErrNoHost) && svc.note.Facts == nil {
		return ""
	}
	return err.Error()
}

// otherKind says whether what the service has is a pool and the plan wants a host, or the other way round.
func (s *Session) otherKind(svc *service, spec *plan.Service) bool {
	return svc.note.Facts != nil && svc.note.Facts.Pool != spec.Runner.IsPool()
}

// fits asks a service's runner whether the machine that the service has is one that it would make.
func (s *Session) fits(ctx context.Context, spec *plan.Service) error {
	p, err := s.makerOf(ctx, spec)
	if p == nil || err != nil {
		return nil // bringing it up meets the same error, and reports it
	}
	target, diags := spec.Target()
	if diags.HasErrors() {
		return nil // this, too
	}
	return p.Fits(runners.Want{Service: spec.Address, Host: target})
}

// makerOf returns who makes the machine of a service, nil where it has none that is made for it.
func (s *Session) makerOf(ctx context.Context, spec *plan.Service) (runners.Provisioner, error) {
	if spec.On != nil || spec.Runner.Type == "local" {
		return nil, nil
	}
	r, err := s.hosts.runner(ctx, spec.Runner)
	if err != nil {
		return nil, err
	}
	return provisioner(r), nil
}

// moved says whether a service that had a machine of its own is to run on something else.
func moved(from, to *plan.Service) bool {
	return from.On == nil && (to.On != nil || to.Runner.Type != from.Runner.Type)
}

// elsewhere says whether the present plan, with the values that there are now, has a service on another host than the
// one on which it was brought up.
func (s *Session) elsewhere(svc *service) bool {
	if svc.note.Facts == nil {
		return false
	}
	to := s.inPlan(svc)
	if s.otherwise(svc, to) {
		return true
	}
	if to.On != nil {
		return false
	}
	now, diags := to.Target()
	return !diags.HasErrors() && now != svc.note.Target
}

// otherwise says whether a plan reaches the service in another way than the one that brought it up.
func (s *Session) otherwise(svc *service, spec *plan.Service) bool {
	from := s.cameFrom(svc)
	return from.Runner.Address() != spec.Runner.Address() || onAddress(from) != onAddress(spec)
}

// place makes a service what it is in a tree, on the host that it has there.
func (s *Session) place(svc *service, tree *plan.Tree) {
	before, was := svc.spec, svc.tree
	if !svc.belongTo(tree) {
		return
	}
	if was != tree {
		svc.recall.Lock()
		svc.exportsKnown = false // to this one
		svc.recall.Unlock()
	}
	var on *service
	if svc.spec.On != nil {
		on = s.beside(svc, svc.spec.On)
	}
	if svc.spec.Runner.Address() != before.Runner.Address() || on != svc.on {
		svc.host, svc.on = nil, on
	}
}

// leaveFormer gives back the machines that earlier plans asked for, where they are neither used nor wanted: a reload came
// before their services got so far.
func (s *Session) leaveFormer(ctx context.Context) error {
	if s.unfinished { // any of these may have asked for some
		for number := range s.set.Former {
			_, _ = s.generation(ctx, number)
		}
	}
	gone := s.goneByAddress()
	unwanted := map[runners.Provisioner][]string{}
	for _, g := range s.former {
		if g.err != nil {
			continue // nothing is known of it
		}
		for _, was := range g.tree.Services {
			svc := cmp.Or(s.byAddress[was.Address], gone[was.Address])
			if svc != nil && (!moved(was, svc.spec) || svc.note.Facts != nil && !moved(was, s.cameFrom(svc))) {
				continue
			}
			p, err := s.makerOf(ctx, was)
			if err != nil {
				return err
			}
			if p != nil {
				unwanted[p] = append(unwanted[p], was.Address)
			}
		}
	}
	for p, services := range unwanted {
		for service, err := range p.Release(ctx, services) {
			return fmt.Errorf("give back the machine that an earlier plan asked for %s: %w", service, err)
		}
	}
	return nil
}

// cameFrom is the service as it is in the plan that brought it up.
func (s *Session) cameFrom(svc *service) *plan.Service {
	if g := s.former[svc.note.Generation]; g != nil && g.err == nil {
		return cmp.Or(g.tree.Service(svc.address()), svc.spec)
	}
	return svc.spec
}

func onAddress(spec *plan.Service) string {
	if spec.On == nil {
		return ""
	}
	return spec.On.Address
}

// beside finds another service of the plan that svc belongs to, as it is for svc; nil where there is no such service now.
func (s *Session) beside(svc *service, spec *plan.Service) *service {
	if svc.tree == s.tree {
		return s.byAddress[spec.Address]
	}
	return s.former[svc.note.Generation].services[spec.Address]
}

// releaseHost gives back the machine that was made for the service, so that bringing it up makes a new one. The runner that
// made it may know of it alone, and the present one has to learn that it is gone.
func (s *Session) releaseHost(ctx context.Context, svc *service) error {
	var errs []error
	for _, spec := range []*plan.Service{svc.spec, s.inPlan(svc)} {
		p, err := s.makerOf(ctx, spec)
		if p == nil || err != nil {
			errs = append(errs, err)
			continue
		}
		if err := p.Release(ctx, []string{svc.address()})[svc.address()]; err != nil {
			errs = append(errs, fmt.Errorf("its old host could not be released: %w", err))
		}
	}
	return errors.Join(errs...)
}
