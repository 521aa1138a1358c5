package service

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// A Board is a revision that grows with every change of something, and that others can wait for.
type Board struct {
	mu       sync.Mutex
	revision uint64
	changed  chan struct{} // closed by the next change
}

// NewBoard begins at a revision that no earlier incarnation has had, so that whoever followed
// that one notices.
func NewBoard() *Board {
	return &Board{revision: uint64(time.Now().UnixMicro()), changed: make(chan struct{})}
}

// Change tells those who wait.
func (b *Board) Change() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.revision++
	close(b.changed)
	b.changed = make(chan struct{})
}

// Revision is the present one.
func (b *Board) Revision() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.revision
}

// Wait returns when the revision is another than the one that is known, or ctx ends.
func (b *Board) Wait(ctx context.Context, known uint64) {
	for {
		b.mu.Lock()
		revision, changed := b.revision, b.changed
		b.mu.Unlock()
		if revision != known {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// LongPoll is how long a request may be held back until there is something new.
const LongPoll = 5 * time.Second

// Hold holds a request with ?known=REVISION back until there is another revision.
func (b *Board) Hold(r *http.Request) {
	known, err := strconv.ParseUint(r.URL.Query().Get("known"), 10, 64)
	if err != nil {
		return // whoever knows nothing gets an answer at once
	}
	ctx, cancel := context.WithTimeout(r.Context(), LongPoll)
	defer cancel()
	b.Wait(ctx, known)
}
