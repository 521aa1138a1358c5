package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/launchplan/launch/harness/wire"
)

// followWait is how long an agent may hold an answer back until there is output. It is also
// how long an agent that died meanwhile goes unnoticed.
const followWait = wire.Duration(2 * time.Second)

// errQuiet says that the time was over while the process went on and wrote nothing.
var errQuiet = errors.New("the time is over, and the process has not ended")

// A movedError says that a process came to another agent before the one that had it answered.
type movedError struct{ to wire.Process }

func (e *movedError) Error() string { return "process " + e.to.ID + " is with agent " + e.to.Agent }

// Logs writes a process's output, or the last so many bytes of it (-1: all), from the agent
// that has it. Follow goes on, over restarts on other agents too, until the process rests.
func (c *Client) Logs(ctx context.Context, id string, tail int64, follow bool, to io.Writer) error {
	var p wire.Process
	if err := c.Query(ctx, wire.Query{Ask: wire.AskProcess, Name: id}, &p); err != nil {
		return err
	}
	if p.Agent == "" && !follow {
		return &wire.Error{Code: wire.CodeConflict, Message: fmt.Sprintf("process %s is %v and has never run: there is no output", id, p.State)}
	}
	if tail == 0 && !follow {
		return nil
	}
	offset, err := c.offsetOf(ctx, p, tail)
	if err != nil {
		return err
	}
	for {
		if p.Agent == "" {
			next, err := c.Wait(ctx, id, wire.Running)
			if err != nil && next.Agent == "" {
				return err
			}
			p = next
		}
		piece, err := c.piece(ctx, p, wire.LogsRequest{ID: id, Offset: offset, Wait: waitOf(follow)})
		if moved, ok := errors.AsType[*movedError](err); ok {
			p, offset = moved.to, 0
			continue
		}
		if err != nil {
			return err
		}
		if _, err := to.Write(piece.Data); err != nil {
			return err
		}
		offset = piece.Offset
		if !piece.End || follow && piece.Live {
			continue
		}
		if !follow {
			return nil
		}
		agent := p.Agent
		if err := c.Query(ctx, wire.Query{Ask: wire.AskProcess, Name: id}, &p); err != nil {
			return err
		}
		if p.State.Resting() && len(piece.Data) == 0 {
			return nil
		}
		if p.Agent != agent {
			offset = 0
		}
		select { // between two rounds
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(watchRestart):
		}
	}
}

// offsetOf is where the last tail bytes of a process's output begin: counted from the end, which the agent does where it
// is less than 0; for no bytes, the end as it is now.
func (c *Client) offsetOf(ctx context.Context, p wire.Process, tail int64) (int64, error) {
	switch {
	case tail > 0:
		return -tail, nil
	case tail < 0 || p.Agent == "":
		return 0, nil
	}
	last, err := c.piece(ctx, p, wire.LogsRequest{ID: p.ID, Offset: -1})
	if _, moved := errors.AsType[*movedError](err); moved {
		return last.Offset, nil
	}
	return last.Offset, err
}

func waitOf(follow bool) wire.Duration {
	if follow {
		return followWait
	}
	return 0
}

// piece asks the agent that has a process, or had it last, for output. While that does not
// answer, the process may come to another: then the error is a *movedError.
func (c *Client) piece(ctx context.Context, p wire.Process, req wire.LogsRequest) (wire.Logs, error) {
	data, err := json.Marshal(req)
	if err != nil {
		return wire.Logs{}, err
	}
	began, timeout := time.Now(), askFirst
	for wait := retryFirst; ; wait = min(2*wait, retryLast) {
		asked := time.Now()
		attempt, cancel := context.WithTimeout(ctx, req.Wait.Std()+timeout)
		msg, err := c.conn.RequestWithContext(attempt, wire.LogsSubject(p.Agent), data)
		cancel()
		if err == nil {
			var piece wire.Logs
			if err := json.Unmarshal(msg.Data, &piece); err != nil {
				return piece, fmt.Errorf("agent %s answers with something else: %w", p.Agent, err)
			}
			if piece.Error != nil {
				return piece, piece.Error
			}
			return piece, nil
		}
		if ctx.Err() != nil && time.Since(asked) < req.Wait.Std() {
			return wire.Logs{}, overdueOr(ctx, errQuiet)
		}
		timeout = min(2*timeout, askLast)
		now := p
		c.Query(ctx, wire.Query{Ask: wire.AskProcess, Name: p.ID}, &now) // where this fails, it is as it was
		if now.Agent != p.Agent {
			return wire.Logs{}, &movedError{now}
		}
		silent := fmt.Errorf("%w: the output is with agent %s, and it did not answer", ErrNoAnswer, p.Agent)
		if errors.Is(err, nats.ErrNoResponders) {
			silent = fmt.Errorf("%w: the output is with agent %s, and it is not there", ErrNoAnswer, p.Agent)
		}
		if now.State.Resting() && time.Since(began) >= askLast {
			return wire.Logs{}, silent // nothing will have it come to another
		}
		select {
		case <-ctx.Done():
			return wire.Logs{}, overdueOr(ctx, silent)
		case <-time.After(wait):
		}
	}
}

// overdueOr is the cause where the user has cancelled what was done, else err.
func overdueOr(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx)
	}
	return err
}
