package plan

import "slices"

// LacksToBringUp names the sensitive variables that were not given to a tree that was laid out Later, and without which
// the service cannot be brought up and verified as it was. See Tree.Missing.
func (s *Service) LacksToBringUp() []string { return s.lacks(toBringUp) }

// LacksToEnd names those without which the service cannot be ended as the plan says.
func (s *Service) LacksToEnd() []string { return s.lacks(toEnd) }

func (s *Service) lacks(purpose purpose) []string {
	w := &lackWalk{seen: map[source]bool{}}
	top := s.group.scope
	top.mu.Lock()
	defer top.mu.Unlock()
	in := instance{block: s.group.block, service: s, self: selfAll}
	for _, x := range s.group.block.expressions(purpose) {
		w.source(source{top, x, in})
	}
	return w.names
}

// A lackWalk follows references to unknown values to the variables of the root that make them unknown.
type lackWalk struct {
	names []string
	seen  map[source]bool
}

func (w *lackWalk) source(src source) {
	if w.seen[src.anyInstance()] {
		return
	}
	w.seen[src.anyInstance()] = true
	s := src.scope
	for _, ref := range src.x.refs {
		if s.valueOf(ref, src.in).IsWhollyKnown() {
			continue
		}
		if ref.root == "var" && s.level == nil && !slices.Contains(w.names, ref.name) {
			w.names = append(w.names, ref.name)
		}
		for _, behind := range s.behind(ref, src.in) {
			w.source(behind)
		}
	}
}
