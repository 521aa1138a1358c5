// Package flock keeps two programs from working on one directory at once.
package flock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// ErrHeld says that another process holds a lock.
var ErrHeld = errors.New("locked by another process")

// tryEvery is how often a lock that is held is tried again; a file's lock gives no event.
const tryEvery = 10 * time.Millisecond

// Take takes the lock of a file, which is held until the file is closed or the process
// dies. A process that was killed may hold its locks for a moment after it is gone from
// the list of processes: Take waits that long for it.
func Take(ctx context.Context, path string, wait time.Duration) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	ticker := time.NewTicker(tryEvery)
	defer ticker.Stop()
	deadline := time.Now().Add(wait)
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if held := errors.Is(err, syscall.EWOULDBLOCK); !held && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if !time.Now().Before(deadline) {
			f.Close()
			return nil, ErrHeld
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-ticker.C:
		}
	}
}
