package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/launchplan/launch/runners"
)

// A goneError says that a host which launch made is gone, or impaired.
type goneError struct{ error }

func (e *goneError) Unwrap() error { return e.error }

// gone says whether err is that.
func gone(err error) bool {
	var g *goneError
	return errors.As(err, &g)
}

// reconnect reaches the host of a service that has one already. It makes no new
// host: where launch made it and it is gone or impaired, the error is a *goneError. there is false where a
// service has no single host.
func (s *Session) reconnect(ctx context.Context, svc *service, started func()) (there bool, err error) {
	svc.connect.Lock()
	defer svc.connect.Unlock()
	if svc.on != nil {
		there, err := s.reconnect(ctx, svc.on, started)
		if host := svc.on.host; host != svc.host { // it may be another machine by now
			if svc.host = host; host != nil && svc.on.note.Facts != nil {
				s.onHostOf(svc)
			}
		}
		return there, err
	}
	if svc.host != nil {
		return true, nil
	}
	if svc.note.Facts == nil || svc.note.Facts.Pool {
		return false, nil
	}
	r, err := s.hosts.runner(ctx, svc.spec.Runner)
	if err != nil {
		return false, err
	}
	if svc.spec.Runner.Type != "local" {
		started()
	}
	if p := provisioner(r); p != nil {
		if err := p.Inspect(ctx, svc.address()); err != nil {
			return false, &goneError{fmt.Errorf("its host is not as it should be: %w", err)}
		}
	}
	target, diags := svc.spec.Target()
	if diags.HasErrors() {
		return false, fromDiagnostics(svc, PhaseConnect, diags)
	}
	host, err := r.Connect(ctx, runners.Target{Service: svc.address(), Host: target})
	if err != nil {
		return false, err
	}
	svc.host = host
	return true, nil
}
