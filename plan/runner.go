package plan

import (
	"strings"

	"github.com/zclconf/go-cty/cty"
)

// runner evaluates a runner block, once for each scope.
func (x *expansion) runner(s *scope, b *runnerBlock) *Runner {
	if r := s.runners[b]; r != nil {
		return r
	}
	e := &evaluation{scope: s}
	r := &Runner{Type: b.runnerType.Name, Name: b.name, Range: b.rng, Config: e.runnerConfig(b), pool: b.isPool(), kind: b.runnerType}
	x.diags = append(x.diags, e.diags...)
	s.runners[b] = r
	return r
}

// checkRunner checks the values of a runner block: each one by itself, and what the runner says of all of them. A run
// that exists was checked when it was booted.
func (e *evaluation) checkRunner(b *runnerBlock) {
	config := e.runnerConfig(b)
	later := e.scope.tree != nil && e.scope.tree.in.Later
	if b.runnerType.Check == nil || later || e.failed() || !e.known(b) {
		return
	}
	if err := b.runnerType.Check(config); err != nil {
		e.fail(b.rng, "Invalid runner", "The runner %s.%s cannot be used: %s.", b.runnerType.Name, b.name, e.scope.withoutSecrets(oneLine(err)))
	}
}

// known says whether every value of a runner block is.
func (e *evaluation) known(b *runnerBlock) bool {
	for _, block := range append([]*runnerBlock{b}, values(b.blocks)...) {
		for _, x := range block.attributes {
			if value, ok := e.anyValue(x, cty.DynamicPseudoType); !ok || !value.IsWhollyKnown() {
				return false
			}
		}
	}
	return true
}

// oneLine joins the lines of an error that is made of several.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

func (e *evaluation) runnerConfig(b *runnerBlock) cty.Value {
	values := e.runnerAttributes(b, b.runnerType.Attributes)
	for name, attributes := range b.runnerType.Blocks {
		inner := b.blocks[name]
		if inner == nil {
			values[name] = cty.NullVal(configType(attributes))
			continue
		}
		values[name] = cty.ObjectVal(e.runnerAttributes(inner, attributes))
	}
	return cty.ObjectVal(values)
}

func (e *evaluation) runnerAttributes(b *runnerBlock, attributes map[string]RunnerAttribute) map[string]cty.Value {
	values := map[string]cty.Value{}
	for name, attribute := range attributes {
		values[name] = cty.NullVal(attribute.Type)
		if value, ok := e.value(b.attributes[name], attribute.Type); ok {
			values[name] = value
		} else if x := b.attributes[name]; x != nil && attribute.Required && !e.check && !e.failed() {
			e.fail(x.Range(), "Null value", "%q is required, and null here.", name)
		}
	}
	return values
}

func (e *evaluation) failed() bool { return e.diags.HasErrors() }

func configType(attributes map[string]RunnerAttribute) cty.Type {
	types := map[string]cty.Type{}
	for name, attribute := range attributes {
		types[name] = attribute.Type
	}
	return cty.Object(types)
}

// emptyConfig is the configuration of a runner that says nothing.
func emptyConfig(t *RunnerType) cty.Value {
	values := map[string]cty.Value{}
	for name, attribute := range t.Attributes {
		values[name] = cty.NullVal(attribute.Type)
	}
	for name, attributes := range t.Blocks {
		values[name] = cty.NullVal(configType(attributes))
	}
	return cty.ObjectVal(values)
}
