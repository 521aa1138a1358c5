package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/launchplan/launch/engine"
)

func TestReport(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		text   string
	}{
		{nil, exitOK, ""},
		{errors.New("a: b\na: b\nc"), exitFailed, "launch: a: b\nc\n"},
		{toldError{errors.New("shown")}, exitFailed, ""},
		{usagef("what"), exitUsage, "launch: what\n"},
		{fmt.Errorf("%w; `launch resume r` goes on", engine.ErrInterrupted), exitInterrupted, "launch: interrupted; `launch resume r` goes on\n"},
		{fmt.Errorf("read the services of run r: %w", context.Canceled), exitInterrupted, "launch: interrupted\n"},
	} {
		var said strings.Builder
		if status := report(&said, c.err); status != c.status || said.String() != c.text {
			t.Errorf("%v: status %d, %q; want %d, %q", c.err, status, said.String(), c.status, c.text)
		}
	}
}
