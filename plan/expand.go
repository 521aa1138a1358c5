package plan

import (
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// Expand gives the plan its variables and lays out its levels and services: count,
// for_each and enabled are decided here and for good, sub-plans are unrolled.
func (p *Plan) Expand(in Inputs) (*Tree, hcl.Diagnostics) {
	t := &Tree{plan: p, in: in}
	t.root = newScope(p.loader, p.root, t, &t.mu)
	diags := t.root.give(in.Variables)
	if diags.HasErrors() {
		return nil, tidy(diags)
	}
	x := &expansion{tree: t, local: &Runner{Type: "local", kind: p.loader.types["local"], Config: emptyConfig(p.loader.types["local"])}}
	x.scope(t.root, nil)
	diags = append(diags, x.diags...)
	if diags.HasErrors() {
		return nil, tidy(diags)
	}
	for _, s := range x.scopes {
		diags = append(diags, s.checkLaidOut()...)
	}
	diags = tidy(diags)
	if diags.HasErrors() {
		return nil, diags
	}
	return t, diags
}

// An expansion is Expand under way.
type expansion struct {
	tree    *Tree
	local   *Runner
	scopes  []*scope
	crowded bool // there are too many of them, which was told
	diags   hcl.Diagnostics
}

func (x *expansion) fail(at hcl.Range, summary, format string, args ...any) {
	x.diags = append(x.diags, failure(at, summary, format, args...))
}

// scope lays out the levels of a scope. All of them wait for those in first. It
// returns the levels that nothing in the scope comes after.
func (x *expansion) scope(s *scope, first []*Level) []*Level {
	x.scopes = append(x.scopes, s)
	laid := map[*levelBlock][]*Level{} // what to wait for: the level itself, or, where it is left out, what it waits for
	waited := map[*Level]bool{}
	var own []*Level
	for _, block := range s.module.levelList {
		after := waitsFor(block, laid, first)
		level := x.level(s, block, after)
		if level == nil {
			laid[block] = after
			continue
		}
		for _, earlier := range level.After {
			waited[earlier] = true
		}
		laid[block] = []*Level{level}
		own = append(own, level)
	}
	return without(own, waited)
}

// level lays out one level, which is nil where it is left out.
func (x *expansion) level(s *scope, block *levelBlock, after []*Level) *Level {
	if !x.enabled(s, block.enabled, instance{}) {
		for _, service := range block.services {
			g := s.groups[service]
			g.laid, g.disabled = true, true
			s.change(&g.cell)
		}
		if sub := s.subPlans[block]; sub != nil {
			sub.laid = true
			s.change(&sub.cell)
		}
		return nil
	}
	level := &Level{Name: s.prefix + block.name, After: after, Range: block.rng, Group: block.planExpr != nil}
	e := &evaluation{scope: s}
	level.Parallelism = e.whole(block.parallelism, "parallelism", 1, MaxServices, 0)
	x.diags = append(x.diags, e.diags...)
	if level.Group {
		x.subPlan(s, block, level)
	}
	for _, service := range block.services {
		x.service(s, service, level)
	}
	x.tree.Levels = append(x.tree.Levels, level)
	x.tree.Services = append(x.tree.Services, level.Services...)
	return level
}

func (x *expansion) subPlan(s *scope, block *levelBlock, level *Level) {
	if len(x.scopes) > maxPlans {
		if !x.crowded {
			x.crowded = true
			x.fail(block.rng, "Too many plans", "With level %q more than %d levels of this plan, and of the plans in it, are plans.", level.Name, maxPlans)
		}
		return
	}
	inner := newScope(s.loader, block.module, x.tree, s.mu)
	inner.parent, inner.level = s, block
	inner.prefix = s.prefix + block.name + "."
	sub := s.subPlans[block]
	sub.laid, sub.scope = true, inner
	s.change(&sub.cell)
	if last := x.scope(inner, level.After); len(last) > 0 {
		level.After = last
	}
	s.change(&sub.cell)
}

// change tells that the value in a cell is another one now.
func (s *scope) change(c *cell) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.changed()
}

// decide evaluates what the layout depends on. It must be known ahead, and no secret.
func (x *expansion) decide(s *scope, e *expression, in instance, ty cty.Type, what string) (cty.Value, bool) {
	ev := &evaluation{scope: s, in: in}
	value, ok := ev.shape(e, ty, what)
	x.diags = append(x.diags, ev.diags...)
	return value, ok
}

// enabled says whether a level or service is there. One whose mistake was reported counts as there.
func (x *expansion) enabled(s *scope, e *expression, in instance) bool {
	if e == nil {
		return true
	}
	value, ok := x.decide(s, e, in, cty.Bool, "enabled")
	return !ok || value.True()
}

func (x *expansion) service(s *scope, b *serviceBlock, level *Level) {
	g := s.groups[b]
	if !x.enabled(s, b.enabled, instance{block: b}) {
		g.laid, g.disabled = true, true
		s.change(&g.cell)
		return
	}
	keys, ok := x.instances(s, g)
	if !ok {
		return
	}
	if len(x.tree.Services)+len(level.Services)+len(keys) > MaxServices {
		x.fail(b.rng, "Too many services", "With service %q the plan has more than %d services.", b.name, MaxServices)
		return
	}
	g.services = make([]*Service, len(keys))
	all := make([]Service, len(keys)) // one allocation for all instances
	base := level.Name + "." + b.name
	for i, key := range keys {
		service := &all[i]
		*service = Service{
			Address: base, Name: b.name, Index: key, Level: level, Range: b.rng,
			HasBoot: b.boot != nil, HasProcess: b.process != nil, HasTerminate: b.terminate != nil, HasChecks: len(b.ready) > 0, HasGone: len(b.gone) > 0,
			group: g, instance: i,
		}
		if b.count != nil || b.forEach != nil {
			service.Address = base + "[" + key + "]"
		}
		g.services[i] = service
	}
	for _, service := range g.services {
		if before := len(x.diags); !x.place(s, b, service) || len(x.diags) > before {
			break // the others have the same mistake
		}
	}
	level.Services = append(level.Services, g.services...)
	g.laid = true
	s.change(&g.cell)
}

// instances gives the index of each instance of a service.
func (x *expansion) instances(s *scope, g *group) ([]string, bool) {
	e := &evaluation{scope: s}
	defer func() { x.diags = append(x.diags, e.diags...) }()
	switch b := g.block; {
	case b.count != nil:
		n, ok := e.count(b.count)
		keys := make([]string, n)
		for i := range keys {
			keys[i] = strconv.Itoa(i)
		}
		return keys, ok
	case b.forEach != nil:
		keys, elements, ok := e.eachKeys(b.forEach)
		g.values = elements
		return keys, ok
	default:
		return []string{""}, true
	}
}

// checkLaidOut evaluates all of a scope once more, now that its variables are known.
func (s *scope) checkLaidOut() hcl.Diagnostics {
	diags := s.checkValues()
	for _, level := range s.module.levelList {
		for _, b := range level.services {
			again := withVariables
			for _, service := range s.groups[b].services {
				found := s.checkService(b, service, again)
				again = anotherInstance
				diags = append(diags, found...)
				if found.HasErrors() || !b.perInstance {
					break // the other instances have the same mistake, or none
				}
			}
		}
	}
	return diags
}
