package engine

import (
	"context"
	"fmt"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/state"
)

// adoptedReason is what a service says whose record was lost.
const adoptedReason = "its record was lost, and its host was found by its tags: `launch status` verifies it, `launch repair` brings it up again, `launch terminate` ends it"

// Adopt makes a run of what was found of one whose record was lost: resources are
// what its runners need to know of its hosts. What its programs did is not known, so
// its services stand as failed until they are verified or brought up again.
func (s *Session) Adopt(ctx context.Context, resources []runners.Resource) (services int, err error) {
	if err := s.ledger.Put(ctx, resources...); err != nil {
		return 0, err
	}
	found := map[string]bool{}
	for _, r := range resources {
		found[r.Service] = true
	}
	for _, svc := range s.services {
		if !found[svc.address()] || svc.on != nil {
			continue
		}
		if err := s.adoptService(ctx, svc); err != nil {
			return services, err
		}
		services++
	}
	return services, s.setRun(state.RunFailed, "its record was lost and rebuilt from tags").Wait()
}

func (s *Session) adoptService(ctx context.Context, svc *service) error {
	r, err := s.hosts.runner(ctx, svc.spec.Runner)
	if err != nil {
		return err
	}
	p := provisioner(r)
	if p == nil {
		return fmt.Errorf("service %s runs on %s, which makes no hosts", svc.address(), svc.spec.Runner.Address())
	}
	target, diags := svc.spec.Target()
	if diags.HasErrors() {
		return fromDiagnostics(svc, PhaseProvision, diags)
	}
	svc.note.Made, svc.note.Generation, svc.note.Target = true, s.Run().Generation, target
	if err := s.advance(svc, state.Provisioning, "adopted").Wait(); err != nil {
		return err
	}
	got, err := p.Await(ctx, runners.Want{Service: svc.address(), Host: target})
	if err != nil {
		return err
	}
	s.learnFacts(svc, got, target != "")
	if svc.spec.HasBoot { // its first attempt is the best guess at what brought it up
		svc.note.Boot, svc.note.Groups = "boot-1", []string{"boot-1"}
		svc.edit(func(row *state.Service) { row.Attempt = 1 })
	}
	svc.note.Booted = true
	failure := newFailure(svc, PhaseVerify, adoptedReason)
	if err := s.fail(svc, failure); err != error(failure) { // it returns this very failure, or why it could not be recorded
		return err
	}
	return nil
}

// RunnerConfigs are the configurations of a tree's runner blocks of one type, as JSON.
func RunnerConfigs(tree *plan.Tree, runnerType string) ([][]byte, error) {
	seen := map[string]bool{}
	var all [][]byte
	for _, svc := range tree.Services {
		if svc.Runner.Type != runnerType {
			continue
		}
		config, err := configJSON(svc.Runner.Config)
		if err != nil {
			return nil, err
		}
		if !seen[string(config)] {
			seen[string(config)] = true
			all = append(all, config)
		}
	}
	return all, nil
}
