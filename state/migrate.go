package state

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// A migration is a numbered change of the schema: the first one makes version 1.
type migration struct {
	name string
	sql  string
}

func migrations() []migration { return readMigrations(migrationFiles) }

// readMigrations reads migrations/NNNN_name.sql in order. A gap in the numbers is a bug of ours.
func readMigrations(files fs.FS) []migration {
	names, err := fs.Glob(files, "migrations/*.sql")
	if err != nil {
		panic(err)
	}
	var all []migration
	for i, name := range names {
		if !strings.HasPrefix(name, fmt.Sprintf("migrations/%04d_", i+1)) {
			panic("state: " + name + " is out of order")
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			panic(err)
		}
		all = append(all, migration{name: name, sql: string(text)})
	}
	return all
}

// upgrade is the SQL that brings the schema from a version to the newest.
func upgrade(version int, schema []migration) string {
	var text strings.Builder
	for _, m := range schema[version:] {
		text.WriteString(m.sql + ";\n")
	}
	fmt.Fprintf(&text, "PRAGMA user_version = %d;\n", len(schema))
	return text.String()
}

// migrate brings an older store up to date, in one transaction after a backup copy.
func (db *DB) migrate(ctx context.Context, schema []migration) error {
	var version int
	if err := db.sql.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return unreadable(ctx, db.path, err)
	}
	if version >= len(schema) {
		return nil
	}
	err := db.inTx(ctx, func(tx *statements) error {
		// Read again, now that nobody else can write: another process may have been first.
		var version int
		if err := tx.conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil || version >= len(schema) {
			return err
		}
		copied := fmt.Sprintf("%s.v%d.backup", db.path, version)
		err := db.backup(ctx, copied)
		if err == nil {
			_, err = tx.conn.ExecContext(ctx, upgrade(version, schema))
		}
		if err != nil {
			removeStore(copied) // the store is as it was, and the disk may be full because of this
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("bring the state store up to date: %w", db.problem(err))
	}
	// An older launch decides by the file's header whether the store is too new for it.
	if _, err := db.sql.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return db.problem(err)
	}
	return nil
}

// backup copies the store, as the transactions before this one left it, to path.
func (db *DB) backup(ctx context.Context, path string) error {
	removeStore(path) // of a migration that was killed; where it cannot be removed, the next line says why
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("back up the state store: %w", err)
	}
	defer file.Close()
	_, err = db.sql.ExecContext(ctx, "VACUUM INTO ?", path) // an empty file is taken, with its mode
	if err == nil {
		err = file.Sync()
	}
	if err != nil {
		return fmt.Errorf("back up the state store to %s: %w", path, err)
	}
	return nil
}
