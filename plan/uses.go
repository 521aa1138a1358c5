package plan

// Uses yields the services whose run-time values s refers to, each of them once, also where it does so by a local, an
// input, an output or another service's attribute.
func (s *Service) Uses(yield func(*Service) bool) {
	u := &useWalk{yield: yield, yielded: map[*Service]bool{}, seen: map[source]bool{}}
	in := instance{block: s.group.block, service: s}
	for _, x := range s.group.block.expressions(toPlace, toBringUp, toEnd) {
		if !u.source(source{s.group.scope, x, in}) {
			return
		}
	}
}

// A useWalk follows references to services.
type useWalk struct {
	yield   func(*Service) bool
	yielded map[*Service]bool
	seen    map[source]bool
}

// source is false when the walk is to end.
func (u *useWalk) source(src source) bool {
	if u.seen[src.anyInstance()] {
		return true
	}
	u.seen[src.anyInstance()] = true
	for _, ref := range src.x.refs {
		if ref.root == "service" && !u.services(src.scope.groups[src.scope.module.services[ref.name]]) {
			return false
		}
		for _, behind := range src.scope.behind(ref, src.in) {
			if !u.source(behind) {
				return false
			}
		}
	}
	return true
}

func (u *useWalk) services(g *group) bool {
	for _, service := range g.services {
		if u.yielded[service] {
			continue
		}
		u.yielded[service] = true
		if !u.yield(service) {
			return false
		}
	}
	return true
}
