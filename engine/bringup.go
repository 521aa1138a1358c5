package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/hcl/v2"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/state"
)

// bringUp takes a service from wherever it stands to ready: it gets its host,
// boots what is not booted yet, attaches to what is booting, and verifies.
// What was completed by an earlier command is not done again.
func (s *Session) bringUp(ctx context.Context, svc *service, started func()) error {
	if err := s.reach(ctx, svc, started); err != nil {
		return err
	}
	if err := s.recallUsed(ctx, svc); err != nil {
		return s.fail(svc, fromError(svc, PhaseConnect, err))
	}
	if !svc.note.Booted {
		if err := s.boot(ctx, svc, started); err != nil {
			return err
		}
	} else if err := s.recallSecrets(ctx, svc); err != nil {
		return s.fail(svc, fromError(svc, PhaseVerify, err))
	}
	started()
	return s.verify(ctx, svc)
}

// boot prepares the service and runs its boot program, or starts its process.
func (s *Session) boot(ctx context.Context, svc *service, started func()) error {
	prepared, diags := s.prepare(svc)
	if diags.HasErrors() {
		return s.fail(svc, fromDiagnostics(svc, PhaseBoot, diags))
	}
	svc.edit(func(row *state.Service) {
		row.Fingerprint = svc.spec.Fingerprint(prepared, row.Host, s.run.Key)
	})
	svc.note.Made = true
	svc.note.Failure = nil
	switch {
	case prepared.Boot != nil:
		if err := s.bootProgram(ctx, svc, prepared, started); err != nil {
			if _, recorded := errors.AsType[*Failure](err); recorded && !svc.note.Open {
				s.discard(ctx, svc)
			}
			return err
		}
	case prepared.Process != nil:
		if err := s.startProcess(ctx, svc, prepared, started); err != nil {
			return err
		}
		s.learn(svc, exports{})
	default:
		if len(prepared.Files) > 0 { // in a plan that a run keeps: new ones are refused for it
			return s.fail(svc, newFailure(svc, PhaseBoot, "it has files, but neither boot nor process that would use them"))
		}
		s.learn(svc, exports{})
	}
	if err := s.beginVerify(svc); err != nil {
		return err
	}
	s.discard(ctx, svc)
	return nil
}

// discard removes the raw output of attempts whose end is recorded: what is kept of it is masked.
func (s *Session) discard(ctx context.Context, svc *service) {
	for _, name := range svc.wrote {
		if err := svc.host.Discard(ctx, runners.ID{Service: runners.DirName(svc.address()), Name: name}); err != nil {
			s.Note(svc.address(), "the program's raw output could not be removed: "+err.Error())
		}
	}
	svc.wrote = nil
}

// prepare evaluates the service; where its program runs as another user, the work directory is that user's.
func (s *Session) prepare(svc *service) (*plan.Prepared, hcl.Diagnostics) {
	prepared, diags := svc.spec.Prepare()
	if diags.HasErrors() {
		return nil, diags
	}
	user := ""
	if prepared.Boot != nil {
		user = prepared.Boot.User
	} else if prepared.Process != nil {
		user = prepared.Process.User
	}
	if user != svc.note.User {
		svc.note.User = user
		s.learn(svc, nil)
		return svc.spec.Prepare()
	}
	return prepared, diags
}

// leftOff records that an operator's interrupt stopped work on a service: resume goes on from here.
func (s *Session) leftOff(ctx context.Context, svc *service, phase string) error {
	if context.Cause(ctx) == runners.ErrDetach {
		return context.Cause(ctx) // nothing was stopped, so there is nothing to record
	}
	f := newFailure(svc, phase, "interrupted by the operator")
	f.Hint = fmt.Sprintf("`launch resume %s` goes on with it", s.run.Name)
	return s.fail(svc, f)
}
