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
	if svc.on != nil && host != nil && svc.owner().note.Facts != nil {
		s.onHostOf(svc) // it may be another machine by now
	}
	return host, err
}

// hostOf is reconnect for any worker: of the service, only its host is set.
func (s *Session) hostOf(ctx context.Context, svc *service, started func()) (runners.Host, error) {
	svc.connect.Lock()
	defer svc.connect.Unlock()
	if svc.host == nil && svc.note.Facts != nil && svc.tree == s.tree && s.otherwise(svc, svc.spec) {
		return nil, errors.New(elsewhereReason)
	}
	if svc.on != nil {
		host, err := s.hostOf(ctx, svc.on, started)
		if host == nil && err == nil && svc.note.Facts != nil && svc.leftBehind() {
			host, err = s.connectTo(ctx, svc.owner(), svc.note.Target)
		}
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
	if svc.spec.Runner.Type != "local" {
		started()
	}
	host, err := s.connectTo(ctx, svc, svc.note.Target)
	if err != nil {
		return nil, err
	}
	svc.host = host
	return host, nil
}

// leftBehind says whether the host of a service on another one's is still there where that one has moved, or has ended:
// a host that a plan named, or this machine.
func (svc *service) leftBehind() bool {
	return svc.note.Target != "" || svc.owner().spec.Runner.Type == "local"
}

// connectTo reaches the host that the service's runner has for it, or that a plan named.
func (s *Session) connectTo(ctx context.Context, svc *service, target string) (runners.Host, error) {
	r, err := s.hosts.runner(ctx, svc.spec.Runner)
	if err != nil {
		return nil, err
	}
	where := runners.Target{Service: svc.address(), Host: target}
	p := provisioner(r)
	if p == nil {
		return r.Connect(ctx, where)
	}
	err = p.Inspect(ctx, svc.address())
	if _, untold := errors.AsType[*runners.UntoldError](err); untold { // its host may be well all the same
		s.untold.Do(func() { s.Note(svc.address(), err.Error()+"; what is running is connected to all the same") })
		host, cerr := r.Connect(ctx, where)
		if cerr != nil {
			return nil, fmt.Errorf("%w; %w", err, cerr)
		}
		return host, nil
	}
	if err != nil {
		return nil, &goneError{fmt.Errorf("its host is not as it should be: %w", err)}
	}
	return r.Connect(ctx, where)
}
