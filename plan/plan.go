// Package plan turns the HCL files of a launch plan into levels and services,
// and evaluates each service when its turn has come.
package plan

import (
	"io/fs"

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
	// Kept says that a run keeps the plan: it was valid for the launch that booted the run. What only later
	// launches refuse is let pass, so that they can go on with the run, and end it.
	Kept bool
	// WorkDir shortens file names in messages: a file below it is named relative
	// to it, every other one by its absolute path. "" shortens none.
	WorkDir string
}

// A RunnerType is a kind of runner as the plan language sees it.
type RunnerType struct {
	Name string
	// Attributes may be set in the runner block. Values are evaluated with what is known ahead.
	Attributes map[string]RunnerAttribute
	// Blocks may be given once each within the runner block.
	Blocks map[string]map[string]RunnerAttribute
	// Check says what is wrong with the values of a runner block, once all of them are known. nil: nothing ever is.
	Check func(config cty.Value) error
	// Host says whether a service on this runner has a `host`.
	Host HostRule
	// Pool names the block with which a service is a group of machines that EC2, say, looks after: none of them
	// is a host on which launch could run its programs. "": there is no such block.
	Pool string
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

// A Plan is what the operator wrote, checked.
type Plan struct {
	Dir         string
	Description string
	Variables   []*Variable // of the root plan, in the order of their declaration

	root   *module
	loader *loader
}

// A Variable of a plan.
type Variable struct {
	Name        string
	Type        cty.Type
	Default     cty.Value // cty.NilVal: it has to be given
	Description string
	Sensitive   bool
	Range       hcl.Range
}

// Sources returns the files that were read, for rendering diagnostics.
func (p *Plan) Sources() map[string]*hcl.File {
	return p.loader.sources
}
