package plan

import (
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
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
	static := newScope(l, m, nil, &sync.Mutex{})
	l.static[m] = static
	c.diags = append(c.diags, static.checkValues()...)
	for _, level := range m.levelList {
		c.diags = append(c.diags, static.checkLevel(level)...)
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
