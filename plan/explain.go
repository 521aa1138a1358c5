package plan

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// explain makes what hcl says of an expression that could not be evaluated fit for
// people: null is traced to the service that is left out, secrets that a function quoted are
// taken out.
func (s *scope) explain(x *expression, diags hcl.Diagnostics) hcl.Diagnostics {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.explainLocked(x, diags)
}

func (s *scope) explainLocked(x *expression, diags hcl.Diagnostics) hcl.Diagnostics {
	for _, d := range diags {
		if strings.HasPrefix(d.Summary, "Attempt to ") && strings.HasSuffix(d.Summary, " null value") {
			s.explainNull(x, d)
		}
		d.Detail = strings.NewReplacer("..", ".", "?.", "?").Replace(d.Detail)
	}
	return s.scrub(diags)
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
