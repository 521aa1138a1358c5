// Package client asks dispatchers and agents, over the broker. Every call can be
// repeated, and waits, within its context, for a broker or leader that is away.
package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/launchplan/launch/harness/broker"
	"github.com/launchplan/launch/harness/wire"
)

const (
	askFirst     = time.Second     // for one attempt; then the question is asked again: whoever got it may hang
	askLast      = 8 * time.Second // to which that grows: whoever got it may be busy
	retryFirst   = 10 * time.Millisecond
	retryLast    = 250 * time.Millisecond
	noticeAfter  = time.Second // of waiting for someone to answer, the user is told
	watchRestart = 200 * time.Millisecond
)

// A Client asks.
type Client struct {
	conn   *nats.Conn
	notice func(string) // tells the user why it takes so long; may be nil
}

// Dial connects to the broker, waiting for it until ctx ends.
func Dial(ctx context.Context, a broker.Address, notice func(string)) (*Client, error) {
	c := &Client{notice: notice}
	defer c.noticeLater("the broker at " + a.URL + " does not answer; waiting for it")()
	conn, err := broker.Connect(ctx, a)
	if err != nil {
		return nil, err
	}
	c.conn = conn
	return c, nil
}

// Close ends the connection.
func (c *Client) Close() { c.conn.Close() }

// noticeLater tells the user something unless it is called off soon.
func (c *Client) noticeLater(text string) (callOff func()) {
	if c.notice == nil {
		return func() {}
	}
	timer := time.AfterFunc(noticeAfter, func() { c.notice(text) })
	return func() { timer.Stop() }
}

// Request asks the leader for a change; result may be nil.
func (c *Client) Request(ctx context.Context, req wire.Request, result any) error {
	req.ID = rand.Text()
	_, err := c.ask(ctx, wire.RequestSubject, req, result)
	return err
}

// Query asks any dispatcher.
func (c *Client) Query(ctx context.Context, q wire.Query, result any) error {
	_, err := c.ask(ctx, wire.QuerySubject, q, result)
	return err
}

// List asks for a list, page after page.
func List[T any](ctx context.Context, c *Client, q wire.Query) ([]T, error) {
	list := []T{}
	for {
		var page []T
		more, err := c.ask(ctx, wire.QuerySubject, q, &page)
		if err != nil {
			return nil, err
		}
		list = append(list, page...)
		if more == "" {
			return list, nil
		}
		q.After = more
	}
}

// ask sends a question until someone answers it.
func (c *Client) ask(ctx context.Context, subject string, question, result any) (more string, err error) {
	data, err := json.Marshal(question)
	if err != nil {
		return "", err
	}
	if len(data) > wire.MaxMessage {
		return "", &wire.Error{Code: wire.CodeInvalid, Message: "the request is larger than 1 MiB"}
	}
	defer c.noticeLater("no dispatcher answers; waiting for one")()
	timeout := askFirst
	for wait := retryFirst; ; wait = min(2*wait, retryLast) {
		r, err := c.once(ctx, timeout, subject, data)
		if errors.Is(err, context.DeadlineExceeded) {
			timeout = min(2*timeout, askLast)
		}
		if err == nil && r.Error == nil {
			if result == nil {
				return r.More, nil
			}
			return r.More, json.Unmarshal(r.Result, result)
		}
		if err == nil && r.Error.Code != wire.CodeNotReady {
			return "", r.Error
		}
		if err == nil {
			err = r.Error
		}
		select {
		case <-ctx.Done():
			return "", c.gaveUp(ctx, err)
		case <-time.After(wait):
		}
	}
}

func (c *Client) once(ctx context.Context, timeout time.Duration, subject string, data []byte) (wire.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var r wire.Response
	msg, err := c.conn.RequestWithContext(ctx, subject, data)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(msg.Data, &r); err != nil {
		return r, errors.New("what answered is no dispatcher of ours")
	}
	return r, nil
}

// ErrNoAnswer says that the time was over before a dispatcher answered.
var ErrNoAnswer = errors.New("no answer in time")

func (c *Client) gaveUp(ctx context.Context, last error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx)
	}
	switch {
	case !c.conn.IsConnected():
		return fmt.Errorf("%w: the connection to the broker is lost", ErrNoAnswer)
	case errors.Is(last, nats.ErrNoResponders):
		return fmt.Errorf("%w: no dispatcher leads", ErrNoAnswer)
	case errors.Is(last, context.DeadlineExceeded):
		return fmt.Errorf("%w: the dispatcher did not answer", ErrNoAnswer)
	}
	return fmt.Errorf("%w: %v", ErrNoAnswer, last)
}

// Ping asks a daemon whether it is there. It does not wait for one that is not.
func (c *Client) Ping(ctx context.Context, kind, name string, result any) error {
	msg, err := c.conn.RequestWithContext(ctx, wire.PingSubject(kind, name), nil)
	if errors.Is(err, nats.ErrNoResponders) {
		return errors.New("it does not listen")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("it does not answer")
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(msg.Data, result)
}

// ErrUnreachable says that a process can no longer come into the state waited for.
type ErrUnreachable struct {
	Process wire.Process
	Want    wire.State
}

func (e *ErrUnreachable) Error() string {
	p := e.Process
	text := fmt.Sprintf("process %s is %v and will not be %v", p.ID, p.State, e.Want)
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return text
}

// Wait returns when the process is in a state, or an ErrUnreachable when it cannot
// get there by itself any more. TERMINATED stands for every end.
func (c *Client) Wait(ctx context.Context, id string, want wire.State) (wire.Process, error) {
	return c.WaitRound(ctx, id, 0, want)
}

// WaitRound is Wait for a state in a round, or in a later one.
func (c *Client) WaitRound(ctx context.Context, id string, round int, want wire.State) (wire.Process, error) {
	var p wire.Process
	if err := c.Query(ctx, wire.Query{Ask: wire.AskProcess, Name: id}, &p); err != nil {
		return p, err
	}
	for {
		if ok, err := reached(p, round, want); ok || err != nil {
			return p, err
		}
		next, err := c.watch(ctx, p, round, want)
		if err == nil { // also at the last moment
			return next, nil
		}
		if ctx.Err() != nil {
			return next, overdue(ctx, next, want)
		}
		if _, final := errors.AsType[*ErrUnreachable](err); final {
			return next, err
		}
		if refusal, ok := errors.AsType[*wire.Error](err); ok {
			return next, refusal
		}
		select { // the broker is away
		case <-ctx.Done():
		case <-time.After(watchRestart):
		}
	}
}

// overdue says how a process stands that is waited for no longer.
func overdue(ctx context.Context, p wire.Process, want wire.State) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx)
	}
	return fmt.Errorf("the time is over, and process %s is %v, not %v; to see why: epuharness process why %s", p.ID, p.State, want, p.ID)
}

// watch follows a process's record until it says enough, or the watch breaks.
func (c *Client) watch(ctx context.Context, p wire.Process, round int, want wire.State) (wire.Process, error) {
	js, err := jetstream.New(c.conn)
	if err != nil {
		return p, err
	}
	kv, err := broker.Records(ctx, js)
	if err != nil {
		return p, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watcher, err := kv.Watch(ctx, wire.ProcessKey(p.ID))
	if err != nil {
		return p, err
	}
	defer broker.StopWatch(c.conn, watcher)
	for {
		select {
		case <-ctx.Done():
			return p, ctx.Err()
		case e, open := <-watcher.Updates():
			if !open {
				return p, errors.New("the watch ended")
			}
			if e == nil {
				continue
			}
			if e.Operation() != jetstream.KeyValuePut {
				return p, &wire.Error{Code: wire.CodeUnknown, Message: fmt.Sprintf("process %s was removed", p.ID)}
			}
			var next wire.Process
			if err := json.Unmarshal(e.Value(), &next); err != nil {
				return p, err
			}
			p = next
			if ok, err := reached(p, round, want); ok || err != nil {
				return p, err
			}
		}
	}
}

func reached(p wire.Process, round int, want wire.State) (bool, error) {
	switch {
	case p.Round < round && !p.State.Resting():
		return false, nil
	case p.State == want:
		return true, nil
	case want == wire.Terminated && p.State.Resting() && p.State != wire.Unscheduled:
		return true, nil
	case p.State.Resting():
		return false, &ErrUnreachable{p, want}
	}
	return false, nil
}

// WatchNeeds calls show with the needs now and whenever they change, until ctx ends. What
// changed while the broker was away is asked for when it is back.
func (c *Client) WatchNeeds(ctx context.Context, show func([]wire.Need) error) error {
	latest := make(chan *nats.Msg, 1)
	sub, err := c.conn.Subscribe(wire.NeedsSubject, func(msg *nats.Msg) {
		select { // one that show was too slow for
		case <-latest:
		default:
		}
		latest <- msg
	})
	if err != nil {
		return err
	}
	defer sub.Unsubscribe()
	back := make(chan struct{}, 1)
	c.conn.SetReconnectHandler(func(*nats.Conn) {
		select {
		case back <- struct{}{}:
		default:
		}
	})
	defer c.conn.SetReconnectHandler(nil)
	var needs, shown []wire.Need
	err = c.Query(ctx, wire.Query{Ask: wire.AskNeeds}, &needs)
	for err == nil {
		if !reflect.DeepEqual(needs, shown) {
			if err := show(needs); err != nil {
				return err
			}
			shown = needs
		}
		needs = nil
		select {
		case <-ctx.Done():
			return nil
		case msg := <-latest:
			err = wire.Decode(msg.Data, &needs)
		case <-back:
			err = c.Query(ctx, wire.Query{Ask: wire.AskNeeds}, &needs)
		}
	}
	return err
}
