package plan

import "slices"

// Uses yields the services whose run-time values s refers to, each of them once.
func (s *Service) Uses(yield func(*Service) bool) {
	u := &useWalk{yield: yield, seen: map[*Service]bool{}, locals: map[*localValue]bool{}}
	b := s.group.block
	xs := slices.Concat([]*expression{b.host}, b.bringUpExpressions(), b.endExpressions())
	for _, x := range xs {
		if !u.expression(s.group.scope, x) {
			return
		}
	}
}

// bringUpExpressions are what bringing the service up and verifying it takes, its host aside.
func (b *serviceBlock) bringUpExpressions() []*expression {
	xs := []*expression{b.userData}
	for _, a := range b.attributes {
		xs = append(xs, a.value)
	}
	for _, f := range b.files {
		xs = append(xs, f.content, f.source, f.mode)
	}
	for _, p := range []*programBlock{b.boot, b.process} {
		if p != nil {
			xs = append(xs, p.expressions()...)
		}
	}
	for _, p := range b.ready {
		xs = append(xs, p.expressions()...)
	}
	return xs
}

// endExpressions are what ending the service takes.
func (b *serviceBlock) endExpressions() []*expression {
	var xs []*expression
	if b.terminate != nil {
		xs = b.terminate.expressions()
	}
	for _, p := range b.gone {
		xs = append(xs, p.expressions()...)
	}
	return xs
}

// A useWalk follows references through locals, inputs and outputs to services.
type useWalk struct {
	yield  func(*Service) bool
	seen   map[*Service]bool
	locals map[*localValue]bool
}

// expression is false when the walk is to end.
func (u *useWalk) expression(s *scope, x *expression) bool {
	if x == nil {
		return true
	}
	for _, ref := range x.refs {
		if !u.reference(s, ref) {
			return false
		}
	}
	return true
}

func (u *useWalk) reference(s *scope, ref *reference) bool {
	switch ref.root {
	case "service":
		g := s.groups[s.module.services[ref.name]]
		if g == nil {
			return true
		}
		for _, service := range g.services {
			if u.seen[service] {
				continue
			}
			u.seen[service] = true
			if !u.yield(service) {
				return false
			}
		}
	case "local":
		local := s.module.locals[ref.name]
		if local == nil || len(local.services) == 0 && s.parent == nil || u.locals[local] {
			return true
		}
		u.locals[local] = true
		return u.expression(s, local.value)
	case "var":
		if s.level == nil {
			return true
		}
		if given := s.level.inputs[ref.name]; given != nil {
			return u.expression(s.parent, given.value)
		}
	case "level":
		sub := s.subPlans[s.module.levels[ref.name]]
		if sub == nil || sub.scope == nil {
			return true
		}
		name, _ := ref.attribute()
		for _, o := range sub.scope.module.outputList {
			if (name == "" || o.name == name) && !u.expression(sub.scope, o.value) {
				return false
			}
		}
	}
	return true
}
