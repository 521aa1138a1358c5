package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/state"
)

// A Failure explains why a service did not become what it should, with all that
// an operator needs to go on: it is kept with the service, and is the error that
// bringing it up returns.
type Failure struct {
	Service string   `json:"service"`
	Phase   string   `json:"phase"`
	Host    string   `json:"host,omitempty"`
	Command string   `json:"command,omitempty"`
	Reason  string   `json:"reason"`           // "ended with status 3"
	Tail    []string `json:"tail,omitempty"`   // the end of the program's output
	Log     string   `json:"log,omitempty"`    // path
	Source  string   `json:"source,omitempty"` // "/plans/shop/plan.hcl:12"
	Hint    string   `json:"hint,omitempty"`   // what to do next
}

func (f *Failure) Error() string {
	return fmt.Sprintf("service %s: %s: %s", f.Service, f.Phase, f.Reason)
}

// mask takes secrets out of everything in f.
func (f *Failure) mask(m *masker) {
	f.Command, f.Reason, f.Hint = m.message(f.Command), m.message(f.Reason), m.message(f.Hint)
	for i := range f.Tail {
		f.Tail[i] = m.text(f.Tail[i])
	}
}

// A maskedError is an error whose text had secrets in it: what clouds and hosts answer may hold what the plan gave them.
type maskedError struct {
	text string
	err  error
}

func (e *maskedError) Error() string { return e.text }
func (e *maskedError) Unwrap() error { return e.err }

// Mask takes secrets out of what an error of the session says. A *RunError stays one: it has only the names of services,
// which are told everywhere, so that a mask in one of them would tell the secret.
func (s *Session) Mask(err error) error {
	if err == nil {
		return nil
	}
	if _, names := err.(*RunError); names {
		return err
	}
	if text := s.masker.text(err.Error()); text != err.Error() {
		return &maskedError{text, err}
	}
	return err
}

// newFailure explains why a service did not get through a phase on its host. The place to look at in the plan is its block,
// unless who makes the failure knows a better one.
func newFailure(svc *service, phase, reason string) *Failure {
	return &Failure{Service: svc.address(), Phase: phase, Host: svc.snapshot().Host, Reason: reason, Source: source(svc.spec.Range)}
}

// source is where in the plan a range begins, for messages. They are kept, and read from anywhere, so the name is whole.
func source(r hcl.Range) string {
	if r.Filename == "" {
		return ""
	}
	if whole, err := filepath.Abs(r.Filename); err == nil {
		r.Filename = whole
	}
	return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line)
}

// fromDiagnostics makes a failure of evaluation errors.
func fromDiagnostics(svc *service, phase string, diags hcl.Diagnostics) *Failure {
	f := &Failure{Service: svc.address(), Phase: phase, Source: source(svc.spec.Range)}
	var reasons []string
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		reasons = append(reasons, d.Summary+": "+d.Detail)
		if d.Subject != nil && len(reasons) == 1 {
			f.Source = source(*d.Subject)
		}
	}
	f.Reason = strings.Join(reasons, "; ")
	return f
}

// fromError makes a failure of what a runner could not do.
func fromError(svc *service, phase string, err error) *Failure {
	f := newFailure(svc, phase, err.Error())
	var unreachable *runners.UnreachableError
	if errors.As(err, &unreachable) && phase == PhaseBoot {
		f.Hint = "its program may still be running there; `launch resume` attaches to it again"
	}
	return f
}

// describe says in words how a program ended that should have ended with status 0.
func describe(r runners.Result, timeout time.Duration) string {
	switch r.Outcome {
	case runners.Exited:
		return fmt.Sprintf("ended with status %d after %s", r.Status, took(r))
	case runners.Signaled:
		return fmt.Sprintf("was ended by %s after %s", r.Signal, took(r))
	case runners.TimedOut:
		return fmt.Sprintf("did not end within its timeout of %s and was stopped", timeout)
	case runners.Stopped:
		return "was stopped by an interrupt"
	case runners.Lost:
		return "was lost: " + r.Reason
	}
	return "ended in an unknown way"
}

func took(r runners.Result) time.Duration {
	if r.Started.IsZero() || r.Ended.Before(r.Started) {
		return 0
	}
	d := r.Ended.Sub(r.Started)
	if d > time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}

// FailureOf returns the explanation that is kept with a failed service, nil for one that is not failed.
func FailureOf(row state.Service) *Failure {
	if row.Status != state.Failed {
		return nil
	}
	var d detail
	if json.Unmarshal(row.Detail, &d) == nil && d.Failure != nil {
		return d.Failure
	}
	return failureOfRow(row)
}

// failureOfRow is what there is to tell of a failed service with which no explanation is kept.
func failureOfRow(row state.Service) *Failure {
	return &Failure{Service: row.Address, Phase: row.Phase, Host: row.Host, Reason: row.Error, Log: row.Log}
}
