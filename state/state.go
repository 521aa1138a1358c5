// Package state keeps runs, their services and the journal of everything that
// was intended and that came of it, in one SQLite file per state directory.
package state

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"time"
)

// DB is an open store. Several processes may have the same one open.
type DB struct{}

// Open opens launch.db in dir, makes both where they do not exist (dir 0700, the file 0600), and migrates
// an older store after a backup copy. A file that is damaged, of a newer launch or not a launch
// store at all is refused with a *StoreError, and left as it was. Schema and first use cost one transaction.
func Open(ctx context.Context, dir string) (*DB, error) { panic("not yet") }

// OpenExisting is Open for commands that only look: where there is no store it returns ErrNoStore and makes nothing.
func OpenExisting(ctx context.Context, dir string) (*DB, error) { panic("not yet") }

// Close ends the writers and closes the store.
func (db *DB) Close() error { panic("not yet") }

// Errors that callers tell apart.
var (
	ErrNoStore   = errors.New("no state store")
	ErrNoRun     = errors.New("no such run")
	ErrNameTaken = errors.New("run name is in use")
	ErrConflict  = errors.New("changed by another process") // a row was not in the status that the change starts from
)

// A StoreError says why a store was refused, and what to do next.
type StoreError struct {
	Path string
	Why  string
	Err  error
}

// Error is one sentence for the operator.
func (e *StoreError) Error() string { panic("not yet") }

// RunStatus is where a run stands.
type RunStatus string

const (
	RunBooting     RunStatus = "booting"
	RunReady       RunStatus = "ready"
	RunFailed      RunStatus = "failed"
	RunInterrupted RunStatus = "interrupted"
	RunTerminating RunStatus = "terminating"
	RunTerminated  RunStatus = "terminated"
)

// Status is where a service stands. The transition table is in status.go.
type Status string

const (
	Pending      Status = "pending"
	Provisioning Status = "provisioning"
	Connecting   Status = "connecting"
	Booting      Status = "booting"
	Verifying    Status = "verifying"
	Ready        Status = "ready"
	Failed       Status = "failed"
	Terminating  Status = "terminating"
	Terminated   Status = "terminated"
	Skipped      Status = "skipped"
)

// CanBecome says whether the transition table has a way from s to next.
func (s Status) CanBecome(next Status) bool { panic("not yet") }

// A Run as the store keeps it.
type Run struct {
	ID         string // ULID
	Name       string
	Plan       string // the plan directory's absolute path
	Status     RunStatus
	Error      string // why it failed, for list and history
	Created    time.Time
	Since      time.Time // of Status
	Generation int       // of the plan's files: 1, and one more with each reload
	Captured   []byte    // JSON: variables, env() values (the plan package's business)
	Options    []byte    // JSON: --until, --on-failure (the engine's business)
	Key        []byte    // 32 random bytes for fingerprints
	Outputs    []byte    // JSON: name -> value, without sensitive ones
}

// A Level of a run.
type Level struct {
	Name     string
	Position int
	Group    bool
}

// A Service of a run, as of its last transition.
type Service struct {
	Address     string // "dispatch.core.web[0]"
	Level       string
	Position    int // in the run's order
	Status      Status
	Runner      string
	Host        string
	InstanceID  string
	Attempt     int       // of boot, counted over the run's life: a program ID is never used twice
	Phase       string    // of the last failure, or under way
	Error       string    // why it failed; "" otherwise
	Log         string    // path of the log that explains it
	Since       time.Time // of Status
	Attributes  []byte    // JSON, public ones only
	Withheld    []string  // names of the attributes that are sensitive
	Fingerprint string
	Detail      []byte // JSON of the engine's own: what resume needs to know of the attempt under way
}

// An Event is a row of the journal: an intent or an outcome.
type Event struct {
	Seq     int64
	At      time.Time
	Service string // "" for the run's own
	Kind    string // "run", "service", "attempt", "resource", "note", "lock", …; readers skip what they do not know
	From    string
	To      string
	Attempt int
	Cause   string // why, in words
	Detail  []byte // JSON
}

// A Resource mirrors runners.Resource; the engine converts.
type Resource struct {
	Kind, Key, ID, Service, Status, Data string
	Since                                time.Time
}

// A File of the plan's snapshot.
type File struct {
	Dir, Path string
	Mode      fs.FileMode
	Content   []byte
}

// A NewRun is everything that makes a run, written in one transaction.
type NewRun struct {
	Run      Run
	Levels   []Level
	Services []Service
	Files    []File
}

// CreateRun records a new run. ErrNameTaken where a run of that name is not terminated.
func (db *DB) CreateRun(ctx context.Context, run NewRun) error { panic("not yet") }

// Runs returns all runs, oldest first.
func (db *DB) Runs(ctx context.Context) ([]Run, error) { panic("not yet") }

// FindRun returns the newest run with this name or ID; ErrNoRun.
func (db *DB) FindRun(ctx context.Context, nameOrID string) (Run, error) { panic("not yet") }

// Levels returns a run's levels by position.
func (db *DB) Levels(ctx context.Context, run string) ([]Level, error) { panic("not yet") }

// Services returns a run's services by position.
func (db *DB) Services(ctx context.Context, run string) ([]Service, error) { panic("not yet") }

// Resources returns a run's resources by kind and key.
func (db *DB) Resources(ctx context.Context, run string) ([]Resource, error) { panic("not yet") }

// Files returns the plan's files of a generation.
func (db *DB) Files(ctx context.Context, run string, generation int) ([]File, error) {
	panic("not yet")
}

// Journal yields a run's events after seq in order.
func (db *DB) Journal(ctx context.Context, run string, after int64) iter.Seq2[Event, error] {
	panic("not yet")
}

// Purge forgets a terminated run altogether, files and journal included; any other is refused.
func (db *DB) Purge(ctx context.Context, run string) error { panic("not yet") }

// A Lock makes one command at a time drive a run. The kernel lets go of it when its owner dies.
type Lock struct{}

// A LockedError tells who drives the run.
type LockedError struct {
	Run     string
	PID     int
	Command string
	Since   time.Time
}

func (e *LockedError) Error() string { panic("not yet") }

// Lock takes the run's lock (flock on a file in dir/locks), or returns a *LockedError at once. tookOver is true where
// the one before died without letting go.
func (db *DB) Lock(run, command string) (lock *Lock, tookOver bool, err error) { panic("not yet") }

// Locked tells who drives the run, nil where nobody does.
func (db *DB) Locked(run string) (*LockedError, error) { panic("not yet") }

// Unlock lets go.
func (l *Lock) Unlock() error { panic("not yet") }

// A Writer is the one place where a run changes: everything that goes through it is written to the
// journal and to the current rows in one transaction, in the order of the calls. Calls that come
// together share a commit.
type Writer struct{}

// Writer returns the writer of a run. Close waits for what is queued.
func (db *DB) Writer(run string) *Writer { panic("not yet") }

// A Change is one or more rows of the journal with what they change, applied together.
type Change struct {
	Event          Event    // At is filled in where zero
	Run            *Run     // its new row (status, error, outputs, captured, options, generation)
	Service        *Service // its new row; it must be in status Event.From, and Event.To must be reachable from it: else ErrConflict
	Resources      []Resource
	Add            *NewRun  // levels, services and files that a reload adds (Run is ignored)
	RemoveServices []string // addresses that a reload took out, once they are terminated
}

// Submit queues a change and returns at once; Wait on the ticket returns when it is durable. Later
// submissions never become durable before earlier ones.
func (w *Writer) Submit(c Change) Ticket { panic("not yet") }

// Write is Submit and Wait. It waits for durability even where ctx has ended, within a bound: last words count.
func (w *Writer) Write(ctx context.Context, c Change) error { panic("not yet") }

// Close writes what is queued and ends the writer.
func (w *Writer) Close() error { panic("not yet") }

// A Ticket is a change on its way to the disk.
type Ticket struct{}

// Wait returns when the change is durable, or could not be made so. After a failed commit every later
// change fails too: the store must be opened again to know what is in it.
func (t Ticket) Wait() error { panic("not yet") }
