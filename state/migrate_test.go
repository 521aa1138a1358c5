package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// later is the schema of a launch to come.
func later() []migration {
	return append(migrations(), migration{name: "0002_later.sql", sql: `ALTER TABLE runs ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'`})
}

func TestOlderStoreIsMigratedAfterABackup(t *testing.T) {
	dir := closedStore(t)
	path := filepath.Join(dir, storeName)
	db := openIn(t, dir)
	if err := db.migrate(t.Context(), later()); err != nil {
		t.Fatal(err)
	}
	var colour string
	if err := db.sql.QueryRow(`SELECT colour FROM runs`).Scan(&colour); err != nil || colour != "red" {
		t.Errorf("colour = %q, %v", colour, err)
	}
	if services, err := db.Services(t.Context(), runID); err != nil || len(services) != 300 {
		t.Errorf("%d services, %v", len(services), err)
	}

	// This launch is now the older one, even while the other is at work.
	_, err := Open(t.Context(), dir)
	if err == nil || !strings.Contains(err.Error(), "newer launch (its schema is 2, this launch knows 1)") {
		t.Errorf("Open of a newer store = %v", err)
	}

	// The backup is a store of the old schema, whole and private.
	backup := path + ".v1.backup"
	if info, err := os.Stat(backup); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("backup: %v, %v", info, err)
	}
	old := t.TempDir()
	if err := os.Rename(backup, filepath.Join(old, storeName)); err != nil {
		t.Fatal(err)
	}
	if services, err := openIn(t, old).Services(t.Context(), runID); err != nil || len(services) != 300 {
		t.Errorf("the backup has %d services, %v", len(services), err)
	}
}

// A migration that fails leaves the store as it was.
func TestFailedMigrationChangesNothing(t *testing.T) {
	dir := closedStore(t)
	db := openIn(t, dir)
	broken := append(later(), migration{name: "0003_broken.sql", sql: `ALTER TABLE nowhere ADD COLUMN x`})
	if err := db.migrate(t.Context(), broken); err == nil {
		t.Fatal("a broken migration went through")
	}
	if _, err := os.Stat(filepath.Join(dir, storeName+".v1.backup")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it left its backup, which may fill the disk: %v", err)
	}
	var version, columns int
	err := db.sql.QueryRow(`SELECT (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM pragma_table_info('runs') WHERE name = 'colour')`).Scan(&version, &columns)
	if diff := cmp.Diff([]int{1, 0}, []int{version, columns}); diff != "" || err != nil {
		t.Errorf("version, new columns (-want +got):\n%s %v", diff, err)
	}
	if err := db.Writer(runID).Write(t.Context(), Change{Event: Event{Kind: "note"}}); err != nil {
		t.Error(err)
	}
}

func TestStoreOutOfWALModeIsPutBack(t *testing.T) {
	dir := closedStore(t)
	db := openIn(t, dir)
	var mode string
	if err := db.sql.QueryRow(`PRAGMA journal_mode = DELETE`).Scan(&mode); err != nil || mode != "delete" {
		t.Fatal(mode, err)
	}
	db.Close()
	again := openIn(t, dir)
	if err := again.sql.QueryRow(`PRAGMA journal_mode`).Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("journal mode %s, %v", mode, err)
	}
}
