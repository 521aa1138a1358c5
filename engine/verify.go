package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/state"
)

// verify makes the service's ready probes until all of them hold, and with
// that makes it ready.
func (s *Session) verify(ctx context.Context, svc *service) error {
	if svc.status() != state.Verifying {
		if err := s.beginVerify(svc); err != nil {
			return err
		}
	}
	failure, err := s.check(ctx, svc, patient)
	if err != nil {
		return err
	}
	if failure != nil {
		if ctx.Err() != nil {
			return s.leftOff(ctx, svc, PhaseVerify)
		}
		return s.fail(svc, failure)
	}
	svc.note.Failure = nil
	s.advance(svc, state.Ready, "")
	return nil
}

// patience says how long probes are repeated.
type patience uint8

const (
	patient patience = iota + 1 // until they hold, or the plan's bounds are reached
	once                        // as it stands now: for status and repair
)

// check makes the ready probes and looks after the process. The failure is why
// the service is not ready; the error, that launch could not find out.
func (s *Session) check(ctx context.Context, svc *service, how patience) (*Failure, error) {
	probes, diags := svc.spec.Checks()
	if diags.HasErrors() {
		return fromDiagnostics(svc, PhaseVerify, diags), nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	process := s.watchProcess(ctx, svc, how, len(probes) == 0, cancel)

	failures := make([]*Failure, len(probes))
	try := func(i int) {
		failures[i] = s.await(ctx, svc, probes[i], fmt.Sprintf("ready-%d", i), how)
		if failures[i] != nil {
			cancel(failures[i]) // all must hold, so the others need not be waited for
		}
	}
	var wg sync.WaitGroup
	for i := 1; i < len(probes); i++ {
		wg.Go(func() { try(i) })
	}
	if len(probes) > 0 {
		try(0) // mostly the only one
		wg.Wait()
		cancel(nil)
	}
	if f := process(); f != nil {
		return f, nil
	}
	// The first to fail cancelled the others, which then report that: tell the cause.
	var first *Failure
	if errors.As(context.Cause(ctx), &first) {
		return first, nil
	}
	for _, f := range failures {
		if f != nil {
			return f, nil
		}
	}
	return nil, nil
}

// watchProcess notices the end of the service's process while its probes are made: what has
// died will not become ready. The function that it returns waits for what it found.
func (s *Session) watchProcess(ctx context.Context, svc *service, how patience, alone bool, cancel context.CancelCauseFunc) func() *Failure {
	if svc.note.Process == "" || !svc.spec.HasProcess {
		return func() *Failure { return nil }
	}
	id := runners.ID{Service: runners.DirName(svc.address()), Name: svc.note.Process}
	st, err := svc.host.Look(ctx, id)
	if failure := s.processFailure(svc, st, err); failure != nil {
		cancel(failure)
		return func() *Failure { return failure }
	}
	if how == once {
		return func() *Failure { return nil }
	}
	found := make(chan *Failure, 1)
	go func() {
		wait := ctx
		if alone {
			var stop context.CancelFunc
			wait, stop = context.WithTimeout(ctx, processSettle)
			defer stop()
		}
		result, err := svc.host.Wait(wait, id)
		if err != nil {
			found <- nil // it stays up, or its end cannot be told now: the probes decide
			return
		}
		failure := s.processFailure(svc, runners.State{Phase: runners.Ended, Result: result}, nil)
		cancel(failure)
		found <- failure
	}()
	return func() *Failure { return <-found }
}

// processFailure explains why the process is not up, nil where it is.
func (s *Session) processFailure(svc *service, st runners.State, err error) *Failure {
	if err == nil && st.Phase == runners.Running {
		return nil
	}
	f := newFailure(svc, PhaseVerify, "")
	if p := svc.spec.Process(); p != nil {
		f.Command, f.Source = p.Display, source(p.Range)
	}
	switch {
	case err != nil:
		f.Reason = "its process cannot be looked at: " + err.Error()
	case st.Phase == runners.Ended:
		f.Reason = "its process " + describe(st.Result, 0)
		f.Tail = s.processTail(svc)
		f.Hint = "`launch repair` starts it again"
	default:
		f.Reason = "its process is not running"
	}
	return f
}

// processTail is the end of what the service's process wrote.
func (s *Session) processTail(svc *service) []string {
	ctx, cancel := context.WithTimeout(context.Background(), probeOnce)
	defer cancel()
	out, err := svc.host.Output(ctx, runners.ID{Service: runners.DirName(svc.address()), Name: svc.note.Process}, -tailBytes, tailBytes)
	if err != nil {
		return nil
	}
	t := tail{}
	t.write([]byte(s.masker.text(string(out))))
	return t.lines()
}

// await makes one probe until it holds. It is made once at once, then again after
// a short interval that grows, since most services answer soon.
func (s *Session) await(ctx context.Context, svc *service, p *plan.Probe, name string, how patience) *Failure {
	began := time.Now()
	bound, cancel := context.WithTimeoutCause(ctx, p.Timeout, errProbeTimeout)
	defer cancel()
	log := s.newPhaseLog(svc, PhaseVerify+"-"+name)
	if err := log.restart(); err != nil {
		s.Note(svc.address(), err.Error())
	}
	interval := p.Interval
	if interval == 0 {
		interval = plan.MinInterval
	}
	probe := s.newProbe(svc, p, name, log)
	for attempt := 1; ; attempt++ {
		err := probe.try(bound, attempt)
		if err == nil {
			log.close()
			return nil
		}
		last := how == once || p.Attempts > 0 && attempt >= p.Attempts
		if bound.Err() == nil && !last {
			if pause(bound, interval) {
				if p.Interval == 0 {
					interval = min(interval*3/2, plan.MaxInterval)
				}
				continue
			}
		}
		return s.probeFailure(ctx, svc, p, probe, err, attempt, time.Since(began), log)
	}
}

var errProbeTimeout = errors.New("timeout")

// probeFailure explains a probe that did not come to hold, with what it found last.
func (s *Session) probeFailure(ctx context.Context, svc *service, p *plan.Probe, probe *prober, err error, attempts int, after time.Duration, log *phaseLog) *Failure {
	if probe.found != nil {
		err = probe.found // a probe cut short by the timeout has found nothing by itself
	}
	tries := fmt.Sprintf("after %d tries in %s", attempts, after.Round(time.Millisecond))
	if attempts == 1 {
		tries = "at the only try"
	}
	if ctx.Err() == nil && after >= p.Timeout {
		tries = fmt.Sprintf("within its timeout of %s", p.Timeout)
	}
	f := newFailure(svc, PhaseVerify, fmt.Sprintf("%s does not hold %s: %v", p.Display, tries, err))
	f.Command, f.Source, f.Tail = p.Display, source(p.Range), log.tailOf()
	f.Log, _ = log.close()
	return f
}
