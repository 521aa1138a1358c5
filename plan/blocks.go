package plan

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"
)

// A module is one plan directory as it was written. A plan that is a level of
// others is read once, however often it is used.
type module struct {
	dir   string
	files *planFiles

	description string
	variables   map[string]*variableBlock
	locals      map[string]*localValue
	runners     map[string]*runnerBlock // by "ssh.rack"
	levels      map[string]*levelBlock
	services    map[string]*serviceBlock
	outputs     map[string]*outputBlock

	// The same in the order of the files.
	variableList []*variableBlock
	localList    []*localValue // once checked: each one after those it refers to
	runnerList   []*runnerBlock
	levelList    []*levelBlock // once checked: each one after those it waits for
	outputList   []*outputBlock
}

type variableBlock struct {
	Variable
	defaults    *typeexpr.Defaults // of optional() attributes in its type
	validations []validation
	used        bool
}

type validation struct {
	condition, message *expression
}

type localValue struct {
	name     string
	rng      hcl.Range
	value    *expression
	services []serviceUse // that it refers to, other locals included
	state    visitState
	used     bool
}

// A serviceUse is a reference to another level's service or outputs, where it stands.
type serviceUse struct {
	ref   *reference
	level *levelBlock // that is referred to
	via   *localValue // nil: directly
}

type outputBlock struct {
	name        string
	rng         hcl.Range
	description string
	sensitive   bool
	value       *expression
}

type runnerBlock struct {
	runnerType *RunnerType
	name       string
	rng        hcl.Range
	attributes map[string]*expression
	blocks     map[string]*runnerBlock
}

type levelBlock struct {
	name        string
	rng         hcl.Range
	index       int // in the order of the file
	after       []*levelBlock
	afterSet    bool // `after` was written
	afterExpr   hcl.Expression
	parallelism *expression
	enabled     *expression
	services    []*serviceBlock

	// A level that is a plan.
	planExpr    hcl.Expression
	planDir     string
	module      *module
	inputs      map[string]*input
	outputsUsed map[*outputBlock]bool
	inputsRead  bool // `inputs`, where it is there, was understood

	uses  []serviceUse  // references of it to other levels
	edges []*levelBlock // those it waits for: after, and uses
}

type input struct {
	name  string
	rng   hcl.Range
	value *expression
}

type serviceBlock struct {
	name  string
	rng   hcl.Range
	level *levelBlock

	count, forEach, enabled *expression
	runner, on, host        *expression
	userData                *expression // of a pool

	files      []*fileBlock
	boot       *programBlock
	process    *programBlock
	terminate  *programBlock
	attributes []*attributeItem
	exports    []*exportDecl
	ready      []*probeBlock
	gone       []*probeBlock

	perInstance bool // some expression in it is
}

func (b *serviceBlock) export(name string) *exportDecl {
	for _, e := range b.exports {
		if e.name == name {
			return e
		}
	}
	return nil
}

func (b *serviceBlock) attribute(name string) *attributeItem {
	for _, a := range b.attributes {
		if a.name == name {
			return a
		}
	}
	return nil
}

// members are the names that service.NAME has.
func (b *serviceBlock) members() []string {
	names := hostFacts()
	for _, a := range b.attributes {
		names = append(names, a.name)
	}
	for _, e := range b.exports {
		names = append(names, e.name)
	}
	slices.Sort(names)
	return names
}

func (b *serviceBlock) hasMember(name string) bool {
	return slices.Contains(hostFacts(), name) || b.attribute(name) != nil || b.export(name) != nil
}

type attributeItem struct {
	name  string
	rng   hcl.Range
	value *expression
}

type exportDecl struct {
	name       string
	rng        hcl.Range
	typ        cty.Type
	sensitive  bool
	hasDefault bool
	defValue   cty.Value
}

type fileBlock struct {
	name            string
	rng             hcl.Range
	content, source *expression
	mode            *expression
}

type programBlock struct {
	kind string // "boot", "process", "terminate", "ready", "gone"
	rng  hcl.Range

	program, args, command, script *expression

	env, dir, user               *expression
	timeout, retries, retryDelay *expression
	stopSignal, stopTimeout      *expression
}

type probeBlock struct {
	kind string // "ready" or "gone"
	rng  hcl.Range

	program           *programBlock // nil: none
	tcp, log          *expression
	http              *httpBlock
	timeout, interval *expression
	attempts, from    *expression
}

type httpBlock struct {
	rng               hcl.Range
	url, status, body *expression
}

// hostFacts are the attributes that every service has.
func hostFacts() []string {
	return []string{"address", "instance_id", "name", "private_address", "public_address", "work_dir"}
}
