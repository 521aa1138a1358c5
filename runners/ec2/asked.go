package ec2

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/launchplan/launch/runners"
)

// gatherWants is how long the first of a level's services waits for the others.
const gatherWants = 200 * time.Millisecond

// asked collects services whose Await found that nobody had asked for them, as
// with provision = "at-level": those of a level come within moments of each
// other and share a Request.
type asked struct {
	mu   sync.Mutex
	next *sharedRequest // that can still be joined
}

type sharedRequest struct {
	wants []runners.Want
	done  chan struct{}
	err   error // after done
}

// request asks for a service's instance together with those that come at the
// same time. Whoever is first makes the call for all, with its own context; the
// others try again where that one was interrupted.
func (a *asked) request(ctx context.Context, r *Runner, want runners.Want) error {
	for {
		a.mu.Lock()
		s, first := a.next, a.next == nil
		if first {
			s = &sharedRequest{done: make(chan struct{})}
			a.next = s
		}
		s.wants = append(s.wants, want)
		a.mu.Unlock()
		if first {
			return a.lead(ctx, r, s)
		}
		select {
		case <-s.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if s.err == nil || ctx.Err() != nil {
			return s.err
		}
		if _, interrupted := s.err.(leaderGone); !interrupted {
			return s.err
		}
	}
}

// leaderGone is the error of a request whose maker was interrupted.
type leaderGone struct{ error }

func (a *asked) lead(ctx context.Context, r *Runner, s *sharedRequest) error {
	defer close(s.done)
	select {
	case <-time.After(gatherWants):
	case <-ctx.Done():
	}
	a.mu.Lock()
	a.next = nil
	wants := s.wants
	a.mu.Unlock()
	slices.SortFunc(wants, func(x, y runners.Want) int { return inOrder(x.Service, y.Service) })
	s.err = r.Request(ctx, wants)
	if ctx.Err() != nil && s.err != nil {
		s.err = leaderGone{context.Cause(ctx)}
	}
	return s.err
}

// inOrder compares addresses so that web[2] comes before web[10].
func inOrder(x, y string) int {
	px, ix, okx := indexed(x)
	py, iy, oky := indexed(y)
	if okx && oky {
		return cmp.Or(cmp.Compare(px, py), cmp.Compare(ix, iy))
	}
	return cmp.Compare(x, y)
}
