package ssh

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/launchplan/launch/internal/sshtest"
	"github.com/launchplan/launch/runners"
)

// Who gives up waiting for a place can leave like those who had one.
func TestLeaveWithoutAPlace(t *testing.T) {
	full := make(gate, 1)
	leave, err := full.enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	other, err := full.enter(ended)
	if err == nil {
		t.Fatal("a second place where there is room for one")
	}
	other()
	leave()
	leave()
	if again, err := full.enter(t.Context()); err != nil {
		t.Fatal(err)
	} else {
		again()
	}
}

// Patience with a host begins when it is tried, not while others are before it.
func TestPatienceBeginsWithTheTurn(t *testing.T) {
	c := configFor(sshtest.Start(t, sshtest.Options{}))
	c.Patience = Duration(time.Millisecond)
	r := runnerFor(t, c, envFor(t))
	for range maxHandshakes {
		leave, err := r.gate.enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
	}
	late := errors.New("the operator's patience is over")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, late)
	defer cancel()
	if _, err := r.Connect(ctx, runners.Target{Service: "web", Host: "127.0.0.1"}); !errors.Is(err, late) {
		t.Errorf("Connect to a host whose turn did not come: %v", err)
	}
}
