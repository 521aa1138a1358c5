package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/launchplan/launch/harness/wire"
)

// maxLine is how much of a line is looked at.
const maxLine = 64 << 10

// Line waits until a process has written a line that matches in its present round, and
// returns it. Of several such lines the last one counts: an agent that was restarted does not
// know any more where the round began.
func (c *Client) Line(ctx context.Context, id string, want *regexp.Regexp) (string, error) {
	lines := lineFinder{want: want}
	none := fmt.Errorf("%w: process %s wrote no line that matches %s", ErrNoAnswer, id, want)
	var offset int64
	agent := ""
	for {
		p, err := c.Wait(ctx, id, wire.Running)
		if err != nil {
			return "", err
		}
		if p.Agent != agent {
			agent, offset, lines.rest = p.Agent, 0, nil
		}
		for live := true; live; {
			piece, err := c.piece(ctx, p, wire.LogsRequest{ID: id, Offset: offset, Round: true, Wait: followWait})
			if _, moved := errors.AsType[*movedError](err); moved {
				break
			}
			if errors.Is(err, errQuiet) {
				return "", none
			}
			if err != nil {
				return "", err
			}
			lines.take(piece.Data)
			offset = piece.Offset
			if lines.found && piece.End {
				return lines.match, nil
			}
			live = piece.Live || !piece.End
		}
		select { // it has ended; where it will be started again, it may write the line then
		case <-ctx.Done():
			return "", none
		case <-time.After(watchRestart):
		}
	}
}

type lineFinder struct {
	want  *regexp.Regexp
	rest  []byte // of a line whose end has not come yet
	match string
	found bool
}

func (f *lineFinder) take(data []byte) {
	for {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			break
		}
		f.look(append(f.rest, data[:end]...))
		f.rest, data = nil, data[end+1:]
	}
	f.rest = append(f.rest, data[:min(len(data), max(0, maxLine-len(f.rest)))]...)
}

func (f *lineFinder) look(line []byte) {
	if line = bytes.TrimSuffix(line, []byte("\r")); f.want.Match(line) {
		f.found, f.match = true, string(line)
	}
}
