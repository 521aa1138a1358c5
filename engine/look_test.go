package engine

import (
	"bytes"
	"context"
	"testing"

	"github.com/launchplan/launch/runners"
)

// An endingHost is a host whose process writes its last line, and ends, after it was looked for more of its output.
type endingHost struct {
	runners.Host
	text  string
	ended bool
}

func (h *endingHost) Output(_ context.Context, _ runners.ID, offset int64, _ int) ([]byte, error) {
	return []byte(h.text[offset:]), nil
}

func (h *endingHost) Look(context.Context, runners.ID) (runners.State, error) {
	if !h.ended {
		h.text, h.ended = h.text+"last\n", true
	}
	return runners.State{Phase: runners.Ended}, nil
}

func TestFollowedToTheLastWord(t *testing.T) {
	for follow, want := range map[bool]string{true: "first\nlast\n", false: "first\n"} {
		var out bytes.Buffer
		host := &endingHost{text: "first\n"}
		if err := copyOutput(t.Context(), host, runners.ID{}, follow, &maskWriter{w: &out, masker: masking()}, func() {}); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("with follow %t it shows %q, not %q", follow, out.String(), want)
		}
	}
}
