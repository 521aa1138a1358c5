package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/state"
)

// Repair verifies services in the order of their levels, brings up again what
// fails (at most tries times each), and after it what used values that changed
// by that. What is healthy is left alone. targets are the addresses to look at; none means all.
func (s *Session) Repair(ctx context.Context, targets []string, tries int) error {
	return s.mend(ctx, mending{targets: targets, tries: tries})
}

// Restart is Repair that brings the targets up again however they are.
func (s *Session) Restart(ctx context.Context, targets []string, tries int) error {
	for _, t := range targets {
		if svc := s.byAddress[t]; svc != nil && svc.isPool() {
			return fmt.Errorf("service %s of run %s is a pool, which cannot be restarted: it replaces its own machines", t, s.run.Name)
		}
	}
	return s.mend(ctx, mending{targets: targets, tries: tries, anew: true})
}

// A mending is what repair is to look at, and how.
type mending struct {
	targets []string // addresses; none means all
	tries   int      // how often a service is brought up again at most
	anew    bool     // the targets are brought up again however they are
}

func (s *Session) mend(ctx context.Context, m mending) error {
	switch st := s.Run().Status; st {
	case state.RunTerminating, state.RunTerminated:
		return fmt.Errorf("run %s is %s, so there is nothing to %s", s.run.Name, st, s.opts.Command)
	}
	for _, t := range m.targets {
		if s.byAddress[t] == nil {
			return fmt.Errorf("service %s is no longer in the plan of run %s", t, s.run.Name)
		}
	}
	if svc := s.leftOut(m.targets); svc != nil {
		return fmt.Errorf("service %[1]s of run %[2]s is not up yet, since the run stops after level %[3]s: `launch resume %[2]s` goes on to the end", svc.address(), s.run.Name, s.set.Until)
	}
	if err := s.needToBringUp(ctx); err != nil {
		return err
	}
	if s.Run().Status != state.RunReady {
		s.workBegins()
	}
	s.unskip()
	err := s.leaveOld(ctx)
	if err == nil {
		err = s.forward(ctx, func(ctx context.Context, svc *service, started func()) error {
			return s.repairVisit(ctx, svc, m, started)
		}, s.skip)
	}
	return s.conclude(ctx, err)
}

// leftOut is one of the targets that the run does not bring up, since it stops before its level; nil where there is none.
func (s *Session) leftOut(targets []string) *service {
	wanted := s.wanted()
	for _, lv := range s.levels {
		if wanted[lv.spec] {
			continue
		}
		for _, svc := range lv.services {
			if slices.Contains(targets, svc.address()) {
				return svc
			}
		}
	}
	return nil
}

// workBegins records, once, that the run is being brought up again: a run in which nothing is sick stays ready.
func (s *Session) workBegins() {
	s.working.Do(func() { s.setRun(state.RunBooting, s.opts.Command) })
}

func (s *Session) repairVisit(ctx context.Context, svc *service, m mending, started func()) error {
	st := svc.status()
	if why := s.unfit(ctx, svc); why != "" {
		return s.rebuild(ctx, svc, why, started)
	}
	up := st == state.Ready || st == state.Failed && svc.note.Facts != nil && !svc.note.Open
	if !up {
		if s.set.OnFailure == Continue {
			if reason := s.unusable(svc); reason != "" {
				return s.leave(svc, reason)
			}
		}
		return s.takeUp(ctx, svc, started)
	}
	why := ""
	target := slices.Contains(m.targets, svc.address())
	if target && m.anew {
		why = "it is restarted"
	} else if len(m.targets) == 0 || target || st != state.Ready {
		failure, err := s.sickness(ctx, svc, started)
		if err != nil {
			return err
		}
		if failure != nil {
			why = failure.Reason
		}
	} else if _, err := s.reconnect(ctx, svc, started); err != nil {
		return s.cannotLook(ctx, svc, PhaseConnect, err)
	}
	if why == "" {
		changed, err := s.changed(ctx, svc)
		if err != nil {
			return err
		}
		if !changed {
			return nil
		}
		why = "values that it uses have changed"
	}
	if ctx.Err() != nil {
		return nil
	}
	var err error
	for try := 1; try <= max(1, m.tries) && ctx.Err() == nil; try++ {
		if err = s.rebuild(ctx, svc, why, started); err == nil {
			return nil
		}
		why = err.Error()
	}
	return err
}

// sickness is why a service has to be brought up again, nil where it is healthy. One that failed before it was
// verified is sick by that.
func (s *Session) sickness(ctx context.Context, svc *service, started func()) (*Failure, error) {
	if svc.status() == state.Failed && !svc.note.Booted {
		if svc.note.Failure == nil {
			return &Failure{Service: svc.address(), Reason: svc.snapshot().Error}, nil
		}
		return svc.note.Failure, nil
	}
	failure, err := s.health(ctx, svc, started)
	if err != nil || failure != nil {
		return failure, err
	}
	if svc.status() == state.Failed {
		s.wellAgain(svc)
	}
	return nil, nil
}

// changed says whether the service would be brought up differently now than it was. Where that cannot be told, it has failed.
func (s *Session) changed(ctx context.Context, svc *service) (bool, error) {
	row := svc.snapshot()
	if row.Fingerprint == "" {
		return false, nil
	}
	if row.Attributes != nil && svc.note.Generation != s.Run().Generation {
		if _, err := svc.spec.RestoreExports(row.Attributes, row.Withheld); err != nil {
			return true, nil // what others are to know of it now, its boot program did not leave then
		}
	}
	if err := s.recallSecrets(ctx, svc); err != nil {
		return false, s.cannotLook(ctx, svc, PhaseVerify, err)
	}
	prepared, diags := svc.spec.Prepare()
	if diags.HasErrors() {
		return false, s.fail(svc, fromDiagnostics(svc, PhaseBoot, diags))
	}
	return svc.spec.Fingerprint(prepared, row.Host, s.run.Key) != row.Fingerprint, nil
}

// rebuild ends a service as far as that can be done, and brings it up again. A machine that launch made and that is
// gone, impaired, out of reach or not what the plan wants is replaced; a pool is adjusted.
func (s *Session) rebuild(ctx context.Context, svc *service, why string, started func()) error {
	s.workBegins()
	misfit, elsewhere := s.misfit(ctx, svc) != "", s.elsewhere(svc)
	pool := svc.isPool()
	if pool && !misfit && svc.status() != state.Terminating {
		return s.adjustPool(ctx, svc, why, started)
	}
	s.Note(svc.address(), "is brought up again: "+why)
	unreachable := svc.host == nil
	problems, err := s.endToRebuild(ctx, svc, misfit || elsewhere, started)
	if err != nil || ctx.Err() != nil {
		return err // after an interrupt it stands as terminating, and the next repair goes on
	}
	for _, p := range problems {
		s.Note(svc.address(), p)
	}
	if len(problems) > 0 && svc.host != nil {
		if err := svc.host.Remove(ctx, runners.DirName(svc.address())); err != nil { // what its terminate program would work with
			s.Note(svc.address(), "its work directory could not be removed: "+err.Error())
		}
	}
	misfit = misfit || moved(svc.spec, s.inPlan(svc))
	if svc.host != nil && len(svc.note.Groups) > 0 && !misfit {
		// A second one beside the first would be worse.
		return s.fail(svc, newFailure(svc, PhaseTerminate, "it is not brought up again, since what runs of it could not be ended: "+strings.Join(problems, "; ")))
	}
	if misfit || unreachable && svc.host == nil && !pool {
		if err := s.releaseHost(ctx, svc); ctx.Err() != nil {
			return nil
		} else if err != nil && (misfit || s.wasMade(ctx, svc)) {
			return s.fail(svc, fromError(svc, PhaseTerminate, err)) // it may go on, and only its former runner may know of it
		} else if err != nil {
			s.Note(svc.address(), err.Error())
		}
		svc.note.Facts, svc.host = nil, nil
	}
	s.currently(svc)
	if elsewhere {
		svc.note.Facts, svc.note.Target, svc.host = nil, "", nil
	}
	s.forgetBoot(svc)
	s.advance(svc, state.Terminated, why)
	s.advance(svc, state.Pending, "")
	return s.bringUp(ctx, svc, started)
}

// endToRebuild ends what runs of a service as far as that can be done. A host that does not answer, and is the only one on
// which the service can be, is waited for; moves says that it comes to another one.
func (s *Session) endToRebuild(ctx context.Context, svc *service, moves bool, started func()) (problems []string, err error) {
	problems, err = s.end(ctx, svc, started)
	lost, unreached := errors.AsType[*unreachedError](err)
	if unreached && !moves && !s.wasMade(ctx, svc) {
		if _, err := s.reconnect(ctx, svc, started); err != nil {
			return nil, s.fail(svc, fromError(svc, PhaseTerminate, err))
		}
		problems, err = s.end(ctx, svc, started)
		lost, unreached = errors.AsType[*unreachedError](err)
	}
	if unreached {
		return append(problems, lost.Error()), nil
	}
	return problems, err
}

// forgetBoot has a service that was ended begin anew, where it is: what its programs were and left is no more.
func (s *Session) forgetBoot(svc *service) {
	svc.note.Groups, svc.note.Failure, svc.note.Open, svc.note.OpenEnd, svc.note.EndDone, svc.note.Booted = nil, nil, false, false, false, false
	svc.note.Process, svc.note.Boot = "", ""
	svc.edit(func(row *state.Service) { row.Fingerprint, row.Attributes, row.Withheld = "", nil, nil })
	s.learn(svc, nil) // the host that it shares may be another one now
}

// adjustPool makes a service's pool what the present plan says, as far as that can be done in place. A pool has no
// programs that would have to be ended, and it replaces its own machines.
func (s *Session) adjustPool(ctx context.Context, svc *service, why string, started func()) error {
	s.Note(svc.address(), "is made what the plan says: "+why)
	s.currently(svc)
	svc.note.Failure, svc.note.Booted, svc.exportsKnown = nil, false, false
	svc.edit(func(row *state.Service) { row.Fingerprint, row.Attributes, row.Withheld = "", nil, nil })
	if err := s.advance(svc, state.Booting, why).Wait(); err != nil {
		return err
	}
	return s.bringUp(ctx, svc, started)
}
