package state

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is written to a file that has lost its name is lost: it must not be acknowledged. What was recorded before stays.
func TestFilesSpoiledWhileInUse(t *testing.T) {
	move := func(path string) error { return os.Rename(path, path+".elsewhere") }
	replace := func(path string) error {
		data, err := os.ReadFile(path)
		return errors.Join(err, os.Remove(path), os.WriteFile(path, data, 0o600))
	}
	for _, test := range []struct {
		name, suffix string
		spoil        func(path string) error
		why          string
		found        bool // afterwards, all that was recorded
	}{
		{"store moved", "", move, "was moved, removed or replaced", false},
		{"store replaced", "", replace, "was moved, removed or replaced", true},
		{"log removed", "-wal", os.Remove, "lost its launch.db-wal", true},
		{"log replaced", "-wal", replace, "lost its launch.db-wal", true},
		{"index removed", "-shm", os.Remove, "lost its launch.db-shm", true},
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
			if err := test.spoil(filepath.Join(dir, storeName+test.suffix)); err != nil {
				t.Fatal(err)
			}
			err = w.Write(t.Context(), note)
			if closing := db.Close(); err == nil || closing == nil || closing.Error() != err.Error() {
				t.Errorf("Close = %v, want what Write said: %v", closing, err)
			}
			if _, ok := errors.AsType[*StoreError](err); !ok || !strings.Contains(err.Error(), test.why) {
				t.Errorf("Write = %v, want %q", err, test.why)
			}
			if !test.found {
				return
			}
			if n := len(journal(t, openIn(t, dir), runID)); n != 4 {
				t.Errorf("%d events are left, want 4", n)
			}
		})
	}
}

// Behind the end of a log that was cut short nothing is written, and what is left of it is not carried over by halves:
// the store is as some earlier commit left it.
func TestLogCutShortWhileInUse(t *testing.T) {
	for _, percent := range []string{"0", "5", "20", "40", "60", "80", "95"} {
		t.Run(percent, func(t *testing.T) {
			dir := closedStore(t) // with a run that is no longer in the log
			c := command(t, "cut log", dir, percent)
			c.start(t)
			if text := c.line(t); !strings.Contains(text, "lacks changes that were in its launch.db-wal") {
				t.Errorf("it says %q", text)
			}
			c.cmd.Wait()
			db := openIn(t, dir)
			var check string
			if err := db.sql.QueryRow("PRAGMA integrity_check").Scan(&check); err != nil || check != "ok" {
				t.Errorf("integrity_check = %s, %v", check, err)
			}
			if services, err := db.Services(t.Context(), runID); err != nil || len(services) != 300 {
				t.Errorf("%d services of the run before are left, %v", len(services), err)
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

// An interrupt in the middle of a read takes nothing from under what is written after it.
func TestReadInterrupted(t *testing.T) {
	db, err := Open(t.Context(), closedStore(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithCancel(t.Context())
	err = db.EachService(ctx, runID, func(Service) error {
		cancel()
		<-ctx.Done()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the read ended with %v", err)
	}
	for range 100 { // those who begin when it has come
		if _, err := db.Runs(ctx); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if err := db.Writer(runID).Write(t.Context(), Change{Event: Event{Kind: "note"}}); err != nil {
		t.Error(err)
	}
}
