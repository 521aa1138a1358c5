package plan

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
)

// notKnown says which reference of x is the reason that its value is not known.
func (s *scope) notKnown(x *expression, in instance) *hcl.Diagnostic {
	d := failure(x.Range(), "Value not known yet", "This value is needed now, and depends on %s.", s.reason(x, in))
	d.Extra = unknown{}
	return d
}

// reason names what the value of x depends on that is not known.
func (s *scope) reason(x *expression, in instance) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if why := (source{s, x, in}).reason(map[source]bool{}); why != "" {
		return why
	}
	return "a value that is known only later"
}

// reason follows the first reference whose value is not known to where it comes from.
func (src source) reason(seen map[source]bool) string {
	if seen[src.anyInstance()] {
		return ""
	}
	seen[src.anyInstance()] = true
	s := src.scope
	for _, ref := range src.x.refs {
		if s.valueOf(ref, src.in).IsWhollyKnown() {
			continue
		}
		for _, behind := range s.behind(ref, src.in) {
			if why := behind.reason(seen); why != "" {
				return why
			}
		}
		return s.reasonItself(ref, src.in)
	}
	return ""
}

// reasonItself is why a value is not known that is made of nothing else.
func (s *scope) reasonItself(ref *reference, in instance) string {
	shown := traversalText(ref.traversal)
	if ref.root == "var" && s.level == nil {
		return fmt.Sprintf("%s, which is sensitive, so that the run did not keep it: give it with --var %s=VALUE, in a file with --var-file, or as LAUNCH_VAR_%s", ref, ref.name, ref.name)
	}
	block, name := s.memberOf(ref, in)
	if block == nil {
		return shown + ", which is not known yet"
	}
	address := s.prefix + block.level.name + "." + block.name
	switch {
	case block.export(name) != nil:
		return fmt.Sprintf("%s, which is known only once the boot program of %s has ended", shown, address)
	case slices.Contains(hostFacts(), name):
		return fmt.Sprintf("%s, which is known only once %s has its host", shown, address)
	default:
		return fmt.Sprintf("%s, which is known only once %s has booted", shown, address)
	}
}
