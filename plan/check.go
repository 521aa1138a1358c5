package plan

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// check checks a module whose sub-plans were checked before: that references
// meet what is declared, that levels can be put in order, and, with unknown
// values for what is not known yet, that every expression has a value of the
// type that is needed.
func (l *loader) check(m *module) hcl.Diagnostics {
	c := &checker{loader: l, module: m}
	c.locals()
	c.levels()
	c.references()
	c.order()
	m.static = newScope(l, m, nil, &sync.Mutex{})
	c.diags = append(c.diags, m.static.checkValues()...)
	for _, level := range m.levelList {
		c.diags = append(c.diags, m.static.checkLevel(level)...)
	}
	if !c.diags.HasErrors() {
		c.unused()
	}
	return c.diags
}

type checker struct {
	loader *loader
	module *module
	diags  hcl.Diagnostics
}

func (c *checker) fail(at hcl.Range, summary, format string, args ...any) {
	c.diags = append(c.diags, failure(at, summary, format, args...))
}

type visitState uint8

const (
	unvisited visitState = iota
	visiting
	visited
)

// locals checks the references in locals, refuses circles and puts each local after those it refers to.
func (c *checker) locals() {
	declared := c.module.localList
	for _, local := range declared {
		c.expression(local.value, position{what: "a local", services: true})
	}
	c.module.localList = make([]*localValue, 0, len(declared))
	for _, local := range declared {
		c.visitLocal(local, nil)
	}
}

func (c *checker) visitLocal(local *localValue, path []*localValue) {
	if local.state == visited {
		return
	}
	if len(path) > maxLocalDepth {
		c.fail(local.rng, "Locals nested too deep", "Locals may refer to each other to a depth of %d.", maxLocalDepth)
		local.value.broken = true
		return
	}
	local.state = visiting
	for _, ref := range local.value.refs {
		switch ref.root {
		case "local":
			other := c.module.locals[ref.name]
			if other == nil {
				continue
			}
			if other.state == visiting {
				c.localCircle(ref, append(path, local), other)
				local.value.broken = true
				continue
			}
			c.visitLocal(other, append(path, local))
			for _, use := range other.services {
				local.services = addUse(local.services, serviceUse{ref: ref, level: use.level, via: other})
			}
		default:
			if level := c.levelOf(ref); level != nil {
				local.services = addUse(local.services, serviceUse{ref: ref, level: level})
			}
		}
	}
	local.state = visited
	c.module.localList = append(c.module.localList, local)
}

func addUse(uses []serviceUse, use serviceUse) []serviceUse {
	for _, known := range uses {
		if known.level == use.level {
			return uses
		}
	}
	return append(uses, use)
}

func (c *checker) localCircle(ref *reference, path []*localValue, end *localValue) {
	var names []string
	for _, local := range path[slices.Index(path, end):] {
		names = append(names, "local."+local.name)
	}
	names = append(names, "local."+end.name)
	c.fail(ref.rng(), "Circle of locals", "A local cannot depend on itself: %s.", strings.Join(names, " → "))
}

// levelOf is the level whose service or outputs a reference asks for.
func (c *checker) levelOf(ref *reference) *levelBlock {
	switch ref.root {
	case "service":
		if b := c.module.services[ref.name]; b != nil {
			return b.level
		}
	case "level":
		if level := c.module.levels[ref.name]; level != nil && level.planExpr != nil {
			return level
		}
	}
	return nil
}

// A position is where an expression stands, which decides what it may refer to.
type position struct {
	what     string // "count", "the boot block", for messages
	block    *serviceBlock
	level    *levelBlock
	self     selfScope
	services bool // services and levels may be referred to
	instance bool // count and each too
	runners  bool // and nothing but runners
}

// references checks every expression outside of locals, and notes which levels refer to which.
func (c *checker) references() {
	m := c.module
	for _, v := range m.variableList {
		for _, check := range v.validations {
			c.expression(check.condition, position{what: "a validation"})
			c.expression(check.message, position{what: "a validation"})
		}
	}
	for _, r := range m.runnerList {
		for _, b := range append([]*runnerBlock{r}, values(r.blocks)...) {
			for _, x := range b.attributes {
				c.expression(x, position{what: "a runner"})
			}
		}
	}
	for _, level := range m.levelList {
		c.expression(level.parallelism, position{what: "parallelism"})
		c.expression(level.enabled, position{what: "enabled", level: level, services: true})
		for _, name := range keys(level.inputs) {
			c.expression(level.inputs[name].value, position{what: "inputs", level: level, services: true})
		}
		for _, b := range level.services {
			c.service(b)
		}
	}
	for _, o := range m.outputList {
		c.expression(o.value, position{what: "an output", services: true})
	}
}

func (c *checker) service(b *serviceBlock) {
	for _, site := range b.sites() {
		c.expression(site.x, position{
			what: site.what, block: b, level: b.level, self: site.self, services: true,
			instance: site.instance, runners: site.what == "runner",
		})
		b.perInstance = b.perInstance || site.x.perInstance
	}
}

// A site is an expression of a service, and what it may refer to from where it stands.
type site struct {
	what     string
	self     selfScope
	instance bool
	x        *expression
}

// sites lists every expression of a service.
func (b *serviceBlock) sites() []site {
	var sites []site
	add := func(what string, self selfScope, instance bool, xs ...*expression) {
		for _, x := range xs {
			if x != nil {
				sites = append(sites, site{what, self, instance, x})
			}
		}
	}
	add("count", noSelf, false, b.count)
	add("for_each", noSelf, false, b.forEach)
	add("enabled", noSelf, false, b.enabled)
	add("on", noSelf, true, b.on)
	add("host", noSelf, true, b.host)
	add("runner", noSelf, true, b.runner)
	for _, a := range b.attributes {
		add("attributes", selfFacts, true, a.value)
	}
	for _, f := range b.files {
		add("a file block", selfAttributes, true, f.content, f.source, f.mode)
	}
	for _, p := range []*programBlock{b.boot, b.process} {
		if p != nil {
			add("the "+p.kind+" block", selfAttributes, true, p.expressions()...)
		}
	}
	if b.terminate != nil {
		add("the terminate block", selfAll, true, b.terminate.expressions()...)
	}
	for _, p := range append(slices.Clone(b.ready), b.gone...) {
		add("a "+p.kind+" block", selfAll, true, p.expressions()...)
	}
	return sites
}

func (p *programBlock) expressions() []*expression {
	return []*expression{p.program, p.args, p.command, p.script, p.env, p.dir, p.user, p.timeout, p.retries, p.retryDelay, p.stopSignal, p.stopTimeout}
}

func (p *probeBlock) expressions() []*expression {
	xs := []*expression{p.tcp, p.log, p.timeout, p.interval, p.attempts, p.from}
	if p.http != nil {
		xs = append(xs, p.http.url, p.http.status, p.http.body)
	}
	if p.program != nil {
		xs = append(xs, p.program.expressions()...)
	}
	return xs
}

// expression checks what x refers to from where it stands.
func (c *checker) expression(x *expression, at position) {
	if x == nil {
		return
	}
	for _, ref := range x.refs {
		before := len(c.diags)
		c.reference(ref, at)
		x.broken = x.broken || len(c.diags) > before
	}
	x.settled = !slices.ContainsFunc(x.refs, func(ref *reference) bool { return !c.settled(ref, at) })
	if at.services && !x.broken {
		before := len(c.diags)
		c.splats(x)
		x.broken = len(c.diags) > before
	}
}

// settled says that a reference has the same value, or lack of one, when the plan is laid out.
func (c *checker) settled(ref *reference, at position) bool {
	attribute := func(b *serviceBlock, name string) bool {
		a := b.attribute(name)
		return a == nil || a.value.settled
	}
	switch ref.root {
	case "path":
		return ref.name == "plan"
	case "local":
		local := c.module.locals[ref.name]
		return local != nil && local.value.settled
	case "self":
		return at.block != nil && attribute(at.block, ref.name)
	case "service":
		b := c.module.services[ref.name]
		name, _ := ref.attribute()
		return b != nil && name != "" && b.count == nil && b.forEach == nil && b.enabled == nil && b.level.enabled == nil && attribute(b, name)
	}
	return false
}

func (c *checker) reference(ref *reference, at position) {
	m := c.module
	if at.runners && ref.root == "runner" {
		switch {
		case ref.name == "" || !strings.Contains(ref.name, "."):
			c.fail(ref.rng(), "Incomplete reference", "A runner is named by its type and its name: runner.TYPE.NAME.")
		case m.runners[ref.name] == nil:
			c.fail(ref.rng(), "Reference to an undeclared runner", "There is no runner %q in this plan.%s", shorten(ref.name), suggest(ref.name, keys(m.runners)))
		}
		return
	}
	if known := []string{"var", "local", "run", "path", "count", "each", "self", "service", "level"}; !slices.Contains(known, ref.root) {
		if ref.root == "runner" {
			c.fail(ref.rng(), "Runner out of place", "Runners are referred to by the \"runner\" of a service only.")
			return
		}
		c.fail(ref.rng(), "Unknown reference", "There is nothing named %q. A reference begins with var, local, service, level, self, count, each, run or path; a text stands in quotes.%s",
			shorten(ref.root), suggest(ref.root, known))
		return
	}
	if ref.name == "" {
		c.fail(ref.rng(), "Incomplete reference", "%q needs the name of what it refers to: %s.NAME.", ref.root, ref.root)
		return
	}
	switch ref.root {
	case "var":
		v := m.variables[ref.name]
		if v == nil {
			c.undeclared(ref, "variable", keys(m.variables))
			return
		}
		v.used = true
	case "local":
		local := m.locals[ref.name]
		if local == nil {
			c.undeclared(ref, "local", keys(m.locals))
			return
		}
		local.used = true
		c.localUse(ref, local, at)
	case "run":
		c.oneOf(ref, "run", "name", "id")
	case "path":
		c.oneOf(ref, "path", "plan", "root")
	case "count", "each":
		c.instanceReference(ref, at)
	case "self":
		c.selfReference(ref, at)
	case "service":
		c.serviceReference(ref, at)
	case "level":
		c.levelReference(ref, at)
	}
}

func (c *checker) undeclared(ref *reference, what string, declared []string) {
	c.fail(ref.rng(), "Reference to an undeclared "+what, "There is no %s %q in this plan.%s", what, shorten(ref.name), suggest(ref.name, declared))
}

func (c *checker) oneOf(ref *reference, root string, names ...string) {
	if !slices.Contains(names, ref.name) {
		c.fail(ref.rng(), "Unknown reference", "There is no %s.%s, only %s.%s.", root, shorten(ref.name), root, strings.Join(names, " and "+root+"."))
	}
}

func (c *checker) instanceReference(ref *reference, at position) {
	want, names := "count", []string{"index"}
	if ref.root == "each" {
		want, names = "for_each", []string{"key", "value"}
	}
	switch {
	case !at.instance || at.block == nil:
		c.fail(ref.rng(), "Reference out of place", "%q is known only within a service that has %q, and not in %s.", ref.root, want, at.what)
	case ref.root == "count" && at.block.count == nil, ref.root == "each" && at.block.forEach == nil:
		c.fail(ref.rng(), "Reference out of place", "%q is known only in a service that has %q, and service %q has none.", ref.root, want, at.block.name)
	default:
		c.oneOf(ref, ref.root, names...)
	}
}

func (c *checker) selfReference(ref *reference, at position) {
	if at.block == nil || at.self == noSelf {
		c.fail(ref.rng(), "Reference out of place", "\"self\" is the service that an expression belongs to; %s is evaluated before there is one.", at.what)
		return
	}
	b := at.block
	switch {
	case !b.members[ref.name]:
		c.fail(ref.rng(), "Reference to an undeclared attribute", "Service %q has neither an attribute nor an export %q.%s", b.name, shorten(ref.name), suggest(ref.name, keys(b.members)))
	case b.export(ref.name) != nil && at.self < selfAll:
		c.fail(ref.rng(), "Export used before it is known", "self.%s is what the boot program of service %q leaves, so it is known only in ready, terminate and gone, not in %s.", ref.name, b.name, at.what)
	case b.attribute(ref.name) != nil && at.self < selfAttributes:
		c.fail(ref.rng(), "Attribute that depends on another one", "Attributes of a service cannot refer to each other (self.%s). Put what they share into a local.", ref.name)
	}
}

func (c *checker) serviceReference(ref *reference, at position) {
	if !at.services {
		c.fail(ref.rng(), "Reference out of place", "Services are not known yet where %s is evaluated: only var, local, run and path are.", at.what)
		return
	}
	b := c.module.services[ref.name]
	if b == nil {
		names := keys(c.module.services)
		hint := suggest(ref.name, names)
		if level := c.module.levels[ref.name]; hint == "" && level != nil {
			hint = fmt.Sprintf(" %q is a level; its services are referred to by their own names.", ref.name)
		}
		c.fail(ref.rng(), "Reference to an undeclared service", "There is no service %q in this plan.%s", shorten(ref.name), hint)
		return
	}
	if name, rng := ref.attribute(); at.what == "on" && name != "" && b.forEach == nil {
		c.fail(trimDot(rng), "Service expected", "\"on\" takes a service as a whole, not one of its attributes: on = service.%s.", b.name)
		return
	}
	if c.memberSteps(ref, b) {
		c.use(serviceUse{ref: ref, level: b.level}, at)
	}
}

// memberSteps checks what comes after service.NAME.
func (c *checker) memberSteps(ref *reference, b *serviceBlock) bool {
	rest := ref.rest
	if len(rest) == 0 {
		return true
	}
	_, indexed := rest[0].(hcl.TraverseIndex)
	name, at := ref.attribute()
	switch {
	case b.count != nil && !indexed:
		c.fail(ref.rng(), "Service with several instances", "service.%s is a list, because it has \"count\". Pick one of them, service.%s[0].%s, or all of them, service.%s[*].%s.", b.name, b.name, name, b.name, name)
		return false
	case b.forEach != nil && !indexed && len(rest) == 1 && b.members[name]:
		c.fail(ref.rng(), "Service with several instances", "service.%s is a map, because it has \"for_each\". Pick one of them, service.%s[\"KEY\"].%s, or all of them, [for s in service.%s : s.%s].", b.name, b.name, name, b.name, name)
		return false
	case b.count == nil && b.forEach == nil && indexed:
		if key := rest[0].(hcl.TraverseIndex).Key; isPlainString(key) && b.members[key.AsString()] {
			return true
		}
		c.fail(ref.rng(), "Service with one instance", "service.%s has neither \"count\" nor \"for_each\", so it takes no index.", b.name)
		return false
	case b.forEach != nil && !indexed:
		rest = rest[1:] // service.NAME.KEY
		if len(rest) == 0 {
			return true
		}
	}
	if indexed {
		rest = rest[1:]
	}
	if len(rest) == 0 {
		return true
	}
	step, isAttr := rest[0].(hcl.TraverseAttr)
	if !isAttr || b.members[step.Name] {
		return true
	}
	_ = at
	c.undeclaredMember(step.SrcRange, b, step.Name)
	return false
}

func (c *checker) undeclaredMember(at hcl.Range, b *serviceBlock, name string) {
	c.fail(trimDot(at), "Reference to an undeclared attribute", "Service %q declares neither an attribute nor an export %q.%s", b.name, shorten(name), suggest(name, keys(b.members)))
}

// trimDot leaves out the dot that the range of a traversal step begins with.
func trimDot(r hcl.Range) hcl.Range {
	if r.End.Byte-r.Start.Byte > 1 {
		r.Start.Byte++
		r.Start.Column++
	}
	return r
}

// splats checks service.NAME[*].attribute, whose attribute is no part of the reference.
func (c *checker) splats(x *expression) {
	node, ok := x.Expression.(hclsyntax.Expression)
	if !ok {
		return
	}
	hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		splat, ok := n.(*hclsyntax.SplatExpr)
		if !ok {
			return nil
		}
		source, ok := splat.Source.(*hclsyntax.ScopeTraversalExpr)
		if !ok || source.Traversal.RootName() != "service" || len(source.Traversal) != 2 {
			return nil
		}
		b := c.module.services[newReference(source.Traversal).name]
		each, ok := splat.Each.(*hclsyntax.RelativeTraversalExpr)
		if b == nil || !ok || len(each.Traversal) == 0 {
			return nil
		}
		if b.forEach != nil {
			c.fail(splat.Range(), "Splat of a map", "service.%s is a map, because it has \"for_each\", and [*] works on lists. Write [for s in service.%s : s.ATTRIBUTE].", b.name, b.name)
			return nil
		}
		if step, ok := each.Traversal[0].(hcl.TraverseAttr); ok && !b.members[step.Name] {
			c.undeclaredMember(step.SrcRange, b, step.Name)
		}
		return nil
	})
}

func (c *checker) levelReference(ref *reference, at position) {
	level := c.module.levels[ref.name]
	switch {
	case !at.services:
		c.fail(ref.rng(), "Reference out of place", "Levels are not known yet where %s is evaluated: only var, local, run and path are.", at.what)
	case level == nil:
		c.undeclared(ref, "level", keys(c.module.levels))
	case level.planExpr == nil:
		c.fail(ref.rng(), "Level without outputs", "Level %q is not a plan, so it has no outputs. Its services are referred to as service.NAME.", ref.name)
	default:
		if level.module != nil && len(ref.rest) > 0 {
			if step, ok := ref.rest[0].(hcl.TraverseAttr); ok {
				o := level.module.outputs[step.Name]
				if o == nil {
					c.fail(trimDot(step.SrcRange), "Reference to an undeclared output", "The plan of level %q has no output %q.%s", level.name, shorten(step.Name), suggest(step.Name, keys(level.module.outputs)))
					return
				}
				level.outputsUsed[o] = true
			}
		} else if level.module != nil {
			for _, o := range level.module.outputList {
				level.outputsUsed[o] = true
			}
		}
		c.use(serviceUse{ref: ref, level: level}, at)
	}
}

// localUse checks a local that refers to services where it is used.
func (c *checker) localUse(ref *reference, local *localValue, at position) {
	if len(local.services) == 0 {
		return
	}
	if !at.services {
		use := local.services[0]
		c.fail(ref.rng(), "Reference out of place", "local.%s refers to level %q, and services are not known yet where %s is evaluated.", local.name, use.level.name, at.what)
		return
	}
	for _, use := range local.services {
		c.use(serviceUse{ref: ref, level: use.level, via: local}, at)
	}
}

// use notes that the level of a position refers to another one.
func (c *checker) use(use serviceUse, at position) {
	if at.level != nil {
		at.level.uses = append(at.level.uses, use)
	}
}

// checkValues evaluates what does not belong to a level.
func (s *scope) checkValues() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, r := range s.module.runnerList {
		e := &evaluation{scope: s, check: true}
		e.runnerConfig(r)
		diags = append(diags, e.diags...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.module.variableList {
		_, moreDiags := s.variable(v, nil)
		diags = append(diags, moreDiags...)
	}
	for _, local := range s.module.localList {
		s.local(local, nil)
		diags = append(diags, s.locals[local].diags...)
	}
	for _, o := range s.module.outputList {
		value, moreDiags := s.output(o, nil)
		diags = append(diags, moreDiags...)
		if !o.sensitive && value.HasMarkDeep(sensitiveMark) {
			diags = append(diags, failure(o.value.Range(), "Sensitive output in the open",
				"The value of output %q depends on something sensitive. Set sensitive = true on it, so that it is masked where it is shown.", o.name))
		}
	}
	return diags
}

// checkLevel evaluates what makes a level, with nothing known of variables and services.
func (s *scope) checkLevel(level *levelBlock) hcl.Diagnostics {
	e := &evaluation{scope: s, check: true}
	e.whole(level.parallelism, "parallelism", 1, MaxServices, 0)
	e.shapes(level.enabled, cty.Bool, "enabled")
	if level.module != nil {
		e.inputs(level)
	}
	diags := e.diags
	for _, b := range level.services {
		diags = append(diags, s.checkShape(b)...)
		diags = append(diags, s.checkService(b, nil, firstTime)...)
	}
	return diags
}

// shapes checks what decides on the layout.
func (e *evaluation) shapes(x *expression, ty cty.Type, what string) cty.Value {
	value, ok := e.anyValue(x, ty)
	if ok && value.ContainsMarked() {
		e.fail(x.Range(), "Sensitive value in the open", "%q shapes the plan, which everybody may see, so it cannot depend on a sensitive value.", what)
	}
	return value
}

// inputs checks what a level gives its plan.
func (e *evaluation) inputs(level *levelBlock) {
	for _, name := range sortedInputs(level) {
		given := level.inputs[name]
		v := level.module.variables[name]
		if v == nil {
			e.fail(given.rng, "Unknown input", "The plan of level %q has no variable %q.%s", level.name, shorten(name), suggest(name, keys(level.module.variables)))
			continue
		}
		value, ok := e.anyValue(given.value, cty.DynamicPseudoType)
		if !ok {
			continue
		}
		if _, err := v.convert(value); err != nil {
			e.fail(given.value.Range(), "Input of another type", "Variable %q of the plan of level %q is %s: %v.", name, level.name, typeName(v.Type), e.scope.scrubText(err.Error()))
		}
	}
	var missing []string
	for _, v := range level.module.variableList {
		if v.Default == cty.NilVal && level.inputs[v.Name] == nil {
			missing = append(missing, v.Name)
		}
	}
	if len(missing) > 0 && level.inputsRead {
		e.fail(level.planExpr.Range(), "Missing input", "The plan of level %q needs a value for %s. Give it in \"inputs\".", level.name, strings.Join(missing, ", "))
	}
}

func sortedInputs(level *levelBlock) []string {
	names := keys(level.inputs)
	sort.Slice(names, func(i, j int) bool {
		return level.inputs[names[i]].rng.Start.Byte < level.inputs[names[j]].rng.Start.Byte
	})
	return names
}

// checkShape checks how many instances a service has, and where they run.
func (s *scope) checkShape(b *serviceBlock) hcl.Diagnostics {
	e := &evaluation{scope: s, in: instance{block: b}, check: true}
	e.shapes(b.enabled, cty.Bool, "enabled")
	e.whole(b.count, "count", 0, MaxServices, 0)
	each := e.shapes(b.forEach, cty.DynamicPseudoType, "for_each")
	if ty := each.Type(); b.forEach != nil && (ty.IsPrimitiveType() || ty.IsListType() || ty.IsTupleType() || ty.IsSetType() && ty.ElementType() != cty.String && ty.ElementType() != cty.DynamicPseudoType) {
		e.fail(b.forEach.Range(), "Map or set expected", "\"for_each\" takes a map or a set of texts, and this is %s. For a list of texts write toset([...]).", typeName(ty))
	}
	e.shapes(b.runner, cty.DynamicPseudoType, "runner")
	runner, ok := e.anyValue(b.runner, cty.DynamicPseudoType)
	switch {
	case b.on != nil: // its host is the other service's
	case b.runner == nil:
		if diag := hostMistake(s.loader.types["local"], b); diag != nil {
			e.diags = append(e.diags, diag)
		}
	case ok && runner.Type() == runnerCapsule() && runner.IsKnown() && !runner.IsNull():
		if diag := hostMistake(runner.EncapsulatedValue().(*runnerBlock).runnerType, b); diag != nil {
			e.diags = append(e.diags, diag)
		}
	case ok && runner.Type() != runnerCapsule() && runner.Type() != cty.DynamicPseudoType:
		e.fail(b.runner.Range(), "Runner expected", "\"runner\" takes a runner of this plan: runner = runner.TYPE.NAME.")
	}
	e.in.hosts = true
	if on, ok := e.anyValue(b.on, cty.DynamicPseudoType); ok && on.Type() != serviceCapsule() && on.Type() != cty.DynamicPseudoType {
		e.fail(b.on.Range(), "Service expected", "\"on\" takes one service of an earlier level: on = service.NAME, or one of several: on = service.NAME[count.index].")
	}
	return e.diags
}

const maxLocalDepth = 1000
