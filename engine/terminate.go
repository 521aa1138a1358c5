package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/state"
)

// endConnect is the patience with a host that does not answer when a service on
// it is to be ended: it was up before, and the rest of the run waits.
const endConnect = 30 * time.Second

// A LeftError tells what a terminate could not end.
type LeftError struct {
	Run    string
	Forced bool // the run is terminated all the same
	Left   []*Failure
	Rest   []error // of no service: key pairs, work directories
}

func (e *LeftError) Error() string {
	is, next := "not terminated", "run `launch terminate "+e.Run+"` again when the cause is mended, or with --force to leave it as it is"
	if e.Forced {
		is, next = "terminated, but something is left", "launch does not come back to it: `launch history "+e.Run+"` tells what to look at"
	}
	var parts, names []string
	for _, f := range e.Left {
		names = append(names, f.Service)
	}
	if len(names) > 0 {
		parts = append(parts, fmt.Sprintf("%d of its services could not be ended whole (%s)", len(names), strings.Join(names, ", ")))
	}
	for _, err := range e.Rest {
		parts = append(parts, err.Error())
	}
	return fmt.Sprintf("run %s is %s: %s; %s", e.Run, is, strings.Join(parts, "; "), next)
}

// Terminate ends everything that the run started, in the reverse order of its
// levels. What fails does not keep the rest from being ended; it is reported,
// and terminate can be run again.
func (s *Session) Terminate(ctx context.Context) error { return s.terminate(ctx) }

// ForceTerminate is Terminate that is the last one: the run is terminated also where something could not be ended, and
// the error, a *LeftError, says what is left.
func (s *Session) ForceTerminate(ctx context.Context) error {
	s.forced = true
	return s.terminate(ctx)
}

func (s *Session) terminate(ctx context.Context) error {
	if s.Run().Status == state.RunTerminated {
		return nil
	}
	if err := s.needToEnd(ctx); err != nil {
		return err
	}
	if err := s.setRun(state.RunTerminating, s.opts.Command).Wait(); err != nil {
		return err
	}
	err := s.endGone(ctx)
	err = errors.Join(err, s.backward(ctx, func(ctx context.Context, lv *level) error { return s.endAll(ctx, lv.services) }))
	if ctx.Err() != nil {
		return fmt.Errorf("%w; `launch terminate %s` goes on", ErrInterrupted, s.run.Name)
	}
	left := &LeftError{Run: s.run.Name, Forced: s.forced, Left: append(s.failures(), s.leftBehind...)}
	left.Rest = s.sweep(ctx, s.forced || len(left.Left) == 0)
	some := len(left.Left) > 0 || len(left.Rest) > 0
	what := s.masker.message(left.Error())
	switch {
	case some && s.forced && err == nil:
		return errors.Join(left, s.setRun(state.RunTerminated, what).Wait())
	case some:
		werr := s.changeRun(state.RunTerminating, what, func(r *state.Run) { r.Error = what }).Wait()
		return errors.Join(left, werr)
	case err != nil:
		return err // of launch itself: the store could not be written
	}
	return s.setRun(state.RunTerminated, "").Wait()
}

// endAll ends services together, then releases the hosts that were made for them in as few calls as their runners can.
func (s *Session) endAll(ctx context.Context, services []*service) error {
	lv := &level{spec: &plan.Level{}}
	for _, svc := range services {
		if s.untouched(svc) {
			s.advance(svc, state.Terminated, "")
		} else if svc.status() != state.Terminated {
			lv.services = append(lv.services, svc)
		}
	}
	if len(lv.services) == 0 {
		return nil
	}
	var mu sync.Mutex
	var held []*leaving
	err := s.visitLevel(ctx, lv, func(ctx context.Context, svc *service, started func()) error {
		problems, err := s.endToRelease(ctx, svc, started)
		l := &leaving{service: svc, problems: problems}
		if lost, ok := errors.AsType[*unreachedError](err); ok {
			l.unreached, err = lost.Error(), nil
		}
		if err != nil || ctx.Err() != nil {
			return err
		}
		if !s.isMade(svc) {
			s.settle(l)
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		held = append(held, l)
		return nil
	})
	if ctx.Err() != nil {
		return err
	}
	s.release(ctx, held)
	for _, l := range held {
		s.settle(l)
	}
	return err
}

// A leaving is a service of which what ran was ended as far as possible.
type leaving struct {
	*service
	problems  []string // what could not be done
	unreached string   // why its host could not be connected to
	released  bool     // its host was made by launch, and is gone
}

// settle writes down how the end of a service came out.
func (s *Session) settle(l *leaving) {
	svc, found := l.service, l.problems
	switch {
	case l.unreached != "" && l.released:
		s.Note(svc.address(), l.unreached+"; its host is gone, and what ran there with it")
	case l.unreached != "":
		found = append(found, l.unreached+"; what runs there was not ended")
	}
	if len(found) > 0 {
		failure := newFailure(svc, PhaseTerminate, strings.Join(found, "; "))
		failure.Log = svc.snapshot().Log
		if !s.forced {
			s.fail(svc, failure)
			return
		}
		s.abandon(failure)
	}
	svc.note.Groups, svc.note.Failure, svc.note.Open, svc.note.Made, svc.note.EndDone, svc.note.Booted = nil, nil, false, false, false, false
	svc.edit(func(row *state.Service) { row.Fingerprint = "" })
	s.advance(svc, state.Terminated, "")
}

// abandon tells what of a service a forced terminate leaves as it is.
func (s *Session) abandon(failure *Failure) {
	failure.mask(s.masker)
	s.Note(failure.Service, "not ended whole, and left as it is: "+failure.Reason)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leftBehind = append(s.leftBehind, failure)
}

// untouched says whether nothing of the service was ever started.
func (s *Session) untouched(svc *service) bool {
	st := svc.status()
	return (st == state.Pending || st == state.Skipped) && !svc.note.Made && svc.spec.Runner.Type == "local"
}

// An unreachedError means that a service's host could not be connected to when the service was to be ended.
type unreachedError struct{ error }

// end ends what runs for a service on its host. The problems are what could not be done; the
// error is of launch itself, or an unreachedError. After an interrupt the next command goes on from where it stopped.
func (s *Session) end(ctx context.Context, svc *service, started func()) (problems []string, err error) {
	if err := s.advance(svc, state.Terminating, "").Wait(); err != nil {
		return nil, err
	}
	err = s.formerly(svc)
	if svc.note.Facts == nil {
		return nil, nil // it never had a host
	}
	if err != nil {
		return []string{err.Error()}, nil
	}
	if host, err := s.hostToEnd(ctx, svc, started); host == nil || err != nil {
		return nil, err
	}
	problem := func(text string) { problems = append(problems, s.masker.text(text)) }
	ending, toRun := s.ending(ctx, svc, problem)
	if ending.Terminate != nil && !svc.note.EndDone && svc.begun() {
		if text := s.endProgram(ctx, svc, ending, started); text != "" {
			problem(text)
		}
	}
	if ctx.Err() != nil {
		return problems, nil
	}
	if ending.Terminate != nil || len(ending.Gone) > 0 || svc.spec.HasProcess {
		started() // it may take its time; what only has to be looked after keeps its place: few at once cost less memory
	}
	s.stopGroups(ctx, svc, runners.Stop{Signal: ending.Signal, Grace: ending.Grace}, problem)
	unended := toRun && !svc.note.EndDone && svc.snapshot().Attempt > 0
	how := patient
	if unended {
		how = once // what was not ended is not on its way to be gone
	}
	for i, p := range ending.Gone {
		if f := s.await(ctx, svc, p, fmt.Sprintf("gone-%d", i), how); f != nil {
			problem(f.Reason)
		}
	}
	if ctx.Err() != nil {
		return problems, nil
	}
	if unended && !s.forced {
		return problems, nil // the next try of the terminate program works with what is in the work directory
	}
	if svc.note.OpenEnd { // of a program that an earlier command began and this one leaves out: its record goes with the directory
		svc.note.OpenEnd = false
		if err := s.advance(svc, state.Terminating, fmt.Sprintf("terminate-%d is left out", svc.note.Ends)).Wait(); err != nil {
			return problems, err
		}
	}
	s.keepOutput(ctx, svc)
	if err := svc.host.Remove(ctx, runners.DirName(svc.address())); err != nil {
		problem("its work directory could not be removed: " + err.Error())
	}
	return problems, nil
}

// hostToEnd reaches the host of a service that is to be ended; nil where it is gone, and what ran there with it.
func (s *Session) hostToEnd(ctx context.Context, svc *service, started func()) (runners.Host, error) {
	bound, cancel := context.WithTimeout(ctx, endConnect)
	defer cancel()
	host, err := s.reconnect(bound, svc, started)
	if gone(err) && (errors.Is(err, runners.ErrGone) || !svc.owner().hostNamed()) {
		s.Note(svc.address(), err.Error())
		return nil, nil // or it goes when it is released
	}
	if err != nil {
		return nil, &unreachedError{err}
	}
	return host, nil
}

// ending evaluates how a service is ended, and says whether its terminate program is to be run, also where the values that it
// takes cannot be had now.
func (s *Session) ending(ctx context.Context, svc *service, problem func(string)) (ending *plan.Ending, toRun bool) {
	recalled := errors.Join(s.recallSecrets(ctx, svc), s.recallUsed(ctx, svc))
	if recalled != nil && svc.spec.HasTerminate {
		s.Note(svc.address(), recalled.Error())
	}
	ending, diags := svc.spec.Ending()
	switch {
	case recalled == nil && plan.OnlyUnknown(diags): // its boot program never left them, or those of a service that has ended are gone with it
		s.Note(svc.address(), "what its end makes of values that are no more is left out: "+fromDiagnostics(svc, PhaseTerminate, diags).Reason)
	case diags.HasErrors():
		problem(fromDiagnostics(svc, PhaseTerminate, diags).Reason)
		return ending, svc.spec.HasTerminate
	}
	return ending, ending.Terminate != nil
}

// stopGroups ends the process groups that the service's programs left, and keeps those in mind that it could not.
func (s *Session) stopGroups(ctx context.Context, svc *service, stop runners.Stop, problem func(string)) {
	var left []string
	for _, name := range svc.note.Groups {
		if err := svc.host.Stop(ctx, runners.ID{Service: runners.DirName(svc.address()), Name: name}, stop); err != nil {
			problem("its programs could not be stopped: " + err.Error())
			left = append(left, name)
		}
	}
	svc.note.Groups = left
}

// begun says whether there may be something that the service's terminate program is for.
func (svc *service) begun() bool {
	return svc.snapshot().Attempt > 0 || !svc.spec.HasBoot && !svc.spec.HasProcess
}

// endProgram runs the service's terminate program, or attaches to the one that an earlier command began.
func (s *Session) endProgram(ctx context.Context, svc *service, ending *plan.Ending, started func()) (problem string) {
	attached := svc.note.OpenEnd
	if !attached {
		svc.note.Ends++
		svc.note.OpenEnd = true
	}
	name := fmt.Sprintf("terminate-%d", svc.note.Ends)
	if err := s.advance(svc, state.Terminating, name).Wait(); err != nil {
		return err.Error()
	}
	log := s.newPhaseLog(svc, PhaseTerminate)
	if err := log.restart(); err != nil {
		return err.Error()
	}
	rp := s.program(svc, PhaseTerminate, name, runners.Durable, ending.Terminate, log)
	rp.Files = []runners.File{{Path: attributesFile, Mode: 0o600, Content: ending.Attributes}}
	rp.Started = started
	result, err := svc.host.Run(ctx, rp)
	if err != nil {
		log.close()
		var notStarted *runners.StartError
		svc.note.OpenEnd = !errors.As(err, &notStarted)
		return "its terminate program: " + err.Error()
	}
	svc.note.OpenEnd = false
	if attached && unfinished(result) && ctx.Err() == nil {
		return s.endProgram(ctx, svc, ending, started)
	}
	svc.note.EndDone = result.Outcome == runners.Exited && result.Status == 0
	// Before the host's record of it is removed: who goes on after a crash would start what has ended a second time.
	if err := s.advance(svc, state.Terminating, name+" "+describe(result, ending.Terminate.Timeout)).Wait(); err != nil {
		return err.Error()
	}
	if svc.note.EndDone {
		log.close()
		return ""
	}
	f := s.programFailure(svc, PhaseTerminate, ending.Terminate, result, log)
	svc.edit(func(row *state.Service) { row.Log = f.Log })
	text := "its terminate program " + f.Reason
	if len(f.Tail) > 0 {
		text += ", its last line: " + f.Tail[len(f.Tail)-1]
	}
	return text
}
