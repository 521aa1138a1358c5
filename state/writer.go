package state

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lastWords is how long Write goes on waiting after its context has ended: a commit takes a millisecond, but
	// another process may be in the middle of a long one.
	lastWords = 10 * time.Second

	// batchMost bounds a transaction, and with it how long the first change of it waits for the last: some 5 ms.
	batchMost = 256
)

// A Writer is the one place where a run changes: everything that goes through it is written to the
// journal and to the current rows in one transaction, in the order of the calls. Calls that come
// together share a commit.
type Writer struct {
	db  *DB
	run string

	arrived chan struct{} // holds one token where queue may have something
	wanted  chan struct{} // holds one token where somebody may have begun to wait for a change
	closing chan struct{}
	ended   chan struct{}
	failed  error // of the first commit that failed; belongs to write until ended is closed

	mu     sync.Mutex
	queue  []*queued
	closed bool
	stats  Stats
}

// queued is a change on its way to the disk.
type queued struct {
	change Change
	since  time.Time
	wanted atomic.Bool   // somebody waits
	hurry  chan struct{} // the writer's wanted
	done   chan struct{} // closed when err is final
	err    error
}

// Stats count what a writer has done.
type Stats struct {
	Changes   int64         // made durable
	Conflicts int64         // refused with an error of their own
	Commits   int64         // that took
	Longest   time.Duration // from Submit to durable, of all changes
}

// Writer returns the writer of a run, the same one until it is closed. Close waits for what is queued.
func (db *DB) Writer(run string) *Writer {
	db.mu.Lock()
	defer db.mu.Unlock()
	if w := db.writers[run]; w != nil {
		return w
	}
	w := &Writer{
		db: db, run: run,
		arrived: make(chan struct{}, 1), wanted: make(chan struct{}, 1), closing: make(chan struct{}), ended: make(chan struct{}),
	}
	if db.writers == nil {
		w.closed = true
		close(w.closing)
		close(w.ended)
		return w
	}
	db.writers[run] = w
	go w.write()
	return w
}

// Submit queues a change and returns at once; Wait on the ticket returns when it is durable. Later
// submissions never become durable before earlier ones. What the change's slices hold must not be altered afterwards.
func (w *Writer) Submit(c Change) Ticket {
	q := &queued{change: c.complete(), since: time.Now(), hurry: w.wanted, done: make(chan struct{})}

	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		q.err = fmt.Errorf("write the journal of run %s: %w", w.run, ErrClosed)
		close(q.done)
		return Ticket{q}
	}
	w.queue = append(w.queue, q)
	select {
	case w.arrived <- struct{}{}:
	default: // the token is there
	}
	return Ticket{q}
}

// Write is Submit and Wait. It waits for durability even where ctx has ended, within a bound: last words count.
func (w *Writer) Write(ctx context.Context, c Change) error {
	t := w.Submit(c)
	t.queued.want()
	select {
	case <-t.queued.done:
		return t.queued.err
	case <-ctx.Done():
	}
	bound := time.NewTimer(lastWords)
	defer bound.Stop()
	select {
	case <-t.queued.done:
		return t.queued.err
	case <-bound.C:
		return fmt.Errorf("write the journal of run %s: not on the disk %v after the end: %w", w.run, lastWords, context.Cause(ctx))
	}
}

// Stats returns the counts so far.
func (w *Writer) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stats
}

// Close writes what is queued and ends the writer. It returns the error of the first commit that failed, which those who
// only submitted may not have seen.
func (w *Writer) Close() error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.closing)
	}
	w.mu.Unlock()
	<-w.ended

	w.db.mu.Lock()
	defer w.db.mu.Unlock()
	if w.db.writers[w.run] == w {
		delete(w.db.writers, w.run)
	}
	return w.failed
}

// A Ticket is a change on its way to the disk.
type Ticket struct{ queued *queued }

// Wait returns when the change is durable, or could not be made so. After a failed commit every later
// change fails too: the store must be opened again to know what is in it.
func (t Ticket) Wait() error {
	if t.queued == nil {
		return nil // the zero Ticket: there was nothing to write
	}
	t.queued.want()
	<-t.queued.done
	return t.queued.err
}

// Done is closed when Wait would return at once. Unlike Wait it does not hurry the writer.
func (t Ticket) Done() <-chan struct{} { return t.queued.done }

// want tells the writer that somebody waits.
func (q *queued) want() {
	q.wanted.Store(true)
	select {
	case q.hurry <- struct{}{}:
	default: // the token is there
	}
}

// write commits batch after batch until the writer is closed and its queue empty.
func (w *Writer) write() {
	defer close(w.ended)
	// A commit is never given up half way: its context does not end.
	ctx := context.Background()
	var to *statements
	var p pace
	during := false // changes came during the last commit
	for {
		batch := w.gather(&p, during)
		if len(batch) == 0 {
			break
		}
		if to == nil && w.failed == nil {
			conn, err := w.db.sql.Conn(ctx)
			if err != nil {
				w.failed = w.poison(err)
			} else {
				to = newStatements(conn)
			}
		}
		if w.failed == nil {
			if err := w.commit(ctx, to, batch); err != nil {
				w.failed = w.poison(err)
			}
		}
		during = w.settle(batch)
	}
	if to != nil {
		to.close() // a connection that does not close well has nothing of ours left to lose
	}
}

// gather waits for the next batch; nil where there will be none.
func (w *Writer) gather(p *pace, during bool) []*queued {
	batch := w.take(nil)
	for len(batch) == 0 {
		select {
		case <-w.arrived:
			batch = w.take(nil)
		case <-w.closing:
			return w.take(nil) // what came before the closing
		}
	}
	if !p.loaded() {
		batch = w.tarry(batch)
	}
	wait := p.wait(len(batch), during) - time.Since(batch[0].since) // of the one that has waited longest
	if wait <= 0 {
		return batch
	}
	batch, last := w.linger(batch, wait)
	p.learn(last)
	return batch
}

// linger adds to a batch what comes within wait, until nothing does for a moment. last is when the last of it came; 0: none.
func (w *Writer) linger(batch []*queued, wait time.Duration) (more []*queued, last time.Duration) {
	start := time.Now()
	end := time.NewTimer(wait)
	defer end.Stop()
	quiet := time.NewTimer(lingerQuiet)
	defer quiet.Stop()
	for len(batch) < lingerEnough {
		select {
		case <-w.arrived:
			before := len(batch)
			if batch = w.take(batch); len(batch) == before {
				continue // the token of what is in the batch already
			}
			last = max(time.Since(start), 1) // 0 would say that none came
			quiet.Reset(lingerQuiet)
		case <-quiet.C:
			return batch, last
		case <-end.C:
			return batch, last
		case <-w.closing:
			return batch, last
		}
	}
	return batch, last
}

// tarry waits a moment while nobody waits for any change of the batch. Mostly somebody soon does for a later one: the
// end of a service's boot is followed by its dependant's beginning, which would have to wait for two commits otherwise.
func (w *Writer) tarry(batch []*queued) []*queued {
	end := time.NewTimer(tarryMost)
	defer end.Stop()
	for len(batch) < batchMost && !slices.ContainsFunc(batch, func(q *queued) bool { return q.wanted.Load() }) {
		select {
		case <-w.wanted: // of this batch, of what came since, or of one that is done with
			batch = w.take(batch)
		case <-end.C:
			return w.take(batch)
		case <-w.closing:
			return w.take(batch)
		}
	}
	return batch
}

// take moves what is queued to the batch, as far as there is room.
func (w *Writer) take(batch []*queued) []*queued {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.queue), batchMost-len(batch))
	batch = append(batch, w.queue[:n]...)
	if n == len(w.queue) {
		w.queue = nil
	} else {
		w.queue = w.queue[n:]
	}
	return batch
}

// commit makes a batch durable. Changes that cannot be made for a reason of their own have it in their err.
func (w *Writer) commit(ctx context.Context, to *statements, batch []*queued) error {
	return w.db.transact(ctx, to, func() error {
		for _, q := range batch {
			err := q.change.apply(ctx, to, w.run)
			if err != nil && !ownFault(err) {
				return err
			}
			q.err = err
		}
		return nil
	})
}

// poison is the error of every change from a commit that failed on. What failed may still be on the disk,
// and SQLite may find it or not when it reads its log again: going on would build on a guess.
func (w *Writer) poison(err error) error {
	return fmt.Errorf("write the journal of run %s: %w (nothing after this is recorded; what was being written may be found or not when the run is resumed)",
		w.run, w.db.problem(err))
}

// settle tells those who wait what came of a batch, and returns whether others came before they could.
func (w *Writer) settle(batch []*queued) (others bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed == nil {
		w.stats.Commits++
	}
	for _, q := range batch {
		switch {
		case w.failed != nil:
			q.err = w.failed // its own error too was found in a transaction that is lost
		case q.err != nil:
			w.stats.Conflicts++
		default:
			w.stats.Changes++
			w.stats.Longest = max(w.stats.Longest, time.Since(q.since))
		}
		close(q.done)
	}
	return len(w.queue) > 0 // nobody who waited had a chance: mu is ours
}
