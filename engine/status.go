package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/state"
)

// statusConnect is the patience of a status with a host: the operator waits for the answer.
const statusConnect = 20 * time.Second

// An UnverifiedError lists services that could not be verified for want of
// something that the run does not keep, such as a sensitive variable.
type UnverifiedError struct {
	Services []string
	Err      error // of the first
}

func (e *UnverifiedError) Error() string {
	return fmt.Sprintf("%d services could not be verified, the first being %s: %v", len(e.Services), e.Services[0], e.Err)
}

// Verify makes every probe of every service once, and records what changed: a
// ready service that fails becomes failed, one that failed its verification and
// now passes it becomes ready. A *RunError tells which are not ready.
func (s *Session) Verify(ctx context.Context) error {
	unverified := &UnverifiedError{}
	all := &level{spec: &plan.Level{}, services: s.services}
	err := s.visitLevel(ctx, all, func(ctx context.Context, svc *service, started func()) error {
		if err := s.verifyOnce(ctx, svc, started); err != nil {
			var f *Failure
			if errors.As(err, &f) {
				return nil // the row tells
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			unverified.Services = append(unverified.Services, svc.address())
			if unverified.Err == nil {
				unverified.Err = err
			}
		}
		return nil
	})
	if ctx.Err() != nil {
		return ErrInterrupted
	}
	if err != nil {
		return err
	}
	if err := s.recordVerified(); err != nil {
		return err
	}
	if len(unverified.Services) > 0 {
		return unverified
	}
	if failures := s.failures(); len(failures) > 0 {
		return &RunError{Run: s.run.Name, Failures: failures}
	}
	return Complete(s.Run())
}

// An IncompleteError tells of a run in which nothing failed that it is not what its plan says.
type IncompleteError struct {
	Run    string
	Status state.RunStatus
}

func (e *IncompleteError) Error() string {
	switch e.Status {
	case state.RunBooting:
		return fmt.Sprintf("run %s is not complete: it is being brought up, or the command that did that has died; then `launch resume %s` goes on", e.Run, e.Run)
	case state.RunTerminating:
		return fmt.Sprintf("run %s is not terminated yet: `launch terminate %s` goes on", e.Run, e.Run)
	case state.RunFailed: // something of the run itself, which its plan may have wrong
		return fmt.Sprintf("run %s is not complete: `launch resume %s` goes on, or `launch reload %s PLAN` where the plan is to blame", e.Run, e.Run, e.Run)
	}
	return fmt.Sprintf("run %s is not complete: `launch resume %s` goes on", e.Run, e.Run)
}

// Complete is an *IncompleteError for a run that did not get where the command that began it was to take it.
// One that was to stop after a level, and did, is complete.
func Complete(run state.Run) error {
	switch run.Status {
	case state.RunReady, state.RunTerminated:
		return nil
	case state.RunInterrupted:
		var set Settings
		if err := json.Unmarshal(run.Options, &set); err == nil && set.Until != "" && run.Error == stoppedAfter(set.Until) {
			return nil
		}
	}
	return &IncompleteError{Run: run.Name, Status: run.Status}
}

// stoppedAfter is why a run is interrupted that was to stop after a level.
func stoppedAfter(level string) string { return "stopped after level " + level + ", as asked" }

// recordVerified gives the run the status that a verification found.
func (s *Session) recordVerified() error {
	run := s.Run()
	failures := s.failures()
	switch {
	case len(failures) > 0 && run.Status == state.RunReady:
		return s.setRun(state.RunFailed, (&RunError{Run: run.Name, Failures: failures}).Error()).Wait()
	case len(failures) == 0 && run.Status == state.RunFailed && s.isUp():
		return s.concludeReady()
	}
	return nil
}

// isUp says whether all that this run is to bring up is ready.
func (s *Session) isUp() bool {
	wanted := s.wanted()
	for _, lv := range s.levels {
		for _, svc := range lv.services {
			if wanted[lv.spec] && svc.status() != state.Ready {
				return false
			}
		}
	}
	return true
}

// verifyOnce verifies a service that has been up.
func (s *Session) verifyOnce(ctx context.Context, svc *service, started func()) error {
	st := svc.status()
	if st != state.Ready && !(st == state.Failed && svc.note.Booted) {
		return nil
	}
	if svc.endedBefore() {
		return nil // it was to be ended and could not be: that it is well mends nothing
	}
	failure, err := s.health(ctx, svc, started)
	if err != nil {
		return err
	}
	switch {
	case failure != nil && ctx.Err() == nil && (st == state.Ready || s.masker.message(failure.Reason) != svc.snapshot().Error):
		return s.fail(svc, failure)
	case failure == nil && st == state.Failed:
		s.wellAgain(svc)
	}
	return nil
}

// wellAgain records that a service which had failed was verified, and is well.
func (s *Session) wellAgain(svc *service) {
	svc.note.Failure = nil
	s.advance(svc, state.Verifying, "it holds again")
	s.advance(svc, state.Ready, "")
}

// health finds out how a service is now, changing nothing. The error says that this could not be found out.
func (s *Session) health(ctx context.Context, svc *service, started func()) (*Failure, error) {
	if s.elsewhere(svc) {
		return newFailure(svc, PhaseVerify, elsewhereReason), nil
	}
	bound, cancel := context.WithTimeout(ctx, statusConnect)
	host, err := s.reconnect(bound, svc, started)
	cancel()
	if gone(err) {
		return fromError(svc, PhaseVerify, err), nil
	}
	if err != nil {
		return fromError(svc, PhaseConnect, err), nil
	}
	pool := svc.isPool()
	if host == nil && !pool {
		return &Failure{Service: svc.address(), Phase: PhaseVerify, Source: source(svc.spec.Range), Reason: "it has no host"}, nil
	}
	if pool {
		if err := s.inspect(ctx, svc); err != nil {
			return fromError(svc, PhaseVerify, err), nil
		}
	}
	if err := s.recallSecrets(ctx, svc); err != nil {
		return fromError(svc, PhaseVerify, err), nil
	}
	if err := s.recallUsed(ctx, svc); err != nil {
		return nil, err
	}
	if _, diags := svc.spec.Checks(); diags.HasErrors() {
		return nil, fromDiagnostics(svc, PhaseVerify, diags)
	}
	return s.check(ctx, svc, once)
}

// inspect asks the runner how the service's host is.
func (s *Session) inspect(ctx context.Context, svc *service) error {
	p, err := s.makerOf(ctx, svc.spec)
	if p == nil || err != nil {
		return err
	}
	return p.Inspect(ctx, svc.address())
}
