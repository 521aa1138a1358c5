package state

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// A StoreError says why a store was refused or could not be used, and what to do next.
type StoreError struct {
	Path string
	Why  string // what is wrong with it, then what to do; reads on after the path
	Err  error  // nil where nothing lies beneath
}

// Error is one sentence for the operator.
func (e *StoreError) Error() string { return fmt.Sprintf("state store %s %s", e.Path, e.Why) }

// Unwrap returns what lies beneath.
func (e *StoreError) Unwrap() error { return e.Err }

const beginAnew = "restore it from a backup, or move it away to begin anew (what its runs left running must then be ended by hand)"

// problem turns what the driver says while the store is in use into a *StoreError where the store,
// its file or its disk is what is wrong. Other errors pass.
func (db *DB) problem(err error) error { return refuse(db.path, err) }

// refuse is problem for a store that is not open yet.
func refuse(path string, err error) error {
	if _, ok := errors.AsType[*StoreError](err); ok {
		return err
	}
	code := sqliteCode(err)
	switch code {
	case sqlite3.SQLITE_IOERR_SHORT_READ:
		return logLost(path, err)
	case sqlite3.SQLITE_IOERR_LOCK, sqlite3.SQLITE_IOERR_RDLOCK, sqlite3.SQLITE_IOERR_SHMLOCK, sqlite3.SQLITE_IOERR_SHMMAP:
		return &StoreError{Path: path, Why: "lies on a file system without the locks or the shared memory that commands share it by: name a folder on a local disk with --state", Err: err}
	}
	why := ""
	switch code & 0xff {
	case sqlite3.SQLITE_CORRUPT:
		why = "is damaged: " + beginAnew
	case sqlite3.SQLITE_ERROR: // what we ask is the same always, so the tables are not as launch made them
		why = fmt.Sprintf("is damaged, or was changed by another program (%v): %s", err, beginAnew)
	case sqlite3.SQLITE_NOTADB:
		why = "is not a database, or its beginning was overwritten: " + beginAnew
	case sqlite3.SQLITE_FULL:
		why = "cannot grow, the disk is full or a limit is reached: make room in " + filepath.Dir(path) + " and run the command again; what was recorded before is intact"
	case sqlite3.SQLITE_IOERR:
		why = fmt.Sprintf("cannot be read or written (%v): look after the disk (is it full, or is there a limit on the size of files?), then run the command again", err)
	case sqlite3.SQLITE_READONLY:
		why = "cannot be written: make the file and its folder " + filepath.Dir(path) + " writable for you, or name another folder with --state"
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		why = "cannot be opened: make the file and its folder readable and writable for you, or name another folder with --state"
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		why = fmt.Sprintf("was kept locked by another program for %v: end that program (a sqlite3 shell with an open transaction?) and run the command again; where there is none, its file system may be without locks: name a folder on a local disk with --state", busyTimeout)
	default:
		return err
	}
	return &StoreError{Path: path, Why: why, Err: err}
}

// sqliteCode is SQLite's extended result code, 0 where err is not SQLite's.
func sqliteCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()
	}
	return 0
}

// Damaged says that a row, such as "service web.app", has what launch never wrote: the engine looks into what it keeps in one.
func (db *DB) Damaged(row, what string) error { return damagedRow(db.path, row, what) }

// damagedRow says that a row holds what launch never wrote.
func damagedRow(path, row, what string) error {
	return &StoreError{Path: path, Why: fmt.Sprintf("is damaged, or was changed by another program: %s has %s; %s", row, what, beginAnew)}
}

// cannotMake says that a new store could not be made.
func cannotMake(path string, err error) error {
	if refused, ok := errors.AsType[*StoreError](refuse(path, err)); ok {
		return refused
	}
	return unusable(path, "cannot be made", err)
}

// unusable says what the operating system has against a store's place.
func unusable(path, what string, err error) error {
	reason := err
	if e, ok := errors.AsType[*fs.PathError](err); ok && e.Path == path {
		reason = e.Err // the path stands in the sentence already
	}
	return &StoreError{Path: path, Why: fmt.Sprintf("%s (%v): %s, or name another folder with --state", what, reason, remedy(err)), Err: err}
}

// remedy is what to do about an error of the operating system.
func remedy(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "make it yours to read and write"
	case errors.Is(err, syscall.EROFS):
		return "make its file system writable"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "make room there and run the command again"
	case errors.Is(err, syscall.ENOLCK), errors.Is(err, errors.ErrUnsupported):
		return "move the state directory to a file system that has locks"
	}
	return "see to it and run the command again"
}
