package local

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/local/wire"
)

// attempts is how often a question is put to a new supervisor when the one that
// had it was killed.
const attempts = 10

// stopPatience is how much longer than the grace time launch waits for the
// supervisor to tell that a program was stopped.
const stopPatience = 30 * time.Second

// Run starts p unless that was done before, and waits for its end.
func (h *host) Run(ctx context.Context, p *runners.Program) (runners.Result, error) {
	out := newDelivery(h.outputFile(p.ID), p.Output)
	if p.Kind == runners.Check {
		out = nil
	}
	started := once(p.Started)
	result, err := retry(func() (runners.Result, error) { return h.runOnce(ctx, p, out, started) })
	if err != nil {
		return runners.Result{}, err
	}
	if err := out.rest(); err != nil {
		h.runner.env.Note(p.ID.Service, fmt.Sprintf("the output of %s cannot be read: %v", label(p), err))
	}
	result.Collected, result.CollectErr = h.collect(ctx, p)
	return result, nil
}

// once makes a function that may be called again, and calls what may be nil.
func once(f func()) func() {
	if f == nil {
		return func() {}
	}
	return sync.OnceFunc(f)
}

// retry asks again where a supervisor died over the question: the next one
// knows from its records what became of a program.
func retry[T any](ask func() (T, error)) (answer T, err error) {
	for range attempts {
		if answer, err = ask(); !errors.Is(err, errDead) {
			return answer, err
		}
	}
	return answer, &runners.UnreachableError{Host: "the supervisor of this run", Err: err}
}

// runOnce is Run with one supervisor.
func (h *host) runOnce(ctx context.Context, p *runners.Program, out *delivery, started func()) (runners.Result, error) {
	call, conn, err := h.begin(ctx, p)
	if err != nil && ctx.Err() != nil {
		return h.endedBefore(ctx, p)
	}
	if err != nil {
		return runners.Result{}, err
	}
	defer call.end()
	result, err := h.follow(ctx, call, p, out, started)
	if errors.Is(err, errDead) && p.Kind == runners.Check { // it went too; whether to run it again is for others to say
		return runners.Result{Outcome: runners.Lost, Reason: errDead.Error(), Ended: time.Now()}, nil
	}
	if err == nil || ctx.Err() == nil || errors.Is(err, errDead) {
		return result, err
	}
	if errors.Is(err, runners.ErrDetach) {
		call.drop()
		return runners.Result{}, err
	}
	if _, isStart := errors.AsType[*runners.StartError](err); isStart {
		return runners.Result{}, err
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.Stop.Grace+stopPatience)
	defer cancel()
	if p.Kind == runners.Check { // may run under the same ID for another: ours ends with our interest
		defer call.drop()
	}
	stop, err := conn.ask(wire.Request{Op: wire.Stop, ID: p.ID, Stop: &p.Stop}, nil)
	if err != nil {
		return runners.Result{}, err
	}
	defer stop.end()
	result, err = h.follow(last, call, p, out, started)
	if err == nil {
		if _, err := stop.next(last); err != nil && !errors.Is(err, errDead) {
			return result, err
		}
	}
	return result, err
}

// endedBefore is Run where ctx ended before it was known how p stands: it may
// have been started by an earlier launch process.
func (h *host) endedBefore(ctx context.Context, p *runners.Program) (runners.Result, error) {
	if cause := context.Cause(ctx); errors.Is(cause, runners.ErrDetach) {
		return runners.Result{}, cause
	}
	if p.Kind != runners.Check {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.Stop.Grace+stopPatience)
		defer cancel()
		if err := h.Stop(last, p.ID, p.Stop); err != nil {
			return runners.Result{}, err
		}
	}
	return runners.Result{Outcome: runners.Stopped, Ended: time.Now()}, nil
}

// begin starts p, or finds that it was started, and returns the call that follows it.
func (h *host) begin(ctx context.Context, p *runners.Program) (*call, *connection, error) {
	conn, err := h.runner.supervisor.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	request := wire.Request{Op: wire.Start, ID: p.ID}
	known := false
	if p.Kind != runners.Check {
		if known, err = h.wasStarted(ctx, conn, p.ID); err != nil {
			return nil, nil, err
		}
	}
	if known {
		request.Op = wire.Follow
	} else if request.Program, err = h.prepare(ctx, p); err != nil {
		return nil, nil, err
	}
	var output = p.Output
	if p.Kind != runners.Check {
		output = nil
	}
	call, err := conn.ask(request, output)
	return call, conn, err
}

// wasStarted tells whether the program's files must be left alone. Where the
// supervisor knew nothing when we came, only what we asked for can have been.
func (h *host) wasStarted(ctx context.Context, conn *connection, id runners.ID) (bool, error) {
	_, mine := h.runner.mine.LoadOrStore(id, struct{}{})
	if !mine && conn.known == 0 {
		return false, nil
	}
	state, err := conn.look(ctx, id)
	return state.Phase == runners.Running || state.Phase == runners.Ended, err
}

// Output is looked at while a program runs: first after a moment that most
// programs are shorter than, then regularly.
const (
	firstLook = 500 * time.Millisecond
	nextLooks = 250 * time.Millisecond
)

// follow waits for the program's end, and delivers its output meanwhile.
func (h *host) follow(ctx context.Context, call *call, p *runners.Program, out *delivery, started func()) (runners.Result, error) {
	timer := time.NewTimer(firstLook)
	defer timer.Stop()
	for {
		var reply wire.Reply
		var ok bool
		select {
		case reply, ok = <-call.replies:
			if !ok {
				return runners.Result{}, errDead
			}
		case <-timer.C:
			out.more()
			timer.Reset(nextLooks)
			continue
		case <-ctx.Done():
			return runners.Result{}, context.Cause(ctx)
		}
		switch {
		case reply.Started != nil:
			started()
		case reply.Ended != nil:
			started()
			return *reply.Ended, nil
		default:
			return runners.Result{}, h.startError(p, reply)
		}
	}
}

// startError says in words why the program could not be started.
func (h *host) startError(p *runners.Program, reply wire.Reply) error {
	err := errors.New(reply.Err)
	if reply.Errno != 0 {
		err = explain(h.target(p), syscall.Errno(reply.Errno))
	}
	return &runners.StartError{Program: label(p), Err: err}
}

// Start starts p unless that was done before.
func (h *host) Start(ctx context.Context, p *runners.Program) error {
	_, err := retry(func() (struct{}, error) {
		call, _, err := h.begin(ctx, p)
		if err != nil {
			return struct{}{}, err
		}
		defer call.drop()
		reply, err := call.next(ctx)
		switch {
		case err != nil:
		case reply.Started != nil, reply.Ended != nil:
			if p.Started != nil {
				p.Started()
			}
		default:
			err = h.startError(p, reply)
		}
		return struct{}{}, err
	})
	return err
}

// Wait returns when the program has ended.
func (h *host) Wait(ctx context.Context, id runners.ID) (runners.Result, error) {
	return retry(func() (runners.Result, error) {
		conn, err := h.runner.supervisor.connect(ctx)
		if err != nil {
			return runners.Result{}, err
		}
		call, err := conn.ask(wire.Request{Op: wire.Follow, ID: id}, nil)
		if err != nil {
			return runners.Result{}, err
		}
		defer call.drop()
		for {
			reply, err := call.next(ctx)
			switch {
			case err != nil:
				return runners.Result{}, err
			case reply.Ended != nil:
				return *reply.Ended, nil
			case reply.Started == nil:
				return runners.Result{}, fmt.Errorf("wait for %s: %s", id, reply.Err)
			}
		}
	})
}

// Stop ends what is left of the program's group.
func (h *host) Stop(ctx context.Context, id runners.ID, stop runners.Stop) error {
	if h.neverStarted() {
		return nil
	}
	_, err := retry(func() (struct{}, error) {
		return struct{}{}, h.ask(ctx, wire.Request{Op: wire.Stop, ID: id, Stop: &stop})
	})
	if err != nil {
		return fmt.Errorf("stop %s: %w", id, err)
	}
	return nil
}

// ask puts a question whose answer is that it was done, or why not.
func (h *host) ask(ctx context.Context, r wire.Request) error {
	conn, err := h.runner.supervisor.connect(ctx)
	if err != nil {
		return err
	}
	reply, err := conn.once(ctx, r)
	if err == nil && reply.Err != "" {
		err = errors.New(reply.Err)
	}
	return err
}

// label is what people call a program.
func label(p *runners.Program) string {
	switch {
	case p.Payload != nil && len(p.Payload.Interpreter) == 0:
		return filepath.Base(p.Payload.Entry)
	case p.Payload != nil:
		return p.ID.Name
	case len(p.Argv) > 0:
		return p.Argv[0]
	}
	return p.ID.Name
}
