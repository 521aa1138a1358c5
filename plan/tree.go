package plan

import (
	"slices"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// A Tree is a plan laid out for a run. What is learned of its services while the run
// goes on is kept in it; its methods and those of its services may be called concurrently.
type Tree struct {
	// Levels in an order in which each one stands after all those it waits for.
	Levels []*Level
	// Services of all levels, in the order of the levels.
	Services []*Service

	plan *Plan
	root *scope
	in   Inputs

	// mu guards what is known of the services, every cell of every scope, and the
	// secrets. It is held while the values that an expression refers to are
	// gathered, not while the expression itself is evaluated.
	mu      sync.Mutex
	secrets secretSet

	index     sync.Once
	byAddress map[string]*Service // made with the first question
}

// Service returns the service with this full address, nil where there is none.
func (t *Tree) Service(address string) *Service {
	t.index.Do(func() {
		t.byAddress = make(map[string]*Service, len(t.Services))
		for _, s := range t.Services {
			t.byAddress[s.Address] = s
		}
	})
	return t.byAddress[address]
}

// Level returns the level of this name, nil where there is none.
func (t *Tree) Level(name string) *Level {
	for _, lv := range t.Levels {
		if lv.Name == name {
			return lv
		}
	}
	return nil
}

// Until returns the levels that it takes to bring up the level of this name, itself included; all of them for "".
func (t *Tree) Until(name string) map[*Level]bool {
	taken := make(map[*Level]bool, len(t.Levels))
	for _, lv := range slices.Backward(t.Levels) { // those that need a level stand after it
		if name == "" || lv.Name == name {
			taken[lv] = true
		}
		if taken[lv] {
			for _, before := range lv.After {
				taken[before] = true
			}
		}
	}
	return taken
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
	HasGone                                      bool
	Range                                        hcl.Range // of the service block

	group    *group
	instance int
	known    *Known // guarded by the tree's mu; nil: nothing yet
}

// A Runner block, evaluated. The runner of services that name none is {Type: "local"}.
type Runner struct {
	Type   string
	Name   string    // "" for the default local one
	Config cty.Value // an object; absent attributes are null. May contain marked values
	Range  hcl.Range
	pool   bool // its services are pools
	kind   *RunnerType
}

// IsPool says whether the runner's services are pools: groups of machines, none of which is a host.
func (r *Runner) IsPool() bool { return r.pool }

// SamePool says whether two runners make the same machines, so that a pool can pass from one to the other by
// getting another size.
func (r *Runner) SamePool(other *Runner) bool {
	if !r.pool || !other.pool || r.Type != other.Type {
		return false
	}
	block := r.kind.Pool
	for name, value := range r.Config.AsValueMap() {
		if name != block && !value.RawEquals(other.Config.GetAttr(name)) {
			return false
		}
	}
	return true
}

// Address is "ssh.rack", or "local".
func (r *Runner) Address() string {
	if r.Name == "" {
		return r.Type
	}
	return r.Type + "." + r.Name
}

// Known is what has been learned of a service.
type Known struct {
	Address, PrivateAddress, PublicAddress, InstanceID, WorkDir string
	// Exports by name, of the declared types. nil: the boot program has not ended.
	Exports map[string]cty.Value
}

// Learn records what is known of s, replacing what was known before. References to s see it from then on.
func (t *Tree) Learn(s *Service, known Known) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.known = &known
	for name, value := range known.Exports {
		if export := s.group.block.export(name); export != nil && export.sensitive {
			t.secrets.addGiven(value.Mark(sensitiveMark))
		}
	}
	s.group.cell.changed()
}
