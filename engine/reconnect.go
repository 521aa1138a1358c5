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

// reconnect reaches the host of a service that has one already, nil where it has no single one. It makes no new
// host: where launch made it and it is gone or impaired, the error is a *goneError.
func (s *Session) reconnect(ctx context.Context, svc *service, started func()) (runners.Host, error) {
	host, err := s.hostOf(ctx, svc, started)
	if svc.on != nil && host != nil {
		s.onHostOf(svc) // it may be another machine by now
	}
	return host, err
}

// hostOf is reconnect for any worker: of the service, only its host is set.
func (s *Session) hostOf(ctx context.Context, svc *service, started func()) (runners.Host, error) {
	svc.connect.Lock()
	defer svc.connect.Unlock()
	if svc.host == nil && svc.tree == s.tree && s.elsewhere(svc) {
		return nil, errors.New(elsewhereReason)
	}
	if svc.on != nil {
		host, err := s.hostOf(ctx, svc.on, started)
		if host != svc.host {
			svc.host = host
		}
		return host, err
	}
	if svc.host != nil {
		return svc.host, nil
	}
	if svc.note.Facts == nil || svc.note.Facts.Pool {
		return nil, nil
	}
	r, err := s.hosts.runner(ctx, svc.spec.Runner)
	if err != nil {
		return nil, err
	}
	if svc.spec.Runner.Type != "local" {
		started()
	}
	if p := provisioner(r); p != nil {
		if err := p.Inspect(ctx, svc.address()); err != nil {
			return nil, &goneError{fmt.Errorf("its host is not as it should be: %w", err)}
		}
	}
	host, err := r.Connect(ctx, runners.Target{Service: svc.address(), Host: svc.note.Target})
	if err != nil {
		return nil, err
	}
	svc.host = host
	return host, nil
}
