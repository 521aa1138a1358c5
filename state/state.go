// Package state keeps runs, their services and the journal of everything that
// was intended and that came of it, in one SQLite file per state directory.
package state

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

const (
	storeName     = "launch.db"
	applicationID = 0x6c6e6368 // "lnch" in the file's header: file(1) and we tell a launch store by it

	// busyTimeout is how long a transaction waits for those of other processes. The longest that
	// launch itself makes is the creation of a run with 100,000 services, some two seconds.
	busyTimeout = 30 * time.Second

	// walPages is how many pages of 4 KiB the write-ahead log has before a commit carries them over to the file, for
	// which everybody waits: 32 MiB, the changes of some 3,000 services. To read that many after a crash takes a
	// fraction of a second.
	walPages = 8192

	// walKept is what the write-ahead log is cut back to after a big transaction, in bytes.
	walKept = 8 << 20
)

// Errors that callers tell apart.
var (
	ErrNoStore   = errors.New("no state store")
	ErrNoRun     = errors.New("no such run")
	ErrNameTaken = errors.New("run name is in use")
	ErrConflict  = errors.New("changed by another process") // a row was not in the status that the change starts from
	ErrClosed    = errors.New("state store is closed")
)

// DB is an open store. Several processes may have the same one open.
type DB struct {
	dir     string
	path    string
	place   *place
	sql     *sql.DB
	commits atomic.Int64
	crash   crash // kills this process at a chosen commit in builds for crash tests

	mu      sync.Mutex
	writers map[string]*Writer // by run ID; nil once closed
}

// Open opens launch.db in dir, makes both where they do not exist (dir 0700, the file 0600), and migrates
// an older store after a backup copy. A file that is damaged, of a newer launch or not a launch
// store at all is refused with a *StoreError, and left as it was. Schema and first use cost one transaction.
func Open(ctx context.Context, dir string) (*DB, error) {
	path, err := storePath(dir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(ctx, path, migrations()); err != nil {
			return nil, err
		}
	}
	return open(ctx, path)
}

// OpenExisting is Open for commands that only look: where there is no store it returns ErrNoStore and makes nothing.
func OpenExisting(ctx context.Context, dir string) (*DB, error) {
	path, err := storePath(dir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, cmp.Or(orphaned(path), fmt.Errorf("%s: %w", path, ErrNoStore))
	}
	return open(ctx, path)
}

// storePath is where the store of a state directory is. It is absolute, since SQLite opens further connections later, wherever
// the process is by then; and where launch.db is a link, it is what that leads to: SQLite keeps its other files there.
func storePath(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the state directory: %w", err)
	}
	path := filepath.Join(abs, storeName)
	if info, err := os.Lstat(path); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return path, nil
	}
	end, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", &StoreError{Path: path, Why: fmt.Sprintf("is a link that leads to no file (%v): put the file back, or remove the link to begin anew", err), Err: err}
	}
	return end, nil
}

// orphaned is why no store can be made at path, where the log of one that is missing still has changes; else nil.
func orphaned(path string) error {
	if !hasWAL(path) {
		return nil
	}
	return &StoreError{Path: path, Why: "is missing, but changes to it are in " + path + "-wal: put the store back, or move that file away to begin anew"}
}

// open opens a store that exists.
func open(ctx context.Context, path string) (*DB, error) {
	schema := migrations()
	if err := look(ctx, path, schema); err != nil {
		return nil, err
	}
	pool, err := sql.Open("sqlite", dsn(path, url.Values{
		"mode": {"rw"},
		"_pragma": {
			fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
			"journal_mode(WAL)", // as it was made, unless somebody changed that
			"synchronous(FULL)",
			"fullfsync(ON)", // on macOS fsync alone leaves data in the drive's cache
			"foreign_keys(ON)",
			fmt.Sprintf("journal_size_limit(%d)", walKept),
			fmt.Sprintf("wal_autocheckpoint(%d)", walPages),
		},
	}))
	if err != nil {
		return nil, refuse(path, err)
	}
	db := &DB{dir: filepath.Dir(path), path: path, sql: pool, crash: newCrash(), writers: map[string]*Writer{}}
	if db.place, err = findPlace(ctx, pool, path); err == nil {
		err = db.migrate(ctx, schema)
	}
	if err != nil {
		pool.Close()
		return nil, err
	}
	return db, nil
}

// dsn names the store for the driver. What is in the file is not trusted to be of launch's making:
// a schema cannot run functions that have side effects, a quoted name is never text.
func dsn(path string, query url.Values) string {
	query.Set("_defensive", "1")
	query.Set("_dqs", "0")
	query.Set("_error_rc", "1") // errors say what went wrong with this operation, not with an earlier one
	query["_pragma"] = append(query["_pragma"], "trusted_schema(OFF)", "cell_size_check(ON)")
	file := url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}
	return file.String()
}

// inTx runs f in one transaction on a connection of its own.
func (db *DB) inTx(ctx context.Context, f func(tx *statements) error) error {
	conn, err := db.sql.Conn(ctx)
	if err != nil {
		return db.problem(err)
	}
	tx := newStatements(conn)
	defer tx.close()
	return db.problem(db.transact(ctx, tx, func() error { return f(tx) }))
}

// transact runs f between BEGIN and COMMIT. Every transaction that changes a run goes through here.
func (db *DB) transact(ctx context.Context, tx *statements, f func() error) error {
	// Immediate: a transaction that begins by reading would fail, not wait, when it comes to write.
	if _, err := tx.exec(ctx, `BEGIN IMMEDIATE`); err != nil {
		return err
	}
	err := f()
	if err == nil {
		err = db.inPlace(ctx)
	}
	if err == nil {
		db.crash.beforeCommit()
		_, err = tx.exec(context.WithoutCancel(ctx), `COMMIT`) // nothing may make a commit that succeeded look failed
	}
	if err != nil {
		// SQLite has rolled back by itself after some errors, and then says that there is no transaction.
		_, _ = tx.exec(context.WithoutCancel(ctx), `ROLLBACK`)
		return err
	}
	db.crash.afterCommit()
	db.place.logged.Store(db.logSize())
	db.commits.Add(1)
	return nil
}

// Commits counts the transactions that this DB made durable. Each costs one fsync; SQLite adds two
// for every thousand pages that it moves from the write-ahead log into the file.
func (db *DB) Commits() int64 { return db.commits.Load() }

// Close ends the writers and closes the store. One whose log was cut short stays open until the process ends.
func (db *DB) Close() error {
	db.mu.Lock()
	writers := db.writers
	db.writers = nil
	db.mu.Unlock()
	var errs []error
	for _, w := range writers {
		errs = append(errs, w.Close())
	}
	if db.place.lost.Load() {
		// Whoever closes a store last carries its log over, which would be half a transaction now. Left as after a kill,
		// the log is read again by the next command, up to the last transaction that is whole in it.
		return errors.Join(errs...)
	}
	if err := db.sql.Close(); err != nil {
		errs = append(errs, db.problem(err))
	}
	return errors.Join(errs...)
}
