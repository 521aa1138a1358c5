package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/launchplan/launch/harness/broker"
	"github.com/launchplan/launch/harness/wire"
)

// A leader renews its lease every renewEvery, and gives up leading leaseGiveUp after
// the last renewal that it knows of. Another takes over when it has seen no renewal
// for leaseExpires, by its own clock: within 3 s of the leader's death, and after
// the old one has given up. No two clocks are compared.
const (
	renewEvery   = 400 * time.Millisecond
	leaseGiveUp  = 1200 * time.Millisecond
	leaseExpires = 1600 * time.Millisecond
)

var errLeaseLost = errors.New("another dispatcher leads")

// lease is one dispatcher's part in the election.
type lease struct {
	conn *nats.Conn
	kv   jetstream.KeyValue
	name string

	record   wire.Lease
	revision uint64
	seen     time.Time // when the record last changed
	held     bool
	until    *deadline
}

// deadline is until when a dispatcher may lead by the last renewal that it knows of. A
// dispatcher that was stopped and goes on sees by it that it leads no longer, before it
// takes the agents' silence meanwhile for their death.
type deadline struct {
	base time.Time
	ns   atomic.Int64
}

func (d *deadline) set(t time.Time) { d.ns.Store(int64(t.Sub(d.base))) }

func (d *deadline) over(now time.Time) bool { return int64(now.Sub(d.base)) >= d.ns.Load() }

// leaseEvents run for a session: they report who leads, and that this dispatcher does.
type leaseEvent struct {
	record wire.Lease
	held   bool
}

// run takes part in the election until ctx ends, then gives a held lease back. It
// returns errLeaseLost when a held lease is gone.
func (l *lease) run(ctx context.Context, events chan<- leaseEvent) error {
	watcher, err := l.kv.Watch(ctx, wire.LeaseKey)
	if err != nil {
		return err
	}
	defer broker.StopWatch(l.conn, watcher)
	timer := time.NewTimer(leaseExpires)
	defer timer.Stop()
	loaded := false
	for {
		select {
		case <-ctx.Done():
			l.release(context.WithoutCancel(ctx))
			return ctx.Err()
		case e, open := <-watcher.Updates():
			switch {
			case !open:
				return errors.New("the watch of the lease ended")
			case e == nil:
				loaded = true
			default:
				l.observe(e)
				if !l.held && !l.tell(ctx, events) {
					continue
				}
			}
		case <-timer.C:
		}
		if l.held && l.revisionMoved() {
			return errLeaseLost
		}
		if err := l.act(ctx, loaded, events); err != nil {
			return err
		}
		timer.Reset(l.wait())
	}
}

func (l *lease) observe(e jetstream.KeyValueEntry) {
	if e.Revision() <= l.revision {
		return
	}
	l.revision, l.seen = e.Revision(), time.Now()
	l.record = wire.Lease{}
	if e.Operation() == jetstream.KeyValuePut {
		json.Unmarshal(e.Value(), &l.record) // what cannot be read is nobody's
	}
}

// revisionMoved says that someone else wrote the lease.
func (l *lease) revisionMoved() bool { return l.record.Dispatcher != l.name || l.record.Released }

// free says that the lease can be taken: nobody's, given back, this dispatcher's own
// from before a restart, or not renewed for too long.
func (l *lease) free() bool {
	r := l.record
	return r.Dispatcher == "" || r.Released || r.Dispatcher == l.name || time.Since(l.seen) >= leaseExpires
}

func (l *lease) wait() time.Duration {
	if l.held {
		return max(time.Until(l.seen.Add(renewEvery)), 0)
	}
	return max(time.Until(l.seen.Add(leaseExpires)), 10*time.Millisecond)
}

// act renews or takes the lease where it is time to.
func (l *lease) act(ctx context.Context, loaded bool, events chan<- leaseEvent) error {
	switch {
	case l.held && time.Since(l.seen) < renewEvery:
		return nil
	case l.held:
		next := l.record
		next.Renewal++
		return l.renew(ctx, next)
	case !loaded || !l.free():
		return nil
	}
	next := wire.Lease{Dispatcher: l.name, Term: max(l.record.Term+1, uint64(time.Now().UnixMilli()))}
	ok, err := l.write(ctx, next)
	if err != nil || !ok {
		return err
	}
	l.held = true
	l.tell(ctx, events)
	return nil
}

func (l *lease) renew(ctx context.Context, next wire.Lease) error {
	ctx, cancel := context.WithDeadline(ctx, l.seen.Add(leaseGiveUp))
	defer cancel()
	for {
		ok, err := l.write(ctx, next)
		if ok {
			return nil
		}
		if err == nil {
			return errLeaseLost
		}
		select {
		case <-ctx.Done():
			return errors.Join(errLeaseLost, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// write replaces the lease as it was last seen. Not ok: someone else was faster.
func (l *lease) write(ctx context.Context, next wire.Lease) (ok bool, err error) {
	data, err := json.Marshal(next)
	if err != nil {
		return false, err
	}
	started := time.Now() // a renewal counts from when it was asked for
	revision, err := l.kv.Update(ctx, wire.LeaseKey, data, l.revision)
	if errors.Is(err, jetstream.ErrKeyExists) || isConflict(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	l.revision, l.record, l.seen = revision, next, started
	l.until.set(started.Add(leaseGiveUp))
	return true, nil
}

// release gives the lease back, so that another need not wait for it to expire.
func (l *lease) release(ctx context.Context) {
	if !l.held || !l.conn.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	next := l.record
	next.Released = true
	l.write(ctx, next) // it expires by itself where this fails
}

func (l *lease) tell(ctx context.Context, events chan<- leaseEvent) bool {
	select {
	case events <- leaseEvent{l.record, l.held}:
		return true
	case <-ctx.Done():
		return false
	}
}
