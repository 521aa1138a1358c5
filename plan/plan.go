// Package plan turns the HCL files of a launch plan into levels and services,
// and evaluates each service when its turn has come.
package plan

import (
	"io/fs"
	"regexp"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// A Source opens a plan's directory, known by its absolute path. Nothing outside
// of that directory can be reached through the result: a symbolic link that
// leads out of it is an error.
type Source func(dir string) (fs.FS, error)

// Options are what a plan is loaded with.
type Options struct {
	// Source is where the files come from: nil is the disk, a run that resumes
	// passes its snapshot.
	Source Source
	// Runners are the runner types that a plan may use. "local" is always known.
	Runners []RunnerType
	// LookupEnv is what env() reads: os.LookupEnv, or what the run captured.
	LookupEnv func(name string) (string, bool)
	// Executable finds a program for executable(): beside launch, else on PATH.
	Executable func(name string) (string, error)
	// Version of launch, for requires_launch; "" passes every check.
	Version string
}

// A RunnerType is a kind of runner as the plan language sees it.
type RunnerType struct {
	Name string
	// Attributes may be set in the runner block. Values are evaluated with what is known ahead.
	Attributes map[string]RunnerAttribute
	// Blocks may be given once each within the runner block.
	Blocks map[string]map[string]RunnerAttribute
	// Host says whether a service on this runner has a `host`.
	Host HostRule
}

// A RunnerAttribute is an attribute of a runner block.
type RunnerAttribute struct {
	Type     cty.Type
	Required bool
}

// HostRule says whether services of a runner give a `host`.
type HostRule uint8

const (
	NoHost HostRule = iota + 1 // this machine
	NeedsHost
	MayHaveHost // without one, a new machine
)

// Load reads the plan in dir, an absolute path, with its sub-plans, and checks it
// as far as that is possible without variables: unknown values stand for what
// is not known yet. The Plan is nil only where nothing of it could be read;
// with errors it is good for reporting only.
func Load(dir string, opts Options) (*Plan, hcl.Diagnostics) { panic("not yet") }

// A Plan is what the operator wrote, checked.
type Plan struct {
	Dir         string
	Description string
	Variables   []*Variable // of the root plan, in the order of their declaration
}

// A Variable of the root plan.
type Variable struct {
	Name        string
	Type        cty.Type
	Default     cty.Value // cty.NilVal: it has to be given
	Description string
	Sensitive   bool
	Range       hcl.Range
}

// Sources returns the files that were read, for rendering diagnostics.
func (p *Plan) Sources() map[string]*hcl.File { panic("not yet") }

// Inputs make a run of a plan.
type Inputs struct {
	Variables map[string]Given
	RunName   string
	RunID     string
	// Later is set by commands on a run that exists already (status, terminate, …): a sensitive
	// variable that is not given is then unknown, and only what needs it is an error, which names it and
	// says how to give it (--var, --var-file, LAUNCH_VAR_name).
	Later bool
}

// Given is a variable's value as the operator gave it.
type Given struct {
	// Raw is text, as from --var and LAUNCH_VAR_*: taken as it is for a string
	// variable, else read as an HCL expression.
	Raw string
	// Value is used instead where it is set, as from a variable file.
	Value cty.Value
	// From says where it was given, for messages: `--var`, `LAUNCH_VAR_x`, `prod.vars:3`.
	From string
}

// ParseVarFile reads a file of `name = value` lines (HCL) or a JSON object.
func ParseVarFile(filename string, src []byte) (map[string]Given, hcl.Diagnostics) {
	panic("not yet")
}

// Expand gives the plan its variables and lays out its levels and services: count,
// for_each and enabled are decided here and for good, sub-plans are unrolled.
func (p *Plan) Expand(in Inputs) (*Tree, hcl.Diagnostics) { panic("not yet") }

// A Tree is a plan laid out for a run. What is learned of its services while the run
// goes on is kept in it; its methods and those of its services may be called concurrently.
type Tree struct {
	// Levels in an order in which each one stands after all those it waits for.
	Levels []*Level
	// Services of all levels, in the order of the levels.
	Services []*Service
}

// A Level begins when every level in After is complete. A level that is a
// sub-plan stands in the list too, after its own levels and without services of
// its own, Group being true: it is complete when they are.
type Level struct {
	Name        string // "dispatch.core"
	After       []*Level
	Services    []*Service
	Parallelism int // 0: no limit
	Group       bool
	Range       hcl.Range
}

// A Service of a run: one for each count or for_each instance.
type Service struct {
	Address                                      string // "dispatch.core.web[0]"
	Name                                         string // "web"
	Index                                        string // "0", an each.key, or "" where there is neither count nor for_each
	Level                                        *Level
	Runner                                       *Runner
	On                                           *Service // whose host it uses
	HasBoot, HasProcess, HasTerminate, HasChecks bool
	Range                                        hcl.Range // of the service block
}

// A Runner block, evaluated. The runner of services that name none is {Type: "local"}.
type Runner struct {
	Type   string
	Name   string    // "" for the default local one
	Config cty.Value // an object; absent attributes are null. May contain marked values
	Range  hcl.Range
}

// Address is "ssh.rack", or "local".
func (r *Runner) Address() string { panic("not yet") }

// Known is what has been learned of a service.
type Known struct {
	Address, PrivateAddress, PublicAddress, InstanceID, WorkDir string
	// Exports by name, of the declared types. nil: the boot program has not ended.
	Exports map[string]cty.Value
}

// Learn records what is known of s, replacing what was known before. References to s see it from then on.
func (t *Tree) Learn(s *Service, known Known) { panic("not yet") }

// Target evaluates the service's `host` ("" where it has none).
func (s *Service) Target() (string, hcl.Diagnostics) { panic("not yet") }

// Prepare evaluates what bringing up the service takes, when its host is known.
func (s *Service) Prepare() (*Prepared, hcl.Diagnostics) { panic("not yet") }

// Prepared is what bringing a service up takes.
type Prepared struct {
	Files      []File
	Boot       *Program // nil: none
	Process    *Process // nil: none
	Attributes []byte   // JSON object for LAUNCH_ATTRIBUTES; may contain secrets
}

// Fingerprint identifies what was prepared, content of files and programs included, in a way
// that tells nothing of it: it is keyed, since secrets are part of it. Two equal ones mean that a
// service need not be brought up again. The runner's configuration and the host count, verification does not.
func (s *Service) Fingerprint(p *Prepared, host string, key []byte) string { panic("not yet") }

// Checks evaluates the service's ready blocks, when its boot program has ended.
func (s *Service) Checks() ([]*Probe, hcl.Diagnostics) { panic("not yet") }

// Ending evaluates what terminating the service takes. What of it depends on values that
// were never learned is told in the diagnostics, and the rest is still returned.
func (s *Service) Ending() (*Ending, hcl.Diagnostics) { panic("not yet") }

// Ending is what terminating a service takes.
type Ending struct {
	Terminate  *Program
	Attributes []byte // for LAUNCH_ATTRIBUTES
	Gone       []*Probe
	Signal     string        // the process's stop_signal
	Grace      time.Duration // its stop_timeout
}

// ParseExports reads what a boot program left (a JSON object or NAME=VALUE lines; nil: nothing)
// against the service's declarations. Undeclared names are returned in ignored. The error
// is a sentence that names the export and the mistake, never the value.
func (s *Service) ParseExports(data []byte) (exports map[string]cty.Value, ignored []string, err error) {
	panic("not yet")
}

// Public renders the service's attributes for the state store and for `status`: declared
// attributes, exports and host facts, those left out that are sensitive or contain one of secrets.
// withheld names those. Restoring takes the exports among them back through ParseExports.
func (s *Service) Public(secrets []string) (attributes []byte, withheld []string) { panic("not yet") }

// RestoreExports reads back the exports that Public rendered; names is what is missing and declared.
func (s *Service) RestoreExports(attributes []byte) (exports map[string]cty.Value, missing []string, err error) {
	panic("not yet")
}

// Secrets returns every sensitive string that is known by now (values of sensitive variables, exports and what
// expressions made of them), longest first, none shorter than MinSecret.
func (t *Tree) Secrets() []string { panic("not yet") }

// Outputs evaluates the root plan's outputs. One that depends on what is not known yet is absent.
func (t *Tree) Outputs() (map[string]Output, hcl.Diagnostics) { panic("not yet") }

// An Output of a plan.
type Output struct {
	JSON      []byte
	Sensitive bool
}

// Preview renders everything of a service that can be evaluated now, for --dry-run: what is not known
// yet reads "(known after storage.database)", what is sensitive "(sensitive)".
func (s *Service) Preview() []PreviewLine { panic("not yet") }

// A PreviewLine is one thing of a preview: "boot.program" = "database/boot.sh".
type PreviewLine struct {
	Name, Value string
}

// Captured returns what the tree was made from and a later command needs: env() values and variables
// that are not sensitive (by name, as JSON), and the names of the sensitive ones that were given.
func (t *Tree) Captured() Captured { panic("not yet") }

// Captured is what a run keeps beside its files. It encodes to JSON.
type Captured struct {
	Env         map[string]*string          `json:"env"` // null: was not set
	Executables map[string]string           `json:"executables"`
	Variables   map[string]CapturedVariable `json:"variables"`
	Sensitive   []string                    `json:"sensitive"`
}

// CapturedVariable is a variable's value with its type, both as cty's JSON.
type CapturedVariable struct {
	Type  []byte `json:"type"`
	Value []byte `json:"value"`
}

// Snapshot returns every file that the plan and the tree refer to, MaxSnapshot bytes at most.
func (t *Tree) Snapshot() ([]SnapshotFile, error) { panic("not yet") }

// A SnapshotFile is a file of a plan directory, as a run keeps it.
type SnapshotFile struct {
	Dir     string // the plan directory's absolute path
	Path    string // slash-separated, within it
	Mode    fs.FileMode
	Content []byte
}

// SnapshotSource opens plan directories from a snapshot.
func SnapshotSource(files []SnapshotFile) Source { panic("not yet") }

// A Program that a phase runs, evaluated. Exactly one of Payload and (without it) Argv[0] names it.
type Program struct {
	Display    string   // for messages: "database/boot.sh --port 5432", sensitive parts masked
	Payload    *Payload // a file, directory or archive of the plan, or an inline script; nil: `command`
	Argv       []string // with a payload its arguments, else the command
	Env        map[string]string
	Dir, User  string
	Timeout    time.Duration
	Retries    int
	RetryDelay time.Duration
	Range      hcl.Range // of the block, for messages
}

// A Process is a program that stays.
type Process struct {
	Program
	StopSignal  string
	StopTimeout time.Duration
}

// A Payload is what is sent to the host for a program. Archives are unpacked already.
type Payload struct {
	Hash        string
	Files       []File
	Entry       string
	Interpreter []string // ["/bin/sh", "-e"] for a script
}

// A File for a host. Path is relative and clean.
type File struct {
	Path    string
	Mode    uint32
	Content []byte
}

// A Probe of a ready or gone block. Exactly one of Program, TCP, HTTP and Log is set.
type Probe struct {
	Display  string
	Program  *Program
	TCP      string // host:port
	HTTP     *HTTPProbe
	Log      *regexp.Regexp
	Timeout  time.Duration
	Interval time.Duration // between probes; 0: growing from MinInterval to MaxInterval
	Attempts int           // 0: until the timeout
	FromHere bool
	Range    hcl.Range
}

// An HTTPProbe holds when the answer has the status and the body matches.
type HTTPProbe struct {
	URL    string
	Status int            // 0: any 2xx
	Body   *regexp.Regexp // nil: any
}

// Defaults where a plan says nothing, and bounds on what it may ask for.
const (
	ProgramTimeout = 20 * time.Minute // long enough for a package installation, short enough to notice
	ReadyTimeout   = 5 * time.Minute
	MinInterval    = 100 * time.Millisecond // most services answer within it
	MaxInterval    = 2 * time.Second        // more often would only add load to what is slow already
	StopTimeout    = 10 * time.Second
	StopSignal     = "SIGTERM"
	RetryDelay     = time.Second // grows with each retry
	MaxSnapshot    = 64 << 20
	MaxServices    = 1_000_000 // more is a mistake in a count
	MinSecret      = 4         // shorter strings cannot be masked without wrecking the text around them
)

// LookupEnv reads what env() found when the plan was first laid out; see Options.LookupEnv.
func (c Captured) LookupEnv(name string) (string, bool) { panic("not yet") }

// Executable finds what executable() found when the plan was first laid out; see Options.Executable.
func (c Captured) Executable(name string) (string, error) { panic("not yet") }

// Given are the captured variables, as inputs of a later layout.
func (c Captured) Given() (map[string]Given, error) { panic("not yet") }

// Uses yields the services whose run-time values s refers to.
func (s *Service) Uses(yield func(*Service) bool) { panic("not yet") }
