package state

import (
	"context"
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
)

// A place is where an open store's files were when it was opened. SQLite does not notice where one of them loses its
// name, or is cut short: it goes on writing, what was acknowledged is gone with the process, and
// of a log that others emptied, holes are carried over into the store.
type place struct {
	files  [3]placed    // the store, its log, and the log's index
	logged atomic.Int64 // the log's size after our last commit
	lost   atomic.Bool  // the log was cut short
}

type placed struct {
	path string
	file fs.FileInfo
}

// findPlace reads the store for the first time. That makes the log and its index, which then stay as long as it is open.
func findPlace(ctx context.Context, pool *sql.DB, path string) (*place, error) {
	if _, err := pool.ExecContext(ctx, "SELECT 1 FROM runs LIMIT 1"); err != nil {
		return nil, unreadable(ctx, path, err)
	}
	p := &place{}
	for i, suffix := range [...]string{"", "-wal", "-shm"} {
		file, err := os.Stat(path + suffix)
		if err != nil {
			return nil, unusable(path+suffix, "cannot be read", err)
		}
		p.files[i] = placed{path + suffix, file}
	}
	return p, nil
}

// wal is the store's log.
func (p *place) wal() string { return p.files[1].path }

// inPlace says whether the store's files are still where they were opened, and whole. It is asked by a transaction that is
// about to commit: until then nobody else can shorten the log.
func (db *DB) inPlace(ctx context.Context) error {
	for _, opened := range db.place.files {
		now, err := os.Stat(opened.path)
		if err == nil && os.SameFile(now, opened.file) {
			continue
		}
		if opened.path == db.path {
			return &StoreError{Path: db.path, Why: "was moved, removed or replaced while it was in use: put it back, then run the command again", Err: err}
		}
		return &StoreError{Path: db.path, Why: "lost its " + filepath.Base(opened.path) + " while it was in use, that file was moved, removed or replaced: run the command again", Err: err}
	}
	return db.logWhole(ctx)
}

// logWhole says whether the log still holds all that was written to it and not carried over to the store yet. SQLite cuts a big log
// back itself once everything is carried over, so that a shorter one alone tells nothing.
func (db *DB) logWhole(ctx context.Context) error {
	size := db.logSize()
	if size >= db.place.logged.Load() {
		return nil
	}
	var busy, frames, carried int64
	err := db.sql.QueryRowContext(ctx, "PRAGMA wal_checkpoint(NOOP)").Scan(&busy, &frames, &carried)
	if err != nil {
		return err
	}
	if carried < frames && size < walHeader+frames*walFrame {
		db.place.lost.Store(true)
		return logLost(db.path, nil)
	}
	return nil
}

// The log has a header, and then a page with a header of its own for each page that changed.
const (
	walHeader = 32
	walFrame  = 24 + 4096
)

// logSize is 0 where the log is gone.
func (db *DB) logSize() int64 {
	info, err := os.Stat(db.place.wal())
	if err != nil {
		return 0
	}
	return info.Size()
}

// logLost says that changes cannot be found that were in the store's log.
func logLost(path string, err error) error {
	return &StoreError{Path: path, Why: "lacks changes that were in its " + filepath.Base(path) + "-wal, which was removed or cut short while a command was at work: " +
		"put that file back, or let the commands at work end, then run the command again; what is not found then must be ended by hand", Err: err}
}
