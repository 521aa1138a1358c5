package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
)

// look tells whether the file at path is a store that this launch can use, and changes nothing on the
// disk whatever it finds: a file that is refused must be there for whoever comes to rescue it, or for the
// program that it belongs to. It costs a few pages, however large the store is; damage further in
// shows when it is read.
func look(ctx context.Context, path string, schema []migration) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return unusable(path, "cannot be read", err)
	case !info.Mode().IsRegular():
		return &StoreError{Path: path, Why: "is not a file: move it away, or name another folder with --state"}
	case info.Size() == 0:
		return &StoreError{Path: path, Why: "is empty, launch never leaves it so: " + beginAnew}
	}
	if err := syscall.Access(path, readable|writable); err != nil {
		return unusable(path, "cannot be used", err)
	}
	// SQLite keeps two files beside the store, and makes them even to read.
	if err := syscall.Access(filepath.Dir(path), readable|writable|searchable); err != nil {
		return unusable(path, "lies in a folder that cannot be used", err)
	}

	wal := hasWAL(path)
	err = inspect(ctx, path, wal, schema)
	if err != nil && !wal && hasWAL(path) {
		err = inspect(ctx, path, true, schema) // another process began to write meanwhile
	}
	return err
}

// What syscall.Access asks for.
const readable, writable, searchable = 4, 2, 1

// hasWAL says whether some of the store's content may be in its write-ahead log.
func hasWAL(path string) bool {
	info, err := os.Stat(path + "-wal")
	return err == nil && info.Size() > 0
}

// inspect reads who made the store and whether its tables are there. Without a write-ahead log nobody
// has the store open, and it can be read as an immutable file, which leaves no trace. (Reading its first bytes
// by hand would not do: closing that file would drop the locks that SQLite has on it in this process.)
func inspect(ctx context.Context, path string, wal bool, schema []migration) error {
	query := url.Values{"mode": {"ro"}, "_pragma": {fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds())}}
	if !wal {
		query.Set("immutable", "1")
	}
	file, err := sql.Open("sqlite", dsn(path, query))
	if err != nil {
		return refuse(path, err)
	}
	defer file.Close()

	var id, version, tables int
	err = file.QueryRowContext(ctx, `
		SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version),
		       (SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN
		           ('runs', 'levels', 'services', 'journal', 'resources', 'files', 'contents'))`).Scan(&id, &version, &tables)
	if err != nil {
		return unreadable(ctx, path, err)
	}
	return judge(path, id, version, tables, len(schema))
}

// unreadable is refuse for a first look, where even an error in SQL can only come from what is in the file.
func unreadable(ctx context.Context, path string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("open the state store: %w", context.Cause(ctx))
	}
	refused := refuse(path, err)
	if _, ok := errors.AsType[*StoreError](refused); ok {
		return refused
	}
	return &StoreError{Path: path, Why: fmt.Sprintf("is damaged (%v): %s", err, beginAnew), Err: err}
}

// storeTables is how many tables the first migration makes.
const storeTables = 7

func judge(path string, id, version, tables, newest int) error {
	switch {
	case id != applicationID:
		return &StoreError{Path: path, Why: "is a database of another program: move it away, or name another folder with --state"}
	case version > newest:
		return &StoreError{Path: path, Why: fmt.Sprintf("was made by a newer launch (its schema is %d, this launch knows %d): use that launch", version, newest)}
	case version < 1 || tables != storeTables:
		return &StoreError{Path: path, Why: "is damaged, tables are missing: " + beginAnew}
	}
	return nil
}
