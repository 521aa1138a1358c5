package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/state"
)

// ErrInterrupted means that the operator stopped the command; the run can be resumed.
var ErrInterrupted = errors.New("interrupted")

// A RunError says that a run did not become what the command wanted; the
// services' failures tell why.
type RunError struct {
	Run      string
	Failures []*Failure
}

func (e *RunError) Error() string {
	names := make([]string, len(e.Failures))
	for i, f := range e.Failures {
		names[i] = f.Service
	}
	switch len(names) {
	case 0:
		return fmt.Sprintf("run %s is not complete", e.Run)
	case 1:
		return fmt.Sprintf("service %s of run %s failed", names[0], e.Run)
	}
	if len(names) > 5 {
		names = append(names[:5], fmt.Sprintf("and %d more", len(names)-5))
	}
	return fmt.Sprintf("%d services of run %s failed: %s", len(e.Failures), e.Run, strings.Join(names, ", "))
}

// Boot brings a run up from where it stands: a new one from its beginning, one
// that was interrupted or failed from where it stopped. Services that are ready are verified.
func (s *Session) Boot(ctx context.Context) error {
	if s.Run().Status != state.RunBooting {
		s.workBegins()
	}
	s.unskip()
	err := s.leaveOld(ctx)
	if err == nil {
		err = s.requestHosts(ctx)
	}
	if err == nil {
		err = s.forward(ctx, s.bootVisit, s.skip)
	}
	return s.conclude(ctx, err)
}

// Resume is Boot for a run that exists: it goes on to the end, past the level at which it was to stop.
func (s *Session) Resume(ctx context.Context) error {
	switch s.Run().Status {
	case state.RunTerminating:
		return fmt.Errorf("run %s is being terminated: `launch terminate %s` goes on with that, and nothing else can", s.run.Name, s.run.Name)
	case state.RunTerminated:
		return fmt.Errorf("run %s is terminated, and over: `launch boot` begins a new one", s.run.Name)
	}
	stop := s.set.Until
	s.set.Until = ""
	if err := s.needToBringUp(ctx); err != nil {
		return err
	}
	if stop != "" {
		encoded, err := json.Marshal(s.set)
		if err != nil {
			return err
		}
		s.changeRun(state.RunBooting, s.opts.Command, func(r *state.Run) { r.Options = encoded })
	}
	return s.Boot(ctx)
}

// bootVisit brings up one service, or verifies it where an earlier command did.
func (s *Session) bootVisit(ctx context.Context, svc *service, started func()) error {
	if s.set.OnFailure == Continue {
		if reason := s.unusable(svc); reason != "" {
			return s.leave(svc, reason)
		}
	}
	if why := s.unfit(ctx, svc); why != "" {
		return s.rebuild(ctx, svc, why, started)
	}
	if svc.status() == state.Ready {
		return s.reverify(ctx, svc, started)
	}
	return s.takeUp(ctx, svc, started)
}

// takeUp brings up a service, or goes on with one that an earlier command left between the start of its program and
// ready, unless it would now be brought up differently.
func (s *Session) takeUp(ctx context.Context, svc *service, started func()) error {
	if !svc.note.Open && !svc.note.Booted || svc.note.Facts == nil {
		return s.bringUp(ctx, svc, started)
	}
	host, err := s.reconnect(ctx, svc, started)
	switch {
	case errors.Is(err, runners.ErrGone):
		return s.rebuild(ctx, svc, err.Error(), started)
	case gone(err) && svc.note.Generation != s.Run().Generation:
		return s.rebuild(ctx, svc, err.Error(), started) // its host may be well again in a moment, with what an earlier plan began on it
	case gone(err), err == nil && host == nil && !svc.note.Facts.Pool:
		return s.bringUp(ctx, svc, started) // which meets the same, and reports it
	case err != nil && ctx.Err() != nil:
		return s.leftOff(ctx, svc, PhaseConnect)
	case err != nil:
		return s.fail(svc, fromError(svc, PhaseConnect, err))
	}
	if err := s.recallUsed(ctx, svc); err != nil {
		return s.fail(svc, fromError(svc, PhaseConnect, err))
	}
	if done, err := s.renew(ctx, svc, started); done {
		return err
	}
	return s.bringUp(ctx, svc, started)
}

// reverify checks a service that an earlier command brought up. Where it would now be brought up differently (the
// plan was reloaded, a service before it has new values), it is.
func (s *Session) reverify(ctx context.Context, svc *service, started func()) error {
	if _, err := s.reconnect(ctx, svc, started); err != nil {
		return s.cannotLook(ctx, svc, PhaseConnect, err)
	}
	if err := s.recallUsed(ctx, svc); err != nil {
		return s.cannotLook(ctx, svc, PhaseVerify, err)
	}
	if done, err := s.renew(ctx, svc, started); done {
		return err
	}
	started()
	return s.verify(ctx, svc)
}

// cannotLook fails a service that was brought up and cannot be looked at. One that only an interrupt keeps from that stays as it is.
func (s *Session) cannotLook(ctx context.Context, svc *service, phase string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return s.fail(svc, fromError(svc, phase, err))
}

// renew brings a service up again, and is done with it, where it would now be brought up differently than it was. Else it
// belongs to the present plan.
func (s *Session) renew(ctx context.Context, svc *service, started func()) (done bool, err error) {
	changed, err := s.changed(ctx, svc)
	if err != nil {
		return true, err
	}
	if changed {
		return true, s.rebuild(ctx, svc, "the plan or values that it uses have changed", started)
	}
	s.currently(svc)
	return false, nil
}

// leave lets a service be, since what it uses is not there. One that an earlier command had under way
// is failed until that is mended; its program goes on, and is attached to again.
func (s *Session) leave(svc *service, reason string) error {
	switch st := svc.status(); st {
	case state.Pending:
		return s.skip(svc, reason).Wait()
	case state.Ready, state.Failed, state.Skipped:
		return nil
	default:
		f := newFailure(svc, phaseOf(st), reason)
		f.Hint = fmt.Sprintf("`launch resume %s` goes on with it when that is mended", s.run.Name)
		return s.fail(svc, f)
	}
}

// unskip makes what an earlier failure kept from starting eligible again, and what was ended.
func (s *Session) unskip() {
	for _, svc := range s.services {
		switch svc.status() {
		case state.Terminated:
			svc.note.Facts, svc.host = nil, nil
			s.forgetBoot(svc)
			s.advance(svc, state.Pending, "")
		case state.Skipped:
			s.advance(svc, state.Pending, "")
		}
	}
}

// skip records that a service is not started, and why. One that an earlier command began stays as it is.
func (s *Session) skip(svc *service, reason string) state.Ticket {
	if svc.status() != state.Pending {
		return state.Ticket{}
	}
	return s.advance(svc, state.Skipped, reason)
}

// unusable says why a service cannot be brought up where a run goes on after failures: something that
// it uses is not ready.
func (s *Session) unusable(svc *service) string {
	reason := ""
	svc.spec.Uses(func(used *plan.Service) bool {
		if other := s.byAddress[used.Address]; other != nil {
			if st := other.status(); st == state.Failed || st == state.Skipped {
				reason = fmt.Sprintf("it uses %s, which is %s", used.Address, st)
				return false
			}
		}
		return true
	})
	if reason == "" && svc.on != nil && svc.on.host == nil {
		reason = fmt.Sprintf("it runs on the host of %s, which is not connected", svc.on.address())
	}
	return reason
}

// requestHosts asks for the machines of every level at once, since waiting for them is most of a boot's
// time; those of runners that would rather pay less are asked for when their level begins.
func (s *Session) requestHosts(ctx context.Context) error {
	wanted := s.wanted()
	wants := map[runners.Provisioner][]runners.Want{}
	for _, lv := range s.levels {
		if !wanted[lv.spec] {
			continue
		}
		for _, svc := range lv.services {
			st := svc.status()
			if st == state.Ready || st == state.Terminating { // which may have an old one yet
				continue
			}
			p, err := s.makerOf(ctx, svc.spec)
			if err != nil {
				return err
			}
			if p == nil || p.AtLevel() || svc.spec.HasUserData() { // which may need values of services before it
				continue
			}
			target, diags := svc.spec.Target()
			if diags.HasErrors() {
				continue // it is told when the service's turn comes
			}
			svc.note.Made = true
			wants[p] = append(wants[p], runners.Want{Service: svc.address(), Host: target})
		}
	}
	for p, list := range wants {
		if err := p.Request(ctx, list); err != nil {
			return fmt.Errorf("request hosts: %w", err)
		}
	}
	return nil
}

// conclude gives the run the status that its services add up to.
func (s *Session) conclude(ctx context.Context, err error) error {
	if ctx.Err() != nil && context.Cause(ctx) == runners.ErrDetach {
		return s.leftAt()
	}
	if ctx.Err() != nil && s.Run().Status == state.RunReady && len(s.failures()) == 0 {
		return ErrInterrupted // while it was looked at: nothing was to be brought up again
	}
	if ctx.Err() != nil {
		if werr := s.setRun(state.RunInterrupted, "interrupted by the operator").Wait(); werr != nil {
			return werr
		}
		return s.leftAt()
	}
	failures := s.failures()
	if len(failures) > 0 {
		runErr := &RunError{Run: s.run.Name, Failures: failures}
		if werr := s.setRun(state.RunFailed, runErr.Error()).Wait(); werr != nil {
			return werr
		}
		if s.set.OnFailure == Terminate {
			if terr := s.Terminate(ctx); terr != nil {
				return errors.Join(runErr, terr)
			}
		}
		return runErr
	}
	if err != nil {
		if werr := s.setRun(state.RunFailed, s.masker.message(err.Error())).Wait(); werr != nil {
			return errors.Join(err, werr)
		}
		return err
	}
	return s.concludeReady()
}

// leftAt is ErrInterrupted for a run that was being brought up.
func (s *Session) leftAt() error {
	return fmt.Errorf("%w; `launch resume %s` goes on, `launch terminate %s` ends what was started", ErrInterrupted, s.run.Name, s.run.Name)
}

// concludeReady records the end of a boot that reached what it was to reach, with the plan's outputs.
func (s *Session) concludeReady() error {
	if s.set.Until != "" && len(s.wanted()) < len(s.levels) {
		return s.setRun(state.RunInterrupted, stoppedAfter(s.set.Until)).Wait()
	}
	outputs, diags := s.tree.Outputs()
	if diags.HasErrors() {
		cause := "an output cannot be evaluated: " + diags.Error()
		if err := s.setRun(state.RunFailed, s.masker.message(cause)).Wait(); err != nil {
			return err
		}
		return errors.New(cause)
	}
	public := map[string]json.RawMessage{}
	for name, o := range outputs {
		if !o.Sensitive {
			public[name] = o.JSON
		}
	}
	encoded, err := json.Marshal(public)
	if err != nil {
		return err
	}
	if run := s.Run(); run.Status == state.RunReady && bytes.Equal(run.Outputs, encoded) {
		return nil // it was verified, and nothing had to be done
	}
	return s.changeRun(state.RunReady, "", func(r *state.Run) { r.Outputs = encoded }).Wait()
}

// failures of the run's services, in their order, and of those that went from its plan and could not be ended.
func (s *Session) failures() []*Failure {
	var all []*Failure
	for _, svc := range s.all() {
		if svc.status() != state.Failed {
			continue
		}
		f := svc.note.Failure
		if f == nil {
			f = failureOfRow(svc.snapshot())
		}
		all = append(all, f)
	}
	return all
}
