package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

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
		c.instances(x)
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
		if b == nil || b.count != nil || b.forEach != nil || b.enabled != nil || b.level.enabled != nil {
			return false
		}
		name := ref.member(b)
		return name != "" && attribute(b, name)
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
	case !b.hasMember(ref.name):
		c.fail(ref.rng(), "Reference to an undeclared attribute", "Service %q has neither an attribute nor an export %q.%s", b.name, shorten(ref.name), suggest(ref.name, b.members()))
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
	if at.what == "on" && ref.member(b) != "" {
		c.fail(stepRange(ref.rest[len(ref.rest)-1]), "Service expected", "\"on\" takes a service as a whole, not one of its attributes: on = service.%s.", b.name)
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
	name := stepName(rest, 0)
	switch {
	case b.count != nil && !indexed:
		c.fail(ref.rng(), "Service with several instances", "service.%s is a list, because it has \"count\". Pick one of them, service.%s[0].%s, or all of them, service.%s[*].%s.", b.name, b.name, name, b.name, name)
		return false
	case b.forEach != nil && !indexed && len(rest) == 1 && b.hasMember(name):
		c.fail(ref.rng(), "Service with several instances", "service.%s is a map, because it has \"for_each\". Pick one of them, service.%s[\"KEY\"].%s, or all of them, [for s in service.%s : s.%s].", b.name, b.name, name, b.name, name)
		return false
	case b.count == nil && b.forEach == nil && indexed:
		if key := rest[0].(hcl.TraverseIndex).Key; isPlainString(key) && b.hasMember(key.AsString()) {
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
	if !isAttr || b.hasMember(step.Name) {
		return true
	}
	c.undeclaredMember(step, b)
	return false
}

func (c *checker) undeclaredMember(step hcl.TraverseAttr, b *serviceBlock) {
	c.fail(stepRange(step), "Reference to an undeclared attribute", "Service %q declares neither an attribute nor an export %q.%s", b.name, shorten(step.Name), suggest(step.Name, b.members()))
}

// stepRange is where a step of a traversal stands, without the dot before it.
func stepRange(step hcl.Traverser) hcl.Range {
	r := step.SourceRange()
	if _, isAttr := step.(hcl.TraverseAttr); isAttr && r.End.Byte-r.Start.Byte > 1 {
		r.Start.Byte++
		r.Start.Column++
	}
	return r
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
		if level.module != nil && !c.outputUse(ref, level) {
			return
		}
		c.use(serviceUse{ref: ref, level: level}, at)
	}
}

// outputUse checks which outputs of a level a reference asks for, and notes that they are.
func (c *checker) outputUse(ref *reference, level *levelBlock) bool {
	name := ref.output()
	if o := level.module.outputs[name]; o != nil {
		level.outputsUsed[o] = true
		return true
	}
	if name != "" {
		c.fail(stepRange(ref.rest[0]), "Reference to an undeclared output", "The plan of level %q has no output %q.%s", level.name, shorten(name), suggest(name, keys(level.module.outputs)))
		return false
	}
	for _, o := range level.module.outputList {
		level.outputsUsed[o] = true
	}
	return true
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
