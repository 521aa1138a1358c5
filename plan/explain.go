package plan

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// explain makes what hcl says of an expression that could not be evaluated fit for
// people: null is traced to the service that is left out, or whose boot program left nothing; secrets that a
// function quoted are taken out.
func (s *scope) explain(x *expression, in instance, diags hcl.Diagnostics) hcl.Diagnostics {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.explainLocked(x, in, diags)
}

func (s *scope) explainLocked(x *expression, in instance, diags hcl.Diagnostics) hcl.Diagnostics {
	for _, d := range diags {
		if strings.HasPrefix(d.Summary, "Attempt to ") && strings.HasSuffix(d.Summary, " null value") {
			s.explainNull(x, d)
		}
		d.Detail = oneStop(d.Detail)
		if strings.Contains(d.Detail, "null") {
			d.Detail += s.whyNullLocked(x, in)
		}
	}
	return s.scrub(diags)
}

// oneStop ends a message with one stop: hcl adds one to what functions say.
func oneStop(message string) string {
	if strings.HasSuffix(message, "?.") || strings.HasSuffix(message, "..") && !strings.HasSuffix(message, "...") {
		return strings.TrimSuffix(message, ".")
	}
	return message
}

// explainNull says which service or level is null because it is left out.
func (s *scope) explainNull(x *expression, d *hcl.Diagnostic) {
	for _, ref := range x.refs {
		out := false
		switch ref.root {
		case "service":
			out = s.groups[s.module.services[ref.name]].disabled
		case "level":
			sub := s.subPlans[s.module.levels[ref.name]]
			out = sub.laid && sub.scope == nil
		}
		if out {
			d.Summary = "Reference to what is left out"
			d.Detail = fmt.Sprintf("%s is left out of this run by \"enabled\", so it is null and has no attributes. Where that may be, write try(%s, null), or leave out what refers to it as well.",
				ref, traversalText(ref.traversal))
			return
		}
	}
}

// whyNull names the exports that x is made of and that are null, as sentences.
func (s *scope) whyNull(x *expression, in instance) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.whyNullLocked(x, in)
}

func (s *scope) whyNullLocked(x *expression, in instance) string {
	if s.tree == nil {
		return ""
	}
	why := ""
	for _, sentence := range s.nullExports(x, in, map[evaluated]bool{}) {
		if !strings.Contains(why, sentence) {
			why += sentence
		}
	}
	return why
}

// An evaluated expression, for one instance of a service.
type evaluated struct {
	x   *expression
	svc *Service
}

// nullExports follows the references of x to exports that are null, through attributes, locals and inputs, through each
// expression once. mu is held.
func (s *scope) nullExports(x *expression, in instance, seen map[evaluated]bool) []string {
	if x == nil || seen[evaluated{x, in.service}] {
		return nil
	}
	seen[evaluated{x, in.service}] = true
	var found []string
	for _, ref := range x.refs {
		value, _, _ := s.resolve(ref, in, nil)
		if value, diags := ref.rest.TraverseRel(value); diags.HasErrors() || !hasNull(value) {
			continue
		}
		switch ref.root {
		case "local":
			found = append(found, s.nullExports(s.module.locals[ref.name].value, instance{}, seen)...)
		case "var":
			if s.level != nil {
				if given := s.level.inputs[ref.name]; given != nil {
					found = append(found, s.parent.nullExports(given.value, instance{}, seen)...)
				}
			}
		case "self":
			found = append(found, s.nullMember(ref, ref.name, in, seen)...)
		case "service":
			block := s.module.services[ref.name]
			name, _ := ref.attribute()
			for _, svc := range s.groups[block].services {
				found = append(found, s.nullMember(ref, name, instance{block: block, service: svc}, seen)...)
			}
		}
	}
	return found
}

// nullMember is nullExports for an attribute or export of a service.
func (s *scope) nullMember(ref *reference, name string, in instance, seen map[evaluated]bool) []string {
	if in.block.export(name) != nil {
		return []string{fmt.Sprintf(" %s is null: the boot program of %s left no value for it.", traversalText(ref.traversal), s.prefix+in.block.level.name+"."+in.block.name)}
	}
	if a := in.block.attribute(name); a != nil {
		in.self = selfFacts
		return s.nullExports(a.value, in, seen)
	}
	return nil
}

func hasNull(value cty.Value) bool {
	found := false
	value, _ = value.UnmarkDeep()
	_ = cty.Walk(value, func(_ cty.Path, v cty.Value) (bool, error) {
		found = found || v.IsKnown() && v.IsNull()
		return !found && v.IsKnown(), nil
	})
	return found
}
