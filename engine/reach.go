package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/state"
)

// reach gets the service its host: provisions it where it has to be made, and connects.
func (s *Session) reach(ctx context.Context, svc *service, started func()) error {
	if svc.host != nil {
		return nil
	}
	if !svc.note.Booted && !svc.note.Open {
		svc.note.Generation = s.Run().Generation
	}
	if svc.on != nil {
		return s.share(ctx, svc, started)
	}
	r, err := s.hosts.runner(ctx, svc.spec.Runner)
	if err != nil {
		return s.fail(svc, fromError(svc, PhaseConnect, err))
	}
	target, diags := svc.spec.Target()
	if diags.HasErrors() {
		return s.fail(svc, fromDiagnostics(svc, PhaseConnect, diags))
	}
	svc.note.Target = target
	if p := provisioner(r); p != nil {
		started()
		data, err := s.userData(ctx, svc)
		if err != nil {
			return s.fail(svc, fromError(svc, PhaseProvision, err))
		}
		if err := s.provision(ctx, svc, p, runners.Want{Service: svc.address(), Host: target, UserData: data}); err != nil {
			return err
		}
	}
	if svc.spec.Runner.Type != "local" {
		started()
	}
	return s.connect(ctx, svc, r, target)
}

// userData is what the machines of a pool are told, with the values that earlier services have now.
func (s *Session) userData(ctx context.Context, svc *service) (string, error) {
	if !svc.spec.HasUserData() {
		return "", nil
	}
	if err := s.recallUsed(ctx, svc); err != nil {
		return "", err
	}
	data, diags := svc.spec.UserData()
	if diags.HasErrors() {
		return "", fromDiagnostics(svc, PhaseProvision, diags)
	}
	return data, nil
}

// provision waits for the service's host to exist. Its address is a fact from then on.
func (s *Session) provision(ctx context.Context, svc *service, p runners.Provisioner, want runners.Want) error {
	svc.note.Made = true
	if st := svc.status(); st == state.Pending || st == state.Failed && !svc.note.Booted && !svc.note.Open {
		if err := s.advance(svc, state.Provisioning, "").Wait(); err != nil {
			return err
		}
	}
	got, err := p.Await(ctx, want)
	if errors.Is(err, runners.ErrGone) && want.Host == "" && svc.note.Facts == nil && ctx.Err() == nil {
		// It ended before anything was done with it, maybe long ago: it was asked for when the boot began.
		s.Note(svc.address(), err.Error()+"; another one is asked for")
		if err = p.Release(ctx, []string{svc.address()})[svc.address()]; err == nil {
			got, err = p.Await(ctx, want)
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			return s.leftOff(ctx, svc, PhaseProvision)
		}
		return s.fail(svc, fromError(svc, PhaseProvision, err))
	}
	s.learnFacts(svc, got, want.Host != "")
	return nil
}

// connect reaches the host; on this machine there is nothing to wait for, and nothing to record.
func (s *Session) connect(ctx context.Context, svc *service, r runners.Runner, target string) error {
	if svc.isPool() {
		return nil
	}
	remote := svc.spec.Runner.Type != "local"
	if st := svc.status(); remote && !svc.note.Booted && !svc.note.Open && st != state.Booting {
		svc.note.Made = true
		if err := s.advance(svc, state.Connecting, "").Wait(); err != nil {
			return err
		}
	}
	host, err := r.Connect(ctx, runners.Target{Service: svc.address(), Host: target})
	if err != nil {
		if ctx.Err() != nil {
			return s.leftOff(ctx, svc, PhaseConnect)
		}
		return s.fail(svc, fromError(svc, PhaseConnect, err))
	}
	svc.host = host
	if provisioner(r) == nil {
		s.learnFacts(svc, host.Facts(), false)
	}
	return s.learnHost(svc)
}

// share uses the host of the service that this one stands on.
func (s *Session) share(ctx context.Context, svc *service, started func()) error {
	owner := svc.on
	if owner.host == nil {
		return s.fail(svc, &Failure{
			Service: svc.address(), Phase: PhaseConnect, Source: source(svc.spec.Range),
			Reason: fmt.Sprintf("the host of %s is not connected", owner.address()),
		})
	}
	started()
	svc.host = owner.host
	s.onHostOf(svc)
	return s.learnHost(svc)
}

// onHostOf takes over where the host is that a service shares.
func (s *Session) onHostOf(svc *service) {
	owner := svc.owner()
	svc.note.Target = owner.note.Target
	f := *owner.note.Facts
	f.WorkDir = svc.host.WorkDir(runners.DirName(svc.address()), svc.note.User)
	host := owner.snapshot()
	svc.edit(func(row *state.Service) {
		row.Host, row.InstanceID = host.Host, host.InstanceID
		svc.note.Facts = &f // here, since those who use its exports may look
	})
}

// learnFacts keeps where the service's host is, for its row and for those who refer to it; named is as in facts.
func (s *Session) learnFacts(svc *service, f runners.Facts, named bool) {
	svc.note.Facts = &facts{Address: f.Address, Private: f.PrivateAddress, Public: f.PublicAddress, Pool: f.NoHost, Named: named}
	svc.edit(func(row *state.Service) { row.Host, row.InstanceID = f.Address, f.InstanceID })
}

// learnHost tells the plan of the host that the service has now, beside the exports that an earlier command recorded.
func (s *Session) learnHost(svc *service) error {
	svc.note.Facts.WorkDir = svc.host.WorkDir(runners.DirName(svc.address()), svc.note.User)
	svc.exportsKnown = false
	return s.restoreKnown(svc)
}

// learn tells the plan what is known of the service; exports may be nil.
func (s *Session) learn(svc *service, exports exports) {
	if svc.host != nil {
		svc.note.Facts.WorkDir = svc.host.WorkDir(runners.DirName(svc.address()), svc.note.User)
	}
	svc.exportsKnown = exports != nil
	svc.tree.Learn(svc.spec, svc.known(exports))
}
