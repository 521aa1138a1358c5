package state

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is written to a file that has lost its name, or behind the end of a log that was cut short, is lost: it must not
// be acknowledged. What was recorded before stays as far as it can.
func TestFilesSpoiledWhileInUse(t *testing.T) {
	truncate := func(path string, size int64) error { return os.Truncate(path, size) }
	remove := func(path string, _ int64) error { return os.Remove(path) }
	move := func(path string, _ int64) error { return os.Rename(path, path+".elsewhere") }
	replace := func(path string, _ int64) error {
		data, err := os.ReadFile(path)
		return errors.Join(err, os.Remove(path), os.WriteFile(path, data, 0o600))
	}
	for _, test := range []struct {
		name, suffix string
		spoil        func(path string, size int64) error
		size         int64
		why          string
		left         string // what is found afterwards: "all", or what was carried over before ("some")
	}{
		{"store moved", "", move, 0, "was moved, removed or replaced", ""},
		{"store replaced", "", replace, 0, "was moved, removed or replaced", "all"},
		{"log removed", "-wal", remove, 0, "lost its launch.db-wal", "all"},
		{"log replaced", "-wal", replace, 0, "lost its launch.db-wal", "all"},
		{"index removed", "-shm", remove, 0, "lost its launch.db-shm", "all"},
		{"log emptied", "-wal", truncate, 0, "lacks changes that were in its launch.db-wal", "some"},
		{"log cut short", "-wal", truncate, 5000, "lacks changes that were in its launch.db-wal", "some"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := closedStore(t) // with a run that is no longer in the log
			db, err := Open(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			w := db.Writer(runID)
			note := Change{Event: Event{Kind: "note"}}
			for range 3 {
				if err := w.Write(t.Context(), note); err != nil {
					t.Fatal(err)
				}
			}
			if err := test.spoil(filepath.Join(dir, storeName+test.suffix), test.size); err != nil {
				t.Fatal(err)
			}
			err = w.Write(t.Context(), note)
			if closing := db.Close(); err == nil || closing == nil || closing.Error() != err.Error() {
				t.Errorf("Close = %v, want what Write said: %v", closing, err)
			}
			if _, ok := errors.AsType[*StoreError](err); !ok || !strings.Contains(err.Error(), test.why) {
				t.Errorf("Write = %v, want %q", err, test.why)
			}
			if test.left == "" {
				return
			}
			again := openIn(t, dir)
			var check string
			if err := again.sql.QueryRow("PRAGMA integrity_check").Scan(&check); err != nil || check != "ok" {
				t.Errorf("integrity_check = %s, %v", check, err)
			}
			if services, err := again.Services(t.Context(), runID); err != nil || len(services) != 300 {
				t.Errorf("%d services are left, %v", len(services), err)
			}
			if n := len(journal(t, again, runID)); test.left == "all" && n != 4 {
				t.Errorf("%d events are left, want 4", n)
			}
		})
	}
}

// The log may be cut back at any time, when everything in it is in the store: by a command that ends, or by a shell.
func TestLogCutBackByACheckpoint(t *testing.T) {
	dir := closedStore(t)
	db, other := openIn(t, dir), openIn(t, dir)
	w := db.Writer(runID)
	for range 3 {
		if err := w.Write(t.Context(), Change{Event: Event{Kind: "note"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := other.sql.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
			t.Fatal(err)
		}
		if db.logSize() != 0 {
			t.Fatal("the log was not cut back")
		}
	}
}

// A reader that comes after the log was removed is told so, not of the disk.
func TestLogRemovedBeforeAReaderComes(t *testing.T) {
	dir := closedStore(t)
	db, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.CreateRun(t.Context(), aRun("R2", "beta", 5)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, storeName+"-wal")); err != nil {
		t.Fatal(err)
	}
	second, err := Open(t.Context(), dir)
	if err == nil {
		_, err = second.Runs(t.Context())
		second.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "lacks changes that were in its launch.db-wal") {
		t.Errorf("a reader is told %v", err)
	}
}

// A store that is a link is the file that the link leads to, with what SQLite keeps beside it; a link that leads
// nowhere is told, and left as it is.
func TestStoreIsALink(t *testing.T) {
	dir, elsewhere := closedStore(t), t.TempDir()
	path, target := filepath.Join(dir, storeName), filepath.Join(elsewhere, "kept.db")
	if err := errors.Join(os.Rename(path, target), os.Symlink(target, path)); err != nil {
		t.Fatal(err)
	}
	db := openIn(t, dir)
	if err := db.Writer(runID).Write(t.Context(), Change{Event: Event{Kind: "note"}}); err != nil {
		t.Fatal(err)
	}
	if n := len(journal(t, openIn(t, dir), runID)); n != 2 {
		t.Errorf("another command reads %d events, want both", n)
	}

	lost := t.TempDir()
	if err := os.Symlink(filepath.Join(elsewhere, "nothing"), filepath.Join(lost, storeName)); err != nil {
		t.Fatal(err)
	}
	for _, open := range []func() (*DB, error){
		func() (*DB, error) { return Open(t.Context(), lost) },
		func() (*DB, error) { return OpenExisting(t.Context(), lost) },
	} {
		if _, err := open(); err == nil || !strings.Contains(err.Error(), "is a link that leads to no file") {
			t.Errorf("a link to nothing: %v", err)
		}
	}
	if to, err := os.Readlink(filepath.Join(lost, storeName)); err != nil {
		t.Errorf("the link became %s, %v", to, err)
	}
}
