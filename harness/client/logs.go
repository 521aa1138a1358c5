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

// followWait is how long an agent may hold an answer back until there is output.
const followWait = wire.Duration(10 * time.Second)

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
	offset, agent := int64(0), p.Agent
	switch {
	case tail > 0:
		offset = -tail
	case tail == 0 && !follow:
		return nil
	case tail == 0 && agent != "":
		last, err := c.piece(ctx, agent, wire.LogsRequest{ID: id, Offset: -1})
		if err != nil {
			return err
		}
		offset = last.Offset
	}
	for {
		if agent == "" {
			next, err := c.Wait(ctx, id, wire.Running)
			if err != nil && next.Agent == "" {
				return err
			}
			agent, p = next.Agent, next
		}
		piece, err := c.piece(ctx, agent, wire.LogsRequest{ID: id, Offset: offset, Wait: waitOf(follow)})
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
		if err := c.Query(ctx, wire.Query{Ask: wire.AskProcess, Name: id}, &p); err != nil {
			return err
		}
		if p.State.Resting() && len(piece.Data) == 0 {
			return nil
		}
		if p.Agent != agent {
			agent, offset = p.Agent, 0
		}
		select { // between two rounds
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(watchRestart):
		}
	}
}

func waitOf(follow bool) wire.Duration {
	if follow {
		return followWait
	}
	return 0
}

func (c *Client) piece(ctx context.Context, agent string, req wire.LogsRequest) (wire.Logs, error) {
	data, err := json.Marshal(req)
	if err != nil {
		return wire.Logs{}, err
	}
	for wait := retryFirst; ; wait = min(2*wait, retryLast) {
		attempt, cancel := context.WithTimeout(ctx, req.Wait.Std()+askLast)
		msg, err := c.conn.RequestWithContext(attempt, wire.LogsSubject(agent), data)
		cancel()
		if err == nil {
			var piece wire.Logs
			if err := json.Unmarshal(msg.Data, &piece); err != nil {
				return piece, fmt.Errorf("agent %s answers with something else: %w", agent, err)
			}
			if piece.Error != nil {
				return piece, piece.Error
			}
			return piece, nil
		}
		if errors.Is(ctx.Err(), context.Canceled) {
			return wire.Logs{}, context.Cause(ctx)
		}
		select {
		case <-ctx.Done():
			reason := "it did not answer"
			if errors.Is(err, nats.ErrNoResponders) {
				reason = "it is not there"
			}
			return wire.Logs{}, fmt.Errorf("%w: the output is with agent %s, and %s", ErrNoAnswer, agent, reason)
		case <-time.After(wait):
		}
	}
}
