package engine

import (
	"context"
	"errors"
	"sync"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/state"
)

// A visit is what a walk does with a service. It is called for services whose
// turn has come; its error is the service's failure (the service's row tells it
// already) or one of launch itself, such as a store that cannot be written.
// It calls started when it has started what it had to and only waits: of services before that
// point there are few at a time.
type visit func(ctx context.Context, svc *service, started func()) error

// errNotStarted is what a level comes to when nothing was done in it.
var errNotStarted = errors.New("not started")

// forward visits services level by level: a level begins when those it comes after are complete. Levels with
// no path between them go on at the same time. What stands behind a failure is
// given to skip instead. One failure does not stop its siblings: the operator
// gets the whole level's story at once.
func (s *Session) forward(ctx context.Context, do visit, skip func(*service, string) state.Ticket) error {
	wanted := s.wanted()
	outcomes := make(map[*level]*outcome, len(s.levels))
	for _, lv := range s.levels {
		outcomes[lv] = &outcome{done: make(chan struct{})}
	}
	var wg sync.WaitGroup
	for _, lv := range s.levels {
		wg.Go(func() {
			o := outcomes[lv]
			defer close(o.done)
			if !wanted[lv.spec] {
				o.err = errNotStarted
				return
			}
			blocked := ""
			for _, before := range lv.after {
				b := outcomes[before]
				<-b.done
				if b.err != nil && blocked == "" {
					blocked = "level " + before.spec.Name + " is not complete"
				}
			}
			if ctx.Err() != nil {
				o.err = errNotStarted
				return
			}
			if blocked != "" && s.set.OnFailure != Continue {
				o.err = errNotStarted
				for _, svc := range lv.services {
					skip(svc, blocked)
				}
				return
			}
			o.err = s.visitLevel(ctx, lv, do)
		})
	}
	wg.Wait()
	var errs []error
	for _, lv := range s.levels {
		if err := outcomes[lv].err; err != nil && !errors.Is(err, errNotStarted) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// outcome is how a level ended; err may be read once done is closed.
type outcome struct {
	done chan struct{}
	err  error
}

// visitLevel visits a level's services together, as many at a time as its parallelism says.
func (s *Session) visitLevel(ctx context.Context, lv *level, do visit) error {
	slots := make(chan struct{}, max(1, lv.spec.Parallelism))
	var mu sync.Mutex
	var failures []error // guarded by mu
	var wg sync.WaitGroup
	for _, svc := range lv.services {
		if lv.spec.Parallelism > 0 {
			slots <- struct{}{}
		}
		s.starting <- struct{}{} // given back by startSlot
		if ctx.Err() != nil {
			<-s.starting
			break // nothing new starts after an interrupt
		}
		wg.Go(func() {
			slot := &startSlot{slots: s.starting}
			err := do(ctx, svc, slot.free)
			slot.free()
			if lv.spec.Parallelism > 0 {
				<-slots
			}
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				failures = append(failures, err)
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		failures = append(failures, context.Cause(ctx))
	}
	return errors.Join(failures...)
}

// backward takes levels in the reverse order: a level's turn comes when all
// levels that come after it are done with, whatever came of them.
func (s *Session) backward(ctx context.Context, do func(ctx context.Context, lv *level) error) error {
	done := make(map[*level]chan struct{}, len(s.levels))
	for _, lv := range s.levels {
		done[lv] = make(chan struct{})
	}
	errs := make([]error, len(s.levels))
	var wg sync.WaitGroup
	for i, lv := range s.levels {
		wg.Go(func() {
			defer close(done[lv])
			for _, later := range lv.before {
				<-done[later]
			}
			errs[i] = do(ctx, lv)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// wanted are the levels that this run is to bring up: all, or those that it takes to get to its `until` level.
func (s *Session) wanted() map[*plan.Level]bool { return s.tree.Until(s.set.Until) }

// startSlot is a place among the services that are about to start something.
// It is given back once, at the latest when the service's visit ends.
type startSlot struct {
	slots chan struct{}
	once  sync.Once
}

func (s *startSlot) free() { s.once.Do(func() { <-s.slots }) }
