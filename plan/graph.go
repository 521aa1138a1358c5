package plan

import (
	"slices"
)

// A Graph is what of a plan waits for what, sub-plans unrolled. It needs no variables:
// a service with count or for_each is one node.
type Graph struct {
	Levels []*GraphLevel // each one after those it waits for
	Nodes  []*GraphNode  // the services, in the order of the levels
}

// A GraphLevel is a level with services.
type GraphLevel struct {
	Name     string // "dispatch.core"
	Column   int    // how many levels it waits for, one after the other
	After    []*GraphLevel
	Services []*GraphNode
}

// A GraphNode is a service.
type GraphNode struct {
	Address string // "dispatch.core.web"
	Name    string
	Many    string // "count" or "for_each", where it has several instances
	Level   *GraphLevel
	Refers  []*GraphNode // the services whose values it uses

	row int // within its level
}

// Graph draws the plan. One with errors is drawn as far as it can be.
func (p *Plan) Graph() *Graph {
	b := &graphBuilder{graph: &Graph{}}
	b.scope(&graphScope{module: p.root, nodes: map[*serviceBlock]*GraphNode{}, inner: map[*levelBlock]*graphScope{}}, nil)
	for _, join := range b.joins {
		join()
	}
	return b.graph
}

type graphBuilder struct {
	graph *Graph
	joins []func() // references, once every node is there
}

// A graphScope is a module in the place where it is used.
type graphScope struct {
	module *module
	prefix string
	parent *graphScope
	level  *levelBlock
	nodes  map[*serviceBlock]*GraphNode
	inner  map[*levelBlock]*graphScope
}

// scope draws the levels of a scope, all of them after those in first, and returns the last ones.
func (b *graphBuilder) scope(s *graphScope, first []*GraphLevel) []*GraphLevel {
	ends := map[*levelBlock][]*GraphLevel{}
	waited := map[*GraphLevel]bool{}
	var own []*GraphLevel
	for _, block := range s.module.levelList {
		after := waitsFor(block, ends, first)
		if block.planExpr != nil {
			ends[block] = b.subPlan(s, block, after)
		} else {
			ends[block] = []*GraphLevel{b.level(s, block, after)}
		}
		for _, level := range after {
			waited[level] = true
		}
		own = append(own, ends[block]...)
	}
	if last := without(own, waited); len(last) > 0 {
		return last
	}
	return first
}

func (b *graphBuilder) subPlan(s *graphScope, block *levelBlock, after []*GraphLevel) []*GraphLevel {
	if block.module == nil {
		return after // it could not be read
	}
	inner := &graphScope{
		module: block.module, prefix: s.prefix + block.name + ".", parent: s, level: block,
		nodes: map[*serviceBlock]*GraphNode{}, inner: map[*levelBlock]*graphScope{},
	}
	s.inner[block] = inner
	return b.scope(inner, after)
}

func (b *graphBuilder) level(s *graphScope, block *levelBlock, after []*GraphLevel) *GraphLevel {
	level := &GraphLevel{Name: s.prefix + block.name, After: withoutImplied(after)}
	for _, earlier := range after {
		level.Column = max(level.Column, earlier.Column+1)
	}
	for _, service := range block.services {
		node := &GraphNode{Address: level.Name + "." + service.name, Name: service.name, Level: level, row: len(level.Services)}
		switch {
		case service.count != nil:
			node.Many = "count"
		case service.forEach != nil:
			node.Many = "for_each"
		}
		s.nodes[service] = node
		level.Services = append(level.Services, node)
		b.graph.Nodes = append(b.graph.Nodes, node)
		b.joins = append(b.joins, func() {
			w := &graphWalk{node: node, seen: map[any]bool{}}
			for _, site := range service.sites() {
				w.expression(s, site.x)
			}
		})
	}
	b.graph.Levels = append(b.graph.Levels, level)
	return level
}

// withoutImplied leaves out levels that another one waits for already.
func withoutImplied(after []*GraphLevel) []*GraphLevel {
	if len(after) < 2 {
		return after
	}
	implied := map[*GraphLevel]bool{}
	var mark func(levels []*GraphLevel)
	mark = func(levels []*GraphLevel) {
		for _, level := range levels {
			if !implied[level] {
				implied[level] = true
				mark(level.After)
			}
		}
	}
	for _, level := range after {
		mark(level.After)
	}
	return slices.DeleteFunc(slices.Clone(after), func(level *GraphLevel) bool { return implied[level] })
}

// A graphWalk finds the services behind a service's references, through locals, inputs and outputs.
type graphWalk struct {
	node *GraphNode
	seen map[any]bool
}

func (w *graphWalk) expression(s *graphScope, x *expression) {
	if x == nil || w.seen[graphSeen{s, x}] {
		return
	}
	w.seen[graphSeen{s, x}] = true
	for _, ref := range x.refs {
		switch ref.root {
		case "local":
			if local := s.module.locals[ref.name]; local != nil {
				w.expression(s, local.value)
			}
		case "var":
			if s.level != nil && s.level.inputs[ref.name] != nil {
				w.expression(s.parent, s.level.inputs[ref.name].value)
			}
		case "level":
			w.outputs(s, ref)
		case "service":
			node := s.nodes[s.module.services[ref.name]]
			if node != nil && node != w.node && !w.seen[node] {
				w.seen[node] = true
				w.node.Refers = append(w.node.Refers, node)
			}
		}
	}
}

type graphSeen struct {
	scope *graphScope
	x     *expression
}

func (w *graphWalk) outputs(s *graphScope, ref *reference) {
	inner := s.inner[s.module.levels[ref.name]]
	if inner == nil {
		return
	}
	name := ref.output()
	for _, o := range inner.module.outputList {
		if name == "" || o.name == name {
			w.expression(inner, o.value)
		}
	}
}
