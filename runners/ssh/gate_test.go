package ssh

import (
	"context"
	"testing"
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
