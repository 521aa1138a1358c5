package state

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"time"
)

// An Event is a row of the journal: an intent or an outcome.
type Event struct {
	Seq     int64 // 1, 2, 3, … within the run; given by the store
	At      time.Time
	Service string // "" for the run's own
	Kind    string // "run", "service", "attempt", "resource", "note", "lock", …; readers skip what they do not know
	From    string
	To      string
	Attempt int
	Cause   string // why, in words
	Detail  []byte // JSON
}

// The number comes from the table, not from memory: two processes may write for one run, where one of them is about
// to learn that it lost.
const insertEvent = `
	INSERT INTO journal (run, seq, at, service, kind, "from", "to", attempt, cause, detail)
	VALUES (?, (SELECT coalesce(max(seq), 0) + 1 FROM journal WHERE run = ?), ?, ?, ?, ?, ?, ?, ?, ?)`

// journalChunk is how many events are read at a time: few enough that a reader who thinks about each one
// does not keep SQLite from reusing its log meanwhile, and holds no more than this in memory.
const journalChunk = 1000

// Journal yields a run's events after seq in order.
func (db *DB) Journal(ctx context.Context, run string, after int64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			events, err := db.eventsAfter(ctx, run, after)
			if err != nil {
				yield(Event{}, fmt.Errorf("read the journal of run %s: %w", run, err))
				return
			}
			for _, event := range events {
				if !yield(event, nil) {
					return
				}
				after = event.Seq
			}
			if len(events) < journalChunk {
				return
			}
		}
	}
}

func (db *DB) eventsAfter(ctx context.Context, run string, after int64) ([]Event, error) {
	return query(ctx, db, func(rows *sql.Rows) (e Event, err error) {
		return e, rows.Scan(&e.Seq, clock{&e.At}, &e.Service, &e.Kind, &e.From, &e.To, &e.Attempt, &e.Cause, &e.Detail)
	}, "an event", `
		SELECT seq, at, service, kind, "from", "to", attempt, cause, detail
		FROM journal WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?`, run, after, journalChunk)
}
