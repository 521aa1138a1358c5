package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/launchplan/launch/harness/broker"
	"github.com/launchplan/launch/harness/wire"
)

const (
	inbox         = 65536                  // messages that may wait; a heartbeat or request beyond is lost, and repeated
	stepInputs    = 4096                   // inputs taken into one step
	sessionRetry  = 100 * time.Millisecond // between attempts to work with a broker that fails
	needsEvery    = 200 * time.Millisecond // at most so often are changed needs published
	prepareWithin = 15 * time.Second       // questions are repeated within it; a cluster that takes longer is asked anew
)

// A Dispatcher is one daemon among those that keep the records. One of them leads.
type Dispatcher struct {
	Name     string
	Conn     *nats.Conn
	Replicas int // of the records; 0: as many as the broker can keep, up to three
	Throttle Throttle
	Log      *slog.Logger
	Ready    func() // called once: it answers, and some dispatcher leads

	heard map[string]*heard // over sessions: the agents' silence goes on meanwhile
	once  sync.Once
}

// Run works until ctx ends. What goes wrong with the broker ends a session; the next
// begins from the records alone.
func (d *Dispatcher) Run(ctx context.Context) error {
	d.heard = map[string]*heard{}
	lost := make(chan struct{}, 1)
	d.Conn.SetReconnectHandler(func(*nats.Conn) {
		select {
		case lost <- struct{}{}:
		default:
		}
	})
	defer d.Conn.SetReconnectHandler(nil)
	for ctx.Err() == nil {
		err := d.session(ctx, lost)
		if ctx.Err() != nil {
			break
		}
		d.Log.Warn("begin anew from the records", "because", err)
		select {
		case <-ctx.Done():
		case <-time.After(sessionRetry):
		}
	}
	return context.Cause(ctx)
}

// session is the state of a Dispatcher between two losses of the broker or the lease.
type session struct {
	*Dispatcher
	core    *Core
	store   *bucketStore
	buckets *broker.Buckets

	heartbeats chan *nats.Msg
	requests   chan *nats.Msg
	queries    chan *nats.Msg
	pings      chan *nats.Msg
	indexed    chan indexedQuery // queries that know how far the records must be read

	leader   wire.Lease
	until    *deadline // of the lease
	term     uint64    // of the lease that is held; 0: none
	leadFrom uint64    // the revision that must be read before leading
	seen     uint64    // the revision that the watch has reached
	loaded   bool
	waiting  []indexedQuery
	needs    []wire.Need
	needsAt  time.Time
	changed  bool
}

func (d *Dispatcher) session(ctx context.Context, lost <-chan struct{}) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel(nil)

	prepare, done := context.WithTimeout(ctx, prepareWithin)
	defer done()
	buckets, err := broker.Prepare(prepare, d.Conn, d.Replicas)
	if err != nil {
		return err
	}
	store, err := newBucketStore(prepare, buckets.JS, wire.RecordsBucket)
	if err != nil {
		return err
	}
	s := &session{
		Dispatcher: d, core: NewCore(), store: store, buckets: buckets,
		heartbeats: make(chan *nats.Msg, inbox), requests: make(chan *nats.Msg, inbox),
		queries: make(chan *nats.Msg, inbox), pings: make(chan *nats.Msg, 64), indexed: make(chan indexedQuery, 64),
		until: &deadline{base: time.Now()},
	}
	s.core.Throttle = d.Throttle
	s.core.heard = d.heard
	s.core.Regrace(time.Now())

	watcher, err := buckets.Records.WatchAll(ctx)
	if err != nil {
		return err
	}
	defer broker.StopWatch(d.Conn, watcher)
	subs, err := s.subscribe()
	defer func() {
		for _, sub := range subs {
			sub.Unsubscribe()
		}
	}()
	if err != nil {
		return err
	}
	leases := make(chan leaseEvent)
	background.Go(func() {
		l := &lease{conn: d.Conn, kv: buckets.Lease, name: d.Name, until: s.until}
		if err := l.run(ctx, leases); err != nil {
			cancel(err)
		}
	})
	background.Go(func() { s.index(ctx) })
	return s.loop(ctx, lost, watcher, leases)
}

func (s *session) subscribe() ([]*nats.Subscription, error) {
	var subs []*nats.Subscription
	for subject, ch := range map[string]chan *nats.Msg{
		wire.HeartbeatSubject:                  s.heartbeats,
		wire.PingSubject("dispatcher", s.Name): s.pings,
	} {
		sub, err := s.Conn.ChanSubscribe(subject, ch)
		if err != nil {
			return subs, err
		}
		subs = append(subs, sub)
	}
	sub, err := s.Conn.ChanQueueSubscribe(wire.QuerySubject, "dispatchers", s.queries)
	if err != nil {
		return subs, err
	}
	return append(subs, sub), s.Conn.Flush()
}

func (s *session) loop(ctx context.Context, lost <-chan struct{}, watcher jetstream.KeyWatcher, leases <-chan leaseEvent) error {
	var requests *nats.Subscription
	defer func() {
		if requests != nil {
			requests.Unsubscribe()
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	updates := watcher.Updates()
	var inputs []any
	for {
		inputs = inputs[:0]
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-lost:
			return errors.New("the connection to the broker was lost and is back")
		case e, open := <-updates:
			if !open {
				return errors.New("the watch of the records ended")
			}
			inputs = s.observed(inputs, e)
		case msg := <-s.heartbeats:
			inputs = s.heartbeat(inputs, msg)
		case msg := <-s.requests:
			inputs = s.request(inputs, msg)
		case q := <-s.indexed:
			s.waiting = append(s.waiting, q)
		case msg := <-s.pings:
			s.respond(msg, wire.Status{Name: s.Name, Leads: s.core.Leading(), Leader: s.leader.Dispatcher, Term: s.leader.Term})
		case e := <-leases:
			if err := s.lease(ctx, e); err != nil {
				return err
			}
		case <-timer.C:
		}
		inputs = s.drain(inputs, updates)
		if err := s.step(ctx, inputs); err != nil {
			return err
		}
		if s.core.Leading() && requests == nil {
			// Not in a queue group: a leader that hangs would swallow its share of the
			// requests after another has taken over.
			sub, err := s.Conn.ChanSubscribe(wire.RequestSubject, s.requests)
			if err != nil {
				return err
			}
			requests = sub
		}
		s.answerQueries()
		s.announceReady()
		timer.Reset(s.untilNext())
	}
}

// drain takes what else has come, so that it shares a step and its writes.
func (s *session) drain(inputs []any, updates <-chan jetstream.KeyValueEntry) []any {
	for len(inputs) < stepInputs {
		select {
		case e, open := <-updates:
			if !open {
				return inputs
			}
			inputs = s.observed(inputs, e)
		case msg := <-s.heartbeats:
			inputs = s.heartbeat(inputs, msg)
		case msg := <-s.requests:
			inputs = s.request(inputs, msg)
		default:
			return inputs
		}
	}
	return inputs
}

func (s *session) observed(inputs []any, e jetstream.KeyValueEntry) []any {
	if e == nil {
		s.loaded = true
		return inputs
	}
	s.seen = max(s.seen, e.Revision())
	return append(inputs, observedOf(e))
}

func (s *session) heartbeat(inputs []any, msg *nats.Msg) []any {
	hb, err := wire.DecodeHeartbeat(msg.Data)
	if err != nil {
		s.Log.Warn("drop a heartbeat", "because", err)
		return inputs
	}
	return append(inputs, hb)
}

func (s *session) request(inputs []any, msg *nats.Msg) []any {
	req, err := wire.DecodeRequest(msg.Data)
	if err != nil {
		s.respond(msg, refuse(wire.CodeInvalid, "%v", err))
		return inputs
	}
	return append(inputs, Asked{req, msg})
}

// lease notes who leads. Before this dispatcher leads it must have read what its
// predecessor wrote last.
func (s *session) lease(ctx context.Context, e leaseEvent) error {
	s.leader = e.record
	if !e.held {
		return nil
	}
	last, err := s.store.last(ctx)
	if err != nil {
		return err
	}
	s.leadFrom, s.term = last, e.record.Term
	return nil
}

func (s *session) step(ctx context.Context, inputs []any) error {
	now := time.Now()
	if s.term != 0 && s.until.over(now) {
		return errLeaseLost
	}
	if s.term != 0 && !s.core.Leading() && s.loaded && s.seen >= s.leadFrom {
		if _, err := s.core.Step(ctx, now, s.store, inputs); err != nil {
			return err
		}
		inputs = nil
		s.core.Lead(s.term, now)
		s.Log.Info("lead", "term", s.term)
	}
	out, err := s.core.Step(ctx, now, s.store, inputs)
	if err != nil {
		return err
	}
	s.changed = s.changed || len(inputs) > 0
	for agent, o := range out.Orders {
		if err := s.order(agent, o); err != nil {
			return err
		}
	}
	for _, r := range out.Replies {
		s.respond(r.Token.(*nats.Msg), r.Response)
	}
	return s.publishNeeds(now)
}

// order sends an agent its orders, in as many messages as they take.
func (s *session) order(agent string, o *wire.Orders) error {
	for _, part := range o.Split() {
		data, err := json.Marshal(part)
		if err != nil {
			return err
		}
		if err := s.Conn.Publish(wire.OrdersSubject(agent), data); err != nil {
			return err
		}
	}
	return nil
}

// publishNeeds tells the watchers of needs when they have changed.
func (s *session) publishNeeds(now time.Time) error {
	if !s.core.Leading() || !s.changed || now.Sub(s.needsAt) < needsEvery {
		return nil
	}
	s.changed, s.needsAt = false, now
	needs := s.core.Needs()
	if reflect.DeepEqual(needs, s.needs) {
		return nil
	}
	s.needs = needs
	data, err := json.Marshal(needs)
	if err != nil {
		return err
	}
	return s.Conn.Publish(wire.NeedsSubject, data)
}

func (s *session) untilNext() time.Duration {
	next := time.Hour
	if at := s.core.Next(); s.core.Leading() && !at.IsZero() {
		next = max(time.Until(at), 0)
	}
	if s.changed && s.core.Leading() {
		next = min(next, max(time.Until(s.needsAt.Add(needsEvery)), 0))
	}
	return next
}

func (s *session) announceReady() {
	if s.loaded && (s.core.Leading() || s.leader.Dispatcher != "" && s.leader.Dispatcher != s.Name && !s.leader.Released) && s.Ready != nil {
		s.once.Do(s.Ready)
	}
}

func (s *session) respond(msg *nats.Msg, v any) {
	if msg.Reply == "" {
		return
	}
	data, err := json.Marshal(v)
	if err == nil {
		err = msg.Respond(data)
	}
	if err != nil {
		s.Log.Warn("answer a client", "because", err)
	}
}
