package plan

import (
	"maps"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// A scope is a module in use: the root of a tree, one of its sub-plans, or, with
// nothing known of variables and services, what Load checks the module in.
// Everything in it is guarded by mu.
type scope struct {
	loader    *loader
	module    *module
	tree      *Tree // nil: while Load checks
	mu        *sync.Mutex
	prefix    string // of its levels' names: "dispatch."
	functions map[string]function.Function
	bare      *hcl.EvalContext // for expressions that refer to nothing

	parent *scope      // of a sub-plan
	level  *levelBlock // that it is there

	variables map[*variableBlock]*cell
	locals    map[*localValue]*cell
	groups    map[*serviceBlock]*group
	subPlans  map[*levelBlock]*subPlan
	runners   map[*runnerBlock]*Runner
}

// A subPlan is a level that is a plan. Its cell holds the outputs.
type subPlan struct {
	scope *scope // nil: not laid out, or disabled
	laid  bool
	cell  cell
}

func newScope(l *loader, m *module, tree *Tree, mu *sync.Mutex) *scope {
	s := &scope{
		loader: l, module: m, tree: tree, mu: mu,
		variables: map[*variableBlock]*cell{},
		locals:    map[*localValue]*cell{},
		groups:    map[*serviceBlock]*group{},
		subPlans:  map[*levelBlock]*subPlan{},
		runners:   map[*runnerBlock]*Runner{},
	}
	s.functions = maps.Clone(l.functions)
	maps.Copy(s.functions, l.fileFunctions(m.files))
	s.bare = &hcl.EvalContext{Functions: s.functions}
	for _, v := range m.variableList {
		s.variables[v] = &cell{}
	}
	for _, local := range m.localList {
		s.locals[local] = &cell{}
	}
	for _, level := range m.levelList {
		if level.planExpr != nil {
			s.subPlans[level] = &subPlan{}
		}
		for _, block := range level.services {
			s.groups[block] = &group{scope: s, block: block}
		}
	}
	return s
}

// selfScope says how much of itself a service knows where an expression stands.
type selfScope uint8

const (
	noSelf         selfScope = iota
	selfFacts                // its host
	selfAttributes           // and the declared attributes
	selfAll                  // and the exports
)

// An instance is for what an expression is evaluated: count.index, each and self.
// The zero instance is none.
type instance struct {
	block   *serviceBlock
	service *Service // nil while Load checks
	self    selfScope
	hosts   bool // service.NAME is the service's host, as `on` wants it
}

// context gathers what an expression refers to. The diagnostics are those of values
// that could not be worked out; unknown values stand for them. mu is held.
func (s *scope) context(x *expression, in instance, reader *cell) (*hcl.EvalContext, hcl.Diagnostics) {
	if len(x.refs) == 0 && !x.loops {
		return s.bare, nil
	}
	var diags hcl.Diagnostics
	roots := map[string]map[string]cty.Value{}
	set := func(root, name string, value cty.Value) {
		if roots[root] == nil {
			roots[root] = map[string]cty.Value{}
		}
		roots[root][name] = value
	}
	size := 0
	told := map[*hcl.Diagnostic]bool{} // mistakes have many ways to here, each as many as those before it together
	for _, ref := range x.refs {
		_, again := roots[ref.root][ref.name]
		if again && ref.root != "var" && ref.root != "local" {
			continue
		}
		value, itsSize, moreDiags := s.resolve(ref, in, reader)
		size += itsSize
		if again {
			continue
		}
		for _, diag := range moreDiags {
			if !told[diag] {
				told[diag] = true
				diags = append(diags, diag)
			}
		}
		set(ref.root, ref.name, value)
	}
	if size > maxReferred {
		diags = append(diags, failure(x.Range(), "Value too large",
			"What this expression refers to has more than %d MiB together.", maxReferred>>20))
		return nil, diags
	}
	ctx := &hcl.EvalContext{Functions: s.functions, Variables: make(map[string]cty.Value, len(roots)+2)}
	for root, values := range roots {
		if root == "runner" {
			ctx.Variables[root] = runnerObject(values)
			continue
		}
		ctx.Variables[root] = cty.ObjectVal(values)
	}
	if len(x.parts) > 0 && !in.hosts {
		ctx.Variables[sharedName] = s.sharedParts(x, in, reader)
	}
	if x.loops {
		ctx.Variables[meterName] = newMeter().value()
	}
	return ctx, diags
}

// resolve gives the value of what a reference names, without the steps after the name.
func (s *scope) resolve(ref *reference, in instance, reader *cell) (cty.Value, int, hcl.Diagnostics) {
	switch ref.root {
	case "var":
		v := s.module.variables[ref.name]
		value, diags := s.variable(v, reader)
		return value, s.variables[v].texts, diags
	case "local":
		local := s.module.locals[ref.name]
		value, diags := s.local(local, reader)
		return value, s.locals[local].texts, diags
	case "service":
		g := s.groups[s.module.services[ref.name]]
		if in.hosts {
			return g.hosts(), 0, nil
		}
		return g.value(reader), 0, nil
	case "level":
		value, diags := s.outputsOf(s.module.levels[ref.name], reader)
		return value, 0, diags
	case "run":
		return s.runFact(ref.name), 0, nil
	case "path":
		if ref.name == "root" {
			return s.rootPath(), 0, nil
		}
		return cty.StringVal(s.module.dir), 0, nil
	case "runner":
		return cty.CapsuleVal(runnerCapsuleType, s.module.runners[ref.name]), 0, nil
	case "count", "each":
		return s.groups[in.block].instanceValue(ref.root, ref.name, in.service), 0, nil
	case "self":
		value, ok := s.groups[in.block].member(in.service, in.self, reader, ref.name)
		if !ok {
			value = cty.DynamicVal
		}
		return value, 0, nil
	}
	return cty.DynamicVal, 0, nil
}

func (s *scope) runFact(name string) cty.Value {
	switch {
	case s.tree == nil:
		return unknownString()
	case name == "id":
		return cty.StringVal(s.tree.in.RunID)
	default:
		return cty.StringVal(s.tree.in.RunName)
	}
}

// rootPath is not known while Load checks: a plan that is a level of several has several roots.
func (s *scope) rootPath() cty.Value {
	if s.tree == nil {
		return unknownString()
	}
	return cty.StringVal(s.tree.plan.Dir)
}

func unknownString() cty.Value {
	return cty.UnknownVal(cty.String).RefineNotNull()
}

// local is the value of a local. mu is held.
func (s *scope) local(local *localValue, reader *cell) (cty.Value, hcl.Diagnostics) {
	c := s.locals[local]
	return c.read(reader, func() (cty.Value, hcl.Diagnostics) {
		value, diags := s.evaluate(local.value, instance{}, c)
		c.weigh(value)
		return value, diags
	})
}

// evaluate works out an expression for a cell. mu is held.
func (s *scope) evaluate(x *expression, in instance, reader *cell) (cty.Value, hcl.Diagnostics) {
	value, ctx, diags := s.workOut(x, in, reader)
	if !diags.HasErrors() {
		s.keepSecrets(ctx, value)
	}
	return value, diags
}

// workOut evaluates without keeping the secrets that come of it: those of a part of an expression may be none of the whole.
func (s *scope) workOut(x *expression, in instance, reader *cell) (cty.Value, *hcl.EvalContext, hcl.Diagnostics) {
	if x.broken {
		return cty.DynamicVal, nil, nil
	}
	ctx, diags := s.context(x, in, reader)
	if diags.HasErrors() {
		return cty.DynamicVal, nil, diags
	}
	value, diags := x.Value(ctx)
	if diags.HasErrors() {
		return cty.DynamicVal, nil, s.explainLocked(x, in, diags)
	}
	if err := checkSize(value); err != nil {
		return cty.DynamicVal, nil, append(diags, failure(x.Range(), "Value too large", "This value %v.", err))
	}
	return value, ctx, diags
}

// outputsOf is the value of level.NAME: an object of the sub-plan's outputs, or null where the level is left out.
func (s *scope) outputsOf(level *levelBlock, reader *cell) (cty.Value, hcl.Diagnostics) {
	sub := s.subPlans[level]
	return sub.cell.read(reader, func() (cty.Value, hcl.Diagnostics) {
		if sub.laid && sub.scope == nil {
			return cty.NullVal(cty.DynamicPseudoType), nil
		}
		inner := sub.scope
		if inner == nil {
			inner = s.loader.static[level.module]
		}
		if inner == nil {
			return cty.DynamicVal, nil // its plan could not be read, which was reported
		}
		if inner.mu != s.mu {
			inner.mu.Lock()
			defer inner.mu.Unlock()
		}
		return inner.outputObject(level, s.tree == nil, &sub.cell)
	})
}

func (s *scope) outputObject(level *levelBlock, static bool, reader *cell) (cty.Value, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	values := map[string]cty.Value{}
	for _, o := range s.module.outputList {
		value, moreDiags := s.output(o, reader)
		diags = append(diags, moreDiags...)
		values[o.name] = value
	}
	object := cty.ObjectVal(values)
	if static && level.enabled != nil {
		return cty.UnknownVal(object.Type()), nil // it may be null
	}
	return object, diags
}

func (s *scope) output(o *outputBlock, reader *cell) (cty.Value, hcl.Diagnostics) {
	if o.value == nil {
		return cty.DynamicVal, nil
	}
	value, diags := s.evaluate(o.value, instance{}, reader)
	if o.sensitive {
		value = value.Mark(sensitiveMark)
		if s.tree != nil {
			s.tree.secrets.add(value)
		}
	}
	return value, diags
}

// runnerObject nests "ssh.rack" values as runner.ssh.rack.
func runnerObject(byName map[string]cty.Value) cty.Value {
	types := map[string]map[string]cty.Value{}
	for name, value := range byName {
		kind, own, _ := strings.Cut(name, ".")
		if types[kind] == nil {
			types[kind] = map[string]cty.Value{}
		}
		types[kind][own] = value
	}
	object := map[string]cty.Value{}
	for kind, names := range types {
		object[kind] = cty.ObjectVal(names)
	}
	return cty.ObjectVal(object)
}
