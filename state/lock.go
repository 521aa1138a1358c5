package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// Locked takes a lock for an instant to see whether it can. Lock tells such a look from an owner by trying again.
	lockTries = 5
	lockPause = 2 * time.Millisecond

	maxOwner = 4096 // of an owner's record: more is not one of ours
)

// A Lock makes one command at a time drive a run. The kernel lets go of it when its owner dies.
type Lock struct{ file *os.File }

// A LockedError tells who drives the run.
type LockedError struct {
	Run     string // its name
	PID     int
	Command string // "boot"; "" where the owner left no record
	Since   time.Time
}

func (e *LockedError) Error() string {
	if e.Command == "" {
		return fmt.Sprintf("run %s is being worked on by another launch command", e.Run)
	}
	since := e.Since.Local().Format(time.TimeOnly)
	if time.Since(e.Since) > 12*time.Hour {
		since = e.Since.Local().Format(time.DateTime)
	}
	return fmt.Sprintf("run %s is being worked on by launch %s (pid %d, since %s)", e.Run, e.Command, e.PID, since)
}

// An owner is the record in a lock's file. It is there as long as the lock is held, and
// after its owner died without letting go.
type owner struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

// Lock takes the lock of the run with this ID (flock on a file in dir/locks), or returns a *LockedError at
// once. tookOver is true where the one before died without letting go. The run need not be recorded yet.
func (db *DB) Lock(run, command string) (lock *Lock, tookOver bool, err error) {
	file, err := db.openLock(run, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, false, err
	}
	for try := 1; ; try++ {
		err = flock(file, syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) || try == lockTries {
			break
		}
		time.Sleep(lockPause)
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		defer file.Close()
		return nil, false, db.lockedBy(run, file)
	}
	if err == nil && removed(file) { // by a purge, since we opened it
		file.Close()
		return db.Lock(run, command)
	}
	if err == nil {
		tookOver, err = writeOwner(file, owner{PID: os.Getpid(), Command: command, Since: time.Now()})
	}
	if err != nil {
		file.Close()
		return nil, false, db.cannotLock(run, err)
	}
	return &Lock{file: file}, tookOver, nil
}

// Locked tells who drives the run with this ID, nil where nobody does.
func (db *DB) Locked(run string) (*LockedError, error) {
	file, err := db.openLock(run, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close() // lets go of the lock, if we get it
	if info, err := file.Stat(); err == nil && info.Size() == 0 {
		return nil, nil // let go, no need to touch it
	}
	switch err := flock(file, syscall.LOCK_SH|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return db.lockedBy(run, file), nil
	case err != nil:
		return nil, db.cannotLock(run, err)
	}
	return nil, nil
}

func (db *DB) lockPath(run string) string { return filepath.Join(db.dir, "locks", run+".lock") }

func (db *DB) openLock(run string, flags int) (*os.File, error) {
	if run == "" || strings.ContainsAny(run, "/\x00") {
		return nil, fmt.Errorf("lock run %q: not a run's ID", run)
	}
	path := db.lockPath(run)
	if flags&os.O_CREATE != 0 {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, db.cannotLock(run, err)
		}
	}
	file, err := os.OpenFile(path, flags, 0o600) // os sets O_CLOEXEC: programs must not inherit the lock
	if err != nil {
		return nil, db.cannotLock(run, err)
	}
	return file, nil
}

// cannotLock says what the operating system has against a run's lock.
func (db *DB) cannotLock(run string, err error) error {
	return fmt.Errorf("lock run %s: %w: %s", db.nameOf(run), err, remedy(err))
}

// nameOf is the name of a run for people, its ID where it has none yet or that cannot be read.
func (db *DB) nameOf(run string) string {
	name := run
	_ = db.sql.QueryRow(`SELECT name FROM runs WHERE id = ?`, run).Scan(&name)
	return name
}

// lockedBy reads the record of the one who has the lock.
func (db *DB) lockedBy(run string, file *os.File) *LockedError {
	e := &LockedError{Run: db.nameOf(run)}
	text, err := io.ReadAll(io.LimitReader(file, maxOwner))
	var o owner
	if err == nil && json.Unmarshal(text, &o) == nil {
		e.PID, e.Command, e.Since = o.PID, o.Command, o.Since
	}
	return e
}

// writeOwner puts our record in the place of what is there, and tells whether anything was. What is there goes only when ours
// is written: on a full disk it stays, and with it that its owner died.
func writeOwner(file *os.File, o owner) (before bool, err error) {
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	text, err := json.Marshal(o)
	if err != nil {
		return false, err
	}
	text = append(text, '\n')
	if _, err := file.WriteAt(text, 0); err != nil {
		return false, err
	}
	return info.Size() > 0, file.Truncate(int64(len(text)))
}

// removed says whether the file has lost its name.
func removed(file *os.File) bool {
	ours, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(file.Name())
	return err != nil || !os.SameFile(ours, named)
}

// Unlock lets go.
func (l *Lock) Unlock() error {
	err := l.file.Truncate(0)
	return errors.Join(err, l.file.Close())
}

// Withdraw lets go of the lock of a run that was not recorded after all.
func (l *Lock) Withdraw() error {
	return errors.Join(os.Remove(l.file.Name()), l.Unlock())
}

// flock is syscall.Flock, which a signal can interrupt.
func flock(file *os.File, how int) error {
	for {
		switch err := syscall.Flock(int(file.Fd()), how); err {
		case nil:
			return nil
		case syscall.EINTR:
		default:
			return &fs.PathError{Op: "flock", Path: file.Name(), Err: err}
		}
	}
}
