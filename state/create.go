package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
)

// create makes a new store beside its place and moves it there whole, so that nobody ever finds half of one.
func create(ctx context.Context, path string, schema []migration) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return cannotMake(path, err)
	}
	folder, err := os.Open(dir)
	if err != nil {
		return cannotMake(path, err)
	}
	defer folder.Close()
	// Two first commands at once: one makes the store, the other finds it.
	if err := flock(folder, syscall.LOCK_EX); err != nil {
		return cannotMake(path, err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil // open says what is wrong with it, if anything is
	}
	if err := orphaned(path); err != nil {
		return err
	}

	fresh := path + ".new"
	if err := build(ctx, fresh, schema); err != nil {
		removeStore(fresh)
		return cannotMake(path, err)
	}
	if err := os.Rename(fresh, path); err != nil {
		removeStore(fresh)
		return cannotMake(path, err)
	}
	if err := folder.Sync(); err != nil {
		return cannotMake(path, err)
	}
	return nil
}

// build writes an empty store to path. It is not durable step by step but as a whole, by one fsync at the end.
func build(ctx context.Context, path string, schema []migration) error {
	removeStore(path) // left by one that was killed; we have the folder's lock
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()

	db, err := sql.Open("sqlite", dsn(path, url.Values{"mode": {"rw"}, "_pragma": {"synchronous(OFF)", "journal_mode(WAL)"}}))
	if err != nil {
		return err
	}
	defer db.Close()
	script := fmt.Sprintf("BEGIN; PRAGMA application_id = %d; %s COMMIT;", applicationID, upgrade(0, schema))
	if _, err := db.ExecContext(ctx, script); err != nil {
		return err
	}
	// Closing would carry the log over to the file as well, without a word where that fails for want of room.
	if _, err := db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	return file.Sync()
}

// removeStore removes a store that was not finished. Nothing depends on its success: the next try fails where it did not.
func removeStore(path string) {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		os.Remove(path + suffix)
	}
}
