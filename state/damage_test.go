package state

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// contents maps each file below dir to a hash of what is in it.
func contents(t testing.TB, dir string) map[string][32]byte {
	t.Helper()
	all := map[string][32]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		all[path] = sha256.Sum256(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// closedStore is the folder of a store with a run in it that nobody has open.
func closedStore(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	db, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	create1(t, db, 300)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestUnusableStoreIsRefusedAndLeftAsItWas(t *testing.T) {
	foreign := func(path string, statements ...string) {
		os.Remove(path)
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, statement := range statements {
			if _, err := db.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	write := func(path string, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	truncate := func(path string, size int64) {
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name, why string
		spoil     func(path string)
	}{
		{"empty", "is empty", func(path string) { truncate(path, 0) }},
		{"cut in the first page", "is damaged", func(path string) { truncate(path, 60) }},
		{"cut in the middle", "is damaged", func(path string) { truncate(path, 4096*5) }},
		{"cut within a page", "is damaged", func(path string) { truncate(path, 4096*5+77) }},
		{"text", "is not a database", func(path string) { write(path, []byte(strings.Repeat("Dear launch, ", 1000))) }},
		{"zeros", "is not a database", func(path string) { write(path, make([]byte, 1<<16)) }},
		{"first page overwritten behind its header", "is damaged", func(path string) {
			data, _ := os.ReadFile(path)
			copy(data[100:4096], strings.Repeat("garbage!", 500))
			write(path, data)
		}},
		{"other program", "of another program", func(path string) { foreign(path, `CREATE TABLE t (a)`) }},
		{"other program with a number of its own", "of another program", func(path string) {
			foreign(path, `PRAGMA application_id = 77`, `PRAGMA user_version = 1`, `CREATE TABLE runs (a)`)
		}},
		{"newer", "newer launch", func(path string) {
			foreign(path, `PRAGMA application_id = 1819173736`, `PRAGMA user_version = 99`, `CREATE TABLE runs (a)`)
		}},
		{"tables missing", "tables are missing", func(path string) {
			foreign(path, `PRAGMA application_id = 1819173736`, `PRAGMA user_version = 1`, `CREATE TABLE runs (a)`)
		}},
		{"folder in its place", "is not a file", func(path string) { os.Remove(path); os.Mkdir(path, 0o700) }},
		{"missing, but its log is there", "is missing, but", func(path string) { os.Rename(path, path+"-wal") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := closedStore(t)
			test.spoil(filepath.Join(dir, storeName))
			before := contents(t, dir)
			db, err := Open(t.Context(), dir)
			if err == nil {
				db.Close()
				t.Fatal("opened")
			}
			refused, ok := errors.AsType[*StoreError](err)
			if !ok || !strings.Contains(err.Error(), test.why) {
				t.Errorf("Open = %v, want a StoreError with %q", err, test.why)
			}
			t.Log(refused)
			if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
				t.Errorf("the folder changed:\n%s", diff)
			}
		})
	}
}

// Damage further in than Open looks shows where it is read, as a StoreError too.
func TestDamageFurtherInIsToldWhenItIsRead(t *testing.T) {
	dir := closedStore(t)
	path := filepath.Join(dir, storeName)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096 * 12; i < len(data); i++ {
		data[i] = 0xA5
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	db := openIn(t, dir)
	_, err = db.Services(t.Context(), runID)
	if refused, ok := errors.AsType[*StoreError](err); !ok || !strings.Contains(refused.Why, "is damaged") {
		t.Errorf("Services = %v, want a StoreError", err)
	}
}

func TestRowsThatLaunchNeverWroteAreDamage(t *testing.T) {
	for name, statement := range map[string]string{
		"status":     `UPDATE services SET status = 'sleeping'`,
		"run status": `UPDATE runs SET status = 'sleeping'`,
		"time":       `UPDATE services SET since = 'yesterday'`,
		"names":      `UPDATE services SET withheld = '{'`,
		"event time": `UPDATE journal SET at = ''`,
		"content":    `UPDATE contents SET bytes = x'00'`,
		"no files":   `DELETE FROM files`,
	} {
		t.Run(name, func(t *testing.T) {
			db := openStore(t)
			create1(t, db, 1)
			if _, err := db.sql.Exec(statement); err != nil {
				t.Fatal(err)
			}
			_, err1 := db.Services(t.Context(), runID)
			_, err2 := db.Runs(t.Context())
			var err3 error
			for _, err := range db.Journal(t.Context(), runID, 0) {
				err3 = err
			}
			_, err4 := db.Files(t.Context(), runID, 1)
			err := errors.Join(err1, err2, err3, err4)
			if err == nil || !strings.Contains(err.Error(), "is damaged, or was changed by another program") || strings.Contains(err.Error(), "sql:") {
				t.Errorf("read %v", err)
			}
		})
	}
}

// A table that another program changed is told as damage, not in SQLite's words alone.
func TestTableChangedByAnotherProgramIsDamage(t *testing.T) {
	db := openStore(t)
	w := create1(t, db, 1)
	if _, err := db.sql.Exec(`ALTER TABLE services DROP COLUMN detail`); err != nil {
		t.Fatal(err)
	}
	_, read := db.Services(t.Context(), runID)
	written := w.Write(t.Context(), move(Service{Address: "a", Status: Pending}, Booting))
	w.Close() // says it again
	for _, err := range []error{read, written} {
		if _, ok := errors.AsType[*StoreError](err); !ok || !strings.Contains(err.Error(), "restore it from a backup") {
			t.Errorf("a missing column: %v", err)
		}
	}
}

func TestOpenExistingMakesNothing(t *testing.T) {
	dir := t.TempDir()
	for _, dir := range []string{dir, filepath.Join(dir, "not", "there")} {
		if _, err := OpenExisting(t.Context(), dir); !errors.Is(err, ErrNoStore) {
			t.Errorf("OpenExisting = %v, want ErrNoStore", err)
		}
	}
	if left := contents(t, dir); len(left) != 0 {
		t.Errorf("it left %v", left)
	}
	if err := os.WriteFile(filepath.Join(dir, storeName+"-wal"), []byte("changes"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenExisting(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "is missing, but") {
		t.Errorf("OpenExisting where only the log is left = %v", err)
	}
}

// A folder that cannot be made or written is told in a sentence, whoever runs the test.
func TestFolderThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below"), "/proc/launch"} {
		_, err := Open(t.Context(), dir)
		if refused, ok := errors.AsType[*StoreError](err); !ok || !strings.Contains(refused.Why, "cannot be") {
			t.Errorf("Open(%s) = %v", dir, err)
		}
	}
}

// FuzzOpen opens stores with bytes changed, and reads all of what opens.
func FuzzOpen(f *testing.F) {
	whole, err := os.ReadFile(filepath.Join(closedStore(f), storeName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(0), []byte("SQLite format 4"), uint32(0), false)
	f.Add(uint32(16), []byte{0, 1}, uint32(0), false)
	f.Add(uint32(28), []byte{0xff, 0xff, 0xff, 0xff}, uint32(0), false)
	f.Add(uint32(100), []byte{5, 0, 0, 0xff}, uint32(0), false)
	f.Add(uint32(4096*3), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, uint32(0), true)
	f.Add(uint32(9), []byte{}, uint32(5000), false)
	f.Fuzz(func(t *testing.T, at uint32, patch []byte, cut uint32, wal bool) {
		data := append([]byte(nil), whole...)
		copy(data[int(at)%len(data):], patch)
		data = data[:len(data)-int(cut)%len(data)]
		dir := t.TempDir()
		path := filepath.Join(dir, storeName)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if wal {
			if err := os.WriteFile(path+"-wal", patch, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		before := contents(t, dir)
		db, err := Open(t.Context(), dir)
		if err != nil {
			if _, ok := errors.AsType[*StoreError](err); !ok {
				t.Errorf("Open = %v, not a StoreError", err)
			}
			after := contents(t, dir)
			delete(after, path+"-shm") // where there is a log it cannot be read without one
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("refused with %v, but changed:\n%s", err, diff)
			}
			return
		}
		defer db.Close()
		readAll(t.Context(), db)
	})
}

// readAll reads everything of the first run, for the sake of what it may run into.
func readAll(ctx context.Context, db *DB) {
	db.Runs(ctx)
	db.FindRun(ctx, runID)
	db.Levels(ctx, runID)
	db.Services(ctx, runID)
	db.Resources(ctx, runID)
	db.Files(ctx, runID, 1)
	for range db.Journal(ctx, runID, 0) {
	}
}
