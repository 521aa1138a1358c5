// Package runners says what a runner is: how a service gets a host, and how
// programs run there so that they outlive the launch process that began them.
package runners

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// A Runner reaches hosts of one kind with one configuration. Its methods may be
// called concurrently.
type Runner interface {
	// Connect reaches the host of target and returns once programs can run
	// there. It is patient with a host that is still booting, for as long as the
	// configuration says, or until ctx ends. Hosts that share a machine share the
	// connection behind them.
	Connect(ctx context.Context, target Target) (Host, error)

	// Close lets go of every connection. Programs go on running.
	Close() error
}

// Env is what a runner is given when it is made for a run.
type Env struct {
	Run   string // the run's name
	RunID string // the run's ULID, safe as a file name
	Plan  string // the plan's directory, for tags and messages
	Dir   string // the run's private folder (0700) in the state directory; it exists

	// Turn names the launch process, where it has the run's lock. What an earlier one asked for, and a host hears of
	// late, is not done then. Empty: this one only looks, beside the one that works on the run.
	Turn string

	// Environ is the environment that programs on this machine inherit, and
	// where a runner finds settings such as SSH_AUTH_SOCK, HOME or AWS_PROFILE.
	Environ []string

	// Ledger keeps what the runner must find again after a crash.
	Ledger Ledger

	// Note tells the operator something worth a line ("waiting for 10.0.0.5 to
	// answer: connection refused"). It is never nil and never blocks.
	Note func(service, text string)
}

// Target says which host a service wants.
type Target struct {
	Service string // the service's address, for messages and the ledger
	Host    string // the plan's `host`; empty for this machine, or where Provision made the host
}

// A Host is a machine as a runner reaches it. Programs on it are known by their
// ID: however often a program is started, it runs once.
//
// It has as many methods as it has because the four things that a runner must
// do on a machine (programs, files, connections, a shell) go over one shared
// connection.
type Host interface {
	// Facts tells the addresses under which the machine is known.
	Facts() Facts

	// WorkDir is the absolute path of a service's work directory on the host,
	// private to user (empty: the user that the runner connects as). It makes nothing.
	WorkDir(service, user string) string

	// Run starts p unless a program of its ID was started on this host before,
	// waits for its end and returns the Result. Everything that p writes goes to
	// p.Output from the first byte on, also after an attach.
	//
	// Where ctx ends, the program's group is stopped within p.Stop.Grace and the
	// Result's Outcome is Stopped; where its cause is ErrDetach, Run returns that
	// at once and the program goes on. An error means that the outcome is not
	// known (*UnreachableError) or that the program could not be started
	// (*StartError); a status other than 0 is a Result, not an error.
	Run(ctx context.Context, p *Program) (Result, error)

	// Start is Run for a program that stays: it returns when the program was
	// started, or is found to have been started before.
	Start(ctx context.Context, p *Program) error

	// Look tells how the program with this ID stands, at once.
	Look(ctx context.Context, id ID) (State, error)

	// Wait returns when the program with this ID has ended, or ctx ends (the program goes on).
	Wait(ctx context.Context, id ID) (Result, error)

	// Stop ends what is left of the program's process group, daemons that it left
	// behind included: the signal, the grace time, then SIGKILL. It returns when
	// the group is gone, also where there never was one.
	Stop(ctx context.Context, id ID, stop Stop) error

	// Output returns at most max bytes of what the program wrote, from offset on.
	// Negative offsets count from the end. Of what was written beyond MaxOutput the
	// middle may be left out: at an offset in it the error is a *LeftOutError.
	Output(ctx context.Context, id ID, offset int64, max int) ([]byte, error)

	// Discard forgets what an ended program wrote, of which launch has a masked copy by now: at once, or with the
	// next thing that is done on the host. How the program ended is still known.
	Discard(ctx context.Context, id ID) error

	// ReadFile returns a file of the service's work directory, up to max bytes; a
	// longer one is an error. A file that does not exist is fs.ErrNotExist.
	ReadFile(ctx context.Context, service, user, name string, max int) ([]byte, error)

	// Dial connects from the host, as net.Dialer does from here.
	Dial(ctx context.Context, network, address string) (net.Conn, error)

	// Remove ends every program of the service that still runs and removes its
	// work directory. With an empty service it removes all that the run has on the host.
	Remove(ctx context.Context, service string) error

	// Reboot restarts the machine and returns when it can be used again.
	// errors.ErrUnsupported where that must not be done.
	Reboot(ctx context.Context) error

	// Shell gives the operator a shell in the service's work directory.
	Shell(ctx context.Context, service string, tty TTY) error

	// Close lets go of the host. Programs go on running.
	Close() error
}

// Facts are the attributes of a host that every service on it has.
type Facts struct {
	Address        string // the one to use from other services
	PrivateAddress string
	PublicAddress  string
	InstanceID     string
	NoHost         bool // a pool: there is no single machine to connect to
}

// ID names a program within a run: the same ID is never started twice on a host.
type ID struct {
	Service string // a name that is safe as a file name and unique in the run: see DirName
	Name    string // which program: "boot-1", "ready-0-17", "terminate-2"; [a-z0-9.-]+
}

func (id ID) String() string { return id.Service + "/" + id.Name }

// A Program is one thing to run on a host.
type Program struct {
	ID   ID
	Kind Kind

	// Payload is what is sent to the host, once per host and content. Without
	// one, Argv[0] is looked up on the host's PATH (a name without slashes), or
	// is a path there, relative ones being in Dir. With one, Argv are the
	// arguments of its entry.
	Payload *Payload
	Argv    []string

	// Files are placed in the work directory before the start.
	Files []File

	// Env is added to the host's own environment. Values may be secret: they
	// reach the program through its environment, never through an argv.
	// LAUNCH_PROGRAM_DIR, the folder of Payload on the host, is added by the runner.
	Env map[string]string

	Dir  string // working directory: absolute, or below the work directory; empty: that itself
	User string // run as this user (sudo -n); empty: the runner's own

	Timeout time.Duration // counted on the host from the start, launch's death included; 0: none
	Stop    Stop

	// Collect is a file of the work directory whose content comes back in the
	// Result (at most MaxCollect bytes), in the same round trip. Empty: none.
	Collect string

	// Started is called soon after the program was started, or was found to have been, and before Run returns;
	// until then it counts as starting, of which there are few at a time. It may be nil.
	Started func()

	// Output receives the program's stdout and stderr, interleaved as written.
	// Beyond MaxOutput the middle may be left out, and a line says so. nil: not wanted
	// (it can still be read by Output). Write must not block for long.
	Output io.Writer
}

// Kind says what becomes of a program when the launch process goes away.
type Kind uint8

const (
	Durable Kind = iota + 1 // boot, terminate: goes on, and can be attached to again
	Process                 // stays: it is the service itself
	Check                   // a ready or gone program: ended with the launch process that asked, nothing is kept of it
)

// A Payload is a program's files. Hash is that of its content, in hex; runners use it as a file name.
type Payload struct {
	Hash        string
	Files       []File   // paths relative to the payload's folder
	Entry       string   // the file that is run
	Interpreter []string // ["/bin/sh", "-e"] for an inline script; empty: the entry is executable itself
}

// A File is placed on a host. Path is relative, clean and does not leave its folder.
type File struct {
	Path    string
	Mode    uint32 // permission bits
	Content []byte
}

// Stop is how a program is ended: Signal to its group, then SIGKILL after Grace.
type Stop struct {
	Signal string // "SIGTERM"
	Grace  time.Duration
}

// Outcome tells how a program ended.
type Outcome uint8

const (
	Exited   Outcome = iota + 1 // by itself, with Status
	Signaled                    // by a signal that launch did not send
	TimedOut                    // stopped by its timeout
	Stopped                     // stopped because ctx ended, or by Stop
	Lost                        // it is gone, and nobody can tell how it ended: see Reason
)

// Result is how a program ended.
type Result struct {
	Outcome    Outcome
	Status     int    // where Exited
	Signal     string // where Signaled: "SIGSEGV"
	Reason     string // where Lost: "10.0.0.5 was rebooted while it ran"
	Started    time.Time
	Ended      time.Time
	Emptied    bool   // nothing was left of its process group then; false where that is not known
	Collected  []byte // nil where the file was not there
	CollectErr string // why the file could not be taken: too long, not a regular file; else empty
}

// State is how a program stands at a moment.
type State struct {
	Phase  Phase
	PID    int    // where Running
	Result Result // where Ended
}

// Phase of a program on its host.
type Phase uint8

const (
	NotStarted Phase = iota + 1
	Running
	Ended // Result tells how; Lost is a Result too
)

// TTY is the operator's terminal for Shell.
type TTY struct {
	In         io.Reader
	Out        io.Writer
	Err        io.Writer
	Term       string // what kind of terminal it is; "" where In is none
	Cols, Rows int
	Resize     <-chan [2]int // columns, rows; may be nil
}

// Bounds on what a host may make launch hold or keep.
const (
	MaxOutput  = 64 << 20 // of one program's output; then the middle is left out
	MaxCollect = 1 << 20  // of an exports file: these are names and addresses, not data
)

// ErrDetach is the cause of a context whose end must leave programs running.
var ErrDetach = errors.New("detached")

// An UnreachableError means that the host did not answer within the patience
// that was asked for: what runs there goes on, and its outcome is not known.
type UnreachableError struct {
	Host string
	Err  error
}

func (e *UnreachableError) Error() string { return "cannot reach " + e.Host + ": " + e.Err.Error() }
func (e *UnreachableError) Unwrap() error { return e.Err }

// A StartError means that the program was not started: it does not exist, is not
// executable, its user or folder is missing. The operator can mend that.
type StartError struct {
	Program string
	Err     error
}

func (e *StartError) Error() string { return "start " + e.Program + ": " + e.Err.Error() }
func (e *StartError) Unwrap() error { return e.Err }

// A LeftOutError means that output at an offset is not kept, or not for long: it goes on at Next.
type LeftOutError struct {
	Next int64
}

func (e *LeftOutError) Error() string {
	return fmt.Sprintf("the output before byte %d was left out", e.Next)
}

// A Ledger keeps, durably and per run, what a runner must find again: instances
// with their client tokens, key pairs, pinned host keys.
type Ledger interface {
	// Put records resources, replacing those with the same Kind and Key, and
	// returns when that is durable. It is called before the effect, and again after it.
	Put(ctx context.Context, resources ...Resource) error
	// List returns the run's resources of a kind in the order of their keys.
	List(kind string) []Resource
}

// A Resource is something outside launch that a run made or relies on.
type Resource struct {
	Kind    string // "instance", "key-pair", "host-key", …
	Key     string // unique within its kind in the run, chosen before the effect: a client token, an address
	ID      string // what the other side calls it, once known
	Service string // whose it is; empty: the run's
	Status  string // "wanted", "live", "ending", "gone"
	Data    string // the runner's own JSON; never a secret
}

// A Provisioner is a Runner whose hosts have to be made first.
type Provisioner interface {
	Runner

	// Request asks for a host for each want that has none yet, in as few calls as
	// it can, and returns when all were asked for: not when they run. What goes
	// wrong for one service is told by Await; an error is about all of them.
	Request(ctx context.Context, wants []Want) error

	// AtLevel says that hosts are asked for only when their level begins, since
	// the operator would rather wait than pay; else at the beginning of a boot.
	AtLevel() bool

	// Await returns when the service's host exists and has an address.
	// Without an earlier Request for the service it makes one of its own.
	// The error is ErrGone where the host that was made has ended instead.
	Await(ctx context.Context, want Want) (Facts, error)

	// Fits tells whether the host that the service has, or was asked for it, is what
	// this runner would make for it now; the error is why not, ErrNoHost where it
	// has none of this runner. It makes no call.
	Fits(want Want) error

	// Inspect tells whether the service's host is as it should be; the error is
	// why not: ErrGone where nothing runs there any more, an *UntoldError where
	// that cannot be told, else that it is not well.
	Inspect(ctx context.Context, service string) error

	// Release ends the services' hosts and returns when they are gone, with what
	// went wrong by service. Hosts that launch did not make are left alone.
	Release(ctx context.Context, services []string) map[string]error

	// Sweep ends what the run holds beside its hosts (key pairs, templates), and
	// hosts that belong to no service any more. It is called last in a terminate.
	Sweep(ctx context.Context) error
}

// ErrNoHost means that a service has no host of a Provisioner.
var ErrNoHost = errors.New("it has no host of its runner")

// ErrGone means that a host of a Provisioner is known to run no more.
var ErrGone = errors.New("its host is gone")

// An UntoldError means that how a host of a Provisioner is cannot be told: who knows does not answer, or may not.
type UntoldError struct{ Err error }

func (e *UntoldError) Error() string { return e.Err.Error() }
func (e *UntoldError) Unwrap() error { return e.Err }

// A Want asks for a host for a service.
type Want struct {
	Service string
	Host    string // the plan's `host`: an existing instance's id; empty: a new one
	// UserData is what a pool's machines are told, in place of what the runner block says; empty: that. It may be secret.
	UserData string
}
