package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/state"
)

// endToRelease is end for a service whose host may be released next. Where it is, and nothing runs there but what
// goes with it, there is no need to connect to it once more.
func (s *Session) endToRelease(ctx context.Context, svc *service, started func()) (problems []string, err error) {
	if err := s.formerly(svc); err != nil || !svc.atRest() || !s.hostGoes(ctx, svc) {
		return s.end(ctx, svc, started)
	}
	return nil, s.advance(svc, state.Terminating, "").Wait()
}

// hostGoes says whether the service's host is given back with it, or with the service on whose host it is where the
// whole run ends.
func (s *Session) hostGoes(ctx context.Context, svc *service) bool {
	return (svc.on == nil || s.Run().Status == state.RunTerminating) && s.wasMade(ctx, svc.owner())
}

// owner is the service whose host this one uses.
func (svc *service) owner() *service {
	for svc.on != nil {
		svc = svc.on
	}
	return svc
}

// wasMade says whether the service's host is one that its runner has made for it, and ends when it is released.
func (s *Session) wasMade(ctx context.Context, svc *service) bool {
	if !s.isMade(svc) || svc.hostNamed() {
		return false
	}
	r, err := s.hosts.runner(ctx, svc.spec.Runner)
	return err == nil && provisioner(r) != nil
}

// hostNamed says whether the service has a host that the plan named.
func (svc *service) hostNamed() bool { return svc.note.Facts != nil && svc.note.Facts.Named }

// atRest says whether a service has nothing on its host but files, and nothing to be run or awaited at its end.
func (svc *service) atRest() bool {
	n := svc.note
	return len(n.Groups) == 0 && !n.Open && !n.OpenEnd && !svc.spec.HasProcess && !svc.spec.HasTerminate && !svc.spec.HasGone
}

// isMade says whether the service has a host of its own that its runner made, or would make.
func (s *Session) isMade(svc *service) bool {
	return svc.on == nil && svc.spec.Runner.Type != "local"
}

// release gives back the hosts that were made for services.
func (s *Session) release(ctx context.Context, services []*leaving) {
	byRunner := map[runners.Provisioner][]string{}
	failed := map[string]error{}
	for _, l := range services {
		if l.hostNamed() && !s.forced && (l.unreached != "" || len(l.problems) > 0) {
			continue // it stays, and the next terminate has to find it
		}
		r, err := s.hosts.runner(ctx, l.spec.Runner)
		if err != nil {
			failed[l.address()] = err
		} else if p := provisioner(r); p != nil {
			byRunner[p] = append(byRunner[p], l.address())
			l.released = !l.hostNamed()
		}
	}
	for p, list := range byRunner {
		maps.Copy(failed, p.Release(ctx, list))
	}
	for _, l := range services {
		if err := failed[l.address()]; err != nil {
			l.problems = append(l.problems, "its host could not be released: "+err.Error())
			l.released = false
		}
	}
}

// sweep removes what the run has beside its services: its folders on hosts, and what runners made for it.
func (s *Session) sweep(ctx context.Context, clean bool) []error {
	var errs []error
	if clean {
		errs = s.sweepHosts(ctx)
	}
	if err := s.openMakers(ctx); err != nil {
		errs = append(errs, err)
	}
	for _, r := range s.hosts.opened() {
		if p := provisioner(r); p != nil {
			if err := p.Sweep(ctx); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errs
}

// sweepHosts removes the run's folders on hosts that stay, also where only an earlier terminate ended services.
func (s *Session) sweepHosts(ctx context.Context) []error {
	lv := &level{spec: &plan.Level{}}
	seen := map[string]bool{}
	for _, connected := range []bool{true, false} {
		for _, svc := range s.all() {
			f := svc.note.Facts
			if f == nil || f.Pool || seen[f.Address] || connected != (svc.host != nil) || s.wasMade(ctx, svc.owner()) {
				continue
			}
			seen[f.Address] = true
			lv.services = append(lv.services, svc)
		}
	}
	var mu sync.Mutex
	var errs []error
	err := s.visitLevel(ctx, lv, func(ctx context.Context, svc *service, started func()) error {
		bound, cancel := context.WithTimeout(ctx, endConnect)
		host, err := s.reconnect(bound, svc, started)
		cancel()
		if err != nil {
			s.Note(svc.address(), "the run's folder on its host may stay there: "+err.Error())
		} else if host != nil {
			if err := host.Remove(ctx, ""); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("remove the run's folder on %s: %w", svc.note.Facts.Address, err))
			}
		}
		return nil
	})
	if err != nil {
		errs = append(errs, err)
	}
	return errs
}

// openMakers opens the runners that may have made something for the run, also where an earlier terminate ended the
// last of their services: it may have died before it swept.
func (s *Session) openMakers(ctx context.Context) error {
	seen := map[*plan.Runner]bool{}
	var errs []error
	for _, svc := range s.all() {
		if r := svc.spec.Runner; s.isMade(svc) && !seen[r] {
			seen[r] = true
			_, err := s.hosts.runner(ctx, r)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
