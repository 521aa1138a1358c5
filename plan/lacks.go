package plan

import "slices"

// LacksToBringUp names the sensitive variables that were not given to a tree that was laid out Later, and without which
// the service cannot be brought up and verified as it was. See Tree.Missing.
func (s *Service) LacksToBringUp() []string { return s.lacks(s.group.block.bringUpExpressions()) }

// LacksToEnd names those without which the service cannot be ended as the plan says.
func (s *Service) LacksToEnd() []string { return s.lacks(s.group.block.endExpressions()) }

func (s *Service) lacks(xs []*expression) []string {
	w := &lackWalk{seen: map[lackSite]bool{}}
	top := s.group.scope
	top.mu.Lock()
	defer top.mu.Unlock()
	for _, x := range xs {
		w.expression(top, x, instance{block: s.group.block, service: s, self: selfAll})
	}
	return w.names
}

// A lackWalk follows references to unknown values, through locals, inputs, outputs and declared attributes, to the
// variables of the root that make them unknown.
type lackWalk struct {
	names []string
	seen  map[lackSite]bool
}

// A lackSite is an expression where it stands: a plan can be several levels of another one.
type lackSite struct {
	scope *scope
	x     *expression
}

func (w *lackWalk) expression(s *scope, x *expression, in instance) {
	if x == nil || w.seen[lackSite{s, x}] {
		return
	}
	w.seen[lackSite{s, x}] = true
	for _, ref := range x.refs {
		value, _, _ := s.resolve(ref, in, nil)
		if rest, diags := ref.rest.TraverseRel(value); !diags.HasErrors() && len(ref.rest) > 0 {
			value = rest
		}
		if !value.IsWhollyKnown() {
			w.reference(s, ref, in)
		}
	}
}

func (w *lackWalk) reference(s *scope, ref *reference, in instance) {
	switch ref.root {
	case "local":
		w.expression(s, s.module.locals[ref.name].value, instance{})
	case "var":
		if s.level != nil {
			if given := s.level.inputs[ref.name]; given != nil {
				w.expression(s.parent, given.value, instance{})
			}
		} else if !slices.Contains(w.names, ref.name) {
			w.names = append(w.names, ref.name)
		}
	case "level":
		sub := s.subPlans[s.module.levels[ref.name]]
		if sub == nil || sub.scope == nil {
			return
		}
		name, _ := ref.attribute()
		for _, o := range sub.scope.module.outputList {
			if name == "" || o.name == name {
				w.expression(sub.scope, o.value, instance{})
			}
		}
	case "self":
		w.attribute(s, in, ref.name)
	case "service":
		name, _ := ref.attribute()
		g := s.groups[s.module.services[ref.name]]
		if len(g.services) > 0 {
			w.attribute(s, instance{block: g.block, service: g.services[0]}, name)
		}
	}
}

// attribute follows what a declared attribute is made of; an empty name stands for all of them.
func (w *lackWalk) attribute(s *scope, of instance, name string) {
	of.self = selfFacts
	for _, a := range of.block.attributes {
		if name == "" || a.name == name {
			w.expression(s, a.value, of)
		}
	}
}
