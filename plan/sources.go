package plan

import "github.com/zclconf/go-cty/cty"

// A source is an expression in the place where it stands: a plan can be several levels of another one, and what stands in
// a service is evaluated for each of its instances.
type source struct {
	scope *scope
	x     *expression
	in    instance
}

// anyInstance is the source where it does not matter for which instance of its service it is evaluated.
func (s source) anyInstance() source { return source{scope: s.scope, x: s.x} }

// behind are the expressions that what ref names is made of: of a local, of the input that a level gives its plan, of the
// outputs of such a level, of declared attributes. Whoever is to know where a value comes from goes on from these. What is
// referred to is there: Load refused a plan in which it is not.
func (s *scope) behind(ref *reference, in instance) []source {
	switch ref.root {
	case "local":
		return []source{{scope: s, x: s.module.locals[ref.name].value}}
	case "var":
		if s.level != nil && s.level.inputs[ref.name] != nil {
			return []source{{scope: s.parent, x: s.level.inputs[ref.name].value}}
		}
	case "level":
		return s.behindOutputs(ref)
	case "self":
		return s.behindAttribute(nil, in, ref.name)
	case "service":
		block, name := s.memberOf(ref, in)
		var list []source
		for _, service := range s.groups[block].services {
			list = s.behindAttribute(list, instance{block: block, service: service}, name)
		}
		return list
	}
	return nil
}

func (s *scope) behindOutputs(ref *reference) []source {
	sub := s.subPlans[s.module.levels[ref.name]]
	if sub.scope == nil {
		return nil // it is left out
	}
	var list []source
	name := ref.output()
	for _, o := range sub.scope.module.outputList {
		if o.value != nil && (name == "" || o.name == name) {
			list = append(list, source{scope: sub.scope, x: o.value})
		}
	}
	return list
}

// behindAttribute adds what a declared attribute of an instance is made of; an empty name stands for all of them.
func (s *scope) behindAttribute(list []source, of instance, name string) []source {
	of.self = selfFacts
	for _, a := range of.block.attributes {
		if name == "" || a.name == name {
			list = append(list, source{s, a.value, of})
		}
	}
	return list
}

// valueOf is what a reference has for a value by now, as far as its steps lead somewhere. mu is held.
func (s *scope) valueOf(ref *reference, in instance) cty.Value {
	value, _, _ := s.resolve(ref, in, nil)
	for i := range ref.rest {
		next, diags := ref.rest[i : i+1].TraverseRel(value)
		if diags.HasErrors() {
			break
		}
		value = next
	}
	return value
}

// memberOf is the attribute or export that a reference names, and of which service; nil where it names none.
func (s *scope) memberOf(ref *reference, in instance) (*serviceBlock, string) {
	switch ref.root {
	case "self":
		return in.block, ref.name
	case "service":
		b := s.module.services[ref.name]
		return b, ref.member(b)
	}
	return nil, ""
}
