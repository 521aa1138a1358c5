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
		if strings.HasSuffix(d.Summary, " null value") { // an attempt to take something out of it, or an iteration over it
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

// explainNull says which service or level is null because it is left out, and what to write where that may be.
func (s *scope) explainNull(x *expression, d *hcl.Diagnostic) {
	for _, ref := range x.refs {
		out, none := false, "{}"
		switch ref.root {
		case "service":
			g := s.groups[s.module.services[ref.name]]
			out = g.disabled
			if g.block.count != nil {
				none = "[]"
			}
		case "level":
			sub := s.subPlans[s.module.levels[ref.name]]
			out = sub.laid && sub.scope == nil
		}
		if !out {
			continue
		}
		fails, instead := "it has no attributes", fmt.Sprintf("try(%s, null)", traversalText(ref.traversal))
		if strings.HasPrefix(d.Summary, "Iteration ") {
			fails, instead = "there is nothing to go over", fmt.Sprintf("coalesce(%s, %s)", ref, none)
		}
		d.Summary = "Reference to what is left out"
		d.Detail = fmt.Sprintf("%s is left out of this run by \"enabled\", so it is null and %s. Where that may be, write %s, or leave out what refers to it as well.",
			ref, fails, instead)
		return
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
	for _, sentence := range (source{s, x, in}).nullExports(map[source]bool{}) {
		if !strings.Contains(why, sentence) {
			why += sentence
		}
	}
	return why
}

// nullExports follows references to exports that are null, each expression once. mu is held.
func (src source) nullExports(seen map[source]bool) []string {
	if seen[src] {
		return nil
	}
	seen[src] = true
	s := src.scope
	var found []string
	for _, ref := range src.x.refs {
		if !hasNull(s.valueOf(ref, src.in)) {
			continue
		}
		if block, name := s.memberOf(ref, src.in); block != nil && block.export(name) != nil {
			found = append(found, fmt.Sprintf(" %s is null: the boot program of %s left no value for it.",
				traversalText(ref.traversal), s.prefix+block.level.name+"."+block.name))
		}
		for _, behind := range s.behind(ref, src.in) {
			found = append(found, behind.nullExports(seen)...)
		}
	}
	return found
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
