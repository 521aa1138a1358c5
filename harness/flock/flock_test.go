package flock

import (
	"errors"
	"path/filepath"
	"testing"
	"time"
)

func TestTake(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	f, err := Take(t.Context(), path, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Take(t.Context(), path, 20*time.Millisecond); !errors.Is(err, ErrHeld) {
		t.Errorf("a held lock: %v", err)
	}
	got := make(chan error, 1)
	go func() {
		second, err := Take(t.Context(), path, time.Minute)
		if err == nil {
			second.Close()
		}
		got <- err
	}()
	f.Close()
	if err := <-got; err != nil {
		t.Error(err)
	}
}
