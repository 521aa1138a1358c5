package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// levels reads `after` of every level.
func (c *checker) levels() {
	for i, level := range c.module.levelList {
		switch {
		case level.afterSet:
			level.after = c.after(level)
		case i > 0:
			level.after = []*levelBlock{c.module.levelList[i-1]}
		}
	}
}

func (c *checker) after(level *levelBlock) []*levelBlock {
	items, diags := hcl.ExprList(level.afterExpr)
	if diags.HasErrors() {
		c.fail(level.afterExpr.Range(), "List of levels expected", "\"after\" lists levels: after = [level.storage, level.cache], or after = [] to start at once.")
		return nil
	}
	var after []*levelBlock
	for _, item := range items {
		traversal, diags := hcl.AbsTraversalForExpr(item)
		if diags.HasErrors() || traversal.RootName() != "level" || len(traversal) != 2 {
			c.fail(item.Range(), "Level expected", "\"after\" lists levels, such as level.storage.")
			continue
		}
		ref := newReference(traversal)
		other := c.module.levels[ref.name]
		switch {
		case other == nil:
			c.undeclared(ref, "level", keys(c.module.levels))
		case other == level:
			c.fail(item.Range(), "Level after itself", "Level %q cannot come after itself.", level.name)
		default:
			after = append(after, other)
		}
	}
	return after
}

// order adds to `after` the edges that references make, refuses circles, warns of levels
// that wait for more than they need, and puts the levels in order.
func (c *checker) order() {
	o := &levelOrder{levels: c.module.levelList}
	for _, level := range o.levels {
		level.edges = slices.Clone(level.after)
	}
	if circle := o.sort(); circle != nil {
		c.fail(circle[0].rng, "Circle of levels", "Levels cannot wait for each other: %s. Change \"after\" of one of them.", levelPath(circle))
		for _, level := range o.levels {
			level.edges = nil
		}
		o.sort()
	}
	for _, level := range c.module.levelList {
		c.referenceEdges(o, level)
	}
	for _, level := range c.module.levelList {
		c.warnLate(level)
	}
	o.sort()
	c.module.levelList = o.sorted
}

// referenceEdges makes level wait for those it refers to.
func (c *checker) referenceEdges(o *levelOrder, level *levelBlock) {
	seen := map[*levelBlock]bool{}
	for _, use := range level.uses {
		if seen[use.level] {
			continue
		}
		seen[use.level] = true
		if use.level == level {
			c.sameLevel(use, level)
			continue
		}
		if slices.Contains(level.edges, use.level) {
			continue
		}
		if path := o.path(use.level, level); path != nil {
			slices.Reverse(path) // in the order in which they begin
			c.laterLevel(use, level, path)
			continue
		}
		level.edges = append(level.edges, use.level)
		if o.position[use.level] > o.position[level] {
			o.sort()
		}
	}
}

// sameLevel reports a reference within a level, whose services start together.
func (c *checker) sameLevel(use serviceUse, level *levelBlock) {
	c.fail(use.ref.rng(), "Reference within a level",
		"%s is in level %q itself, declared at %s, and all services of a level start together. Move what refers to it to %s.",
		use.shown(), level.name, place(use.declared(c.module)), c.nextLevel(level))
}

// laterLevel reports a reference to what comes after.
func (c *checker) laterLevel(use serviceUse, level *levelBlock, path []*levelBlock) {
	c.fail(use.ref.rng(), "Reference to a later level",
		"%s is in level %q, declared at %s, which comes after level %q (%s). Move it to a level before %q, or move what refers to it to %s.",
		use.shown(), use.level.name, place(use.declared(c.module)), level.name, levelPath(path), level.name, c.nextLevel(use.level))
}

func (u serviceUse) shown() string {
	if u.via != nil {
		return "What local." + u.via.name + " refers to"
	}
	return u.ref.String()
}

func (u serviceUse) declared(m *module) hcl.Range {
	if u.via == nil && u.ref.root == "service" {
		return m.services[u.ref.name].rng
	}
	return u.level.rng
}

// nextLevel names a level after this one, for advice.
func (c *checker) nextLevel(level *levelBlock) string {
	next := fmt.Sprintf("a new level after level %q", level.name)
	best := -1
	for _, other := range c.module.levelList {
		if other.planExpr == nil && slices.Contains(other.after, level) && (best < 0 || other.index < best) {
			next, best = fmt.Sprintf("level %q, which comes after it", other.name), other.index
		}
	}
	return next
}

// levelPath shows levels one after the other.
func levelPath(path []*levelBlock) string {
	names := make([]string, len(path))
	for i, level := range path {
		names[i] = level.name
	}
	return strings.Join(names, " → ")
}

// warnLate reports a level that waits for levels that nothing in it refers to, while
// what it does refer to is complete sooner. Where `after` is written out, that is the
// author's will; where nothing is referred to, the order is all there is.
func (c *checker) warnLate(level *levelBlock) {
	if level.afterSet || len(level.uses) == 0 || len(level.after) == 0 {
		return
	}
	previous := level.after[0]
	var needed []*levelBlock
	for _, use := range level.uses {
		if use.level == level {
			return
		}
		if use.level == previous || comesAfter(use.level, previous) {
			return
		}
		if !slices.Contains(needed, use.level) {
			needed = append(needed, use.level)
		}
	}
	names := make([]string, len(needed))
	for i, other := range needed {
		names[i] = "level." + other.name
	}
	c.diags = append(c.diags, warning(level.rng, "Level later than it needs to be",
		"Level %q waits for level %q, which is before it in the file, and refers only to %s. With after = [%s] it starts sooner; if it is to wait, write after = [level.%s].",
		level.name, previous.name, strings.Join(names, " and "), strings.Join(names, ", "), previous.name))
}

// comesAfter says whether a waits for b, by any way.
func comesAfter(a, b *levelBlock) bool {
	seen := map[*levelBlock]bool{}
	var search func(level *levelBlock) bool
	search = func(level *levelBlock) bool {
		if level == b {
			return true
		}
		if seen[level] {
			return false
		}
		seen[level] = true
		return slices.ContainsFunc(level.edges, search)
	}
	return a != b && search(a)
}

// A levelOrder keeps the levels sorted, each after those that it waits for, as edges are added.
type levelOrder struct {
	levels   []*levelBlock // as declared
	sorted   []*levelBlock
	position map[*levelBlock]int
}

// sort returns a circle where there is one. Levels without an order between them stay as declared.
func (o *levelOrder) sort() []*levelBlock {
	o.sorted, o.position = nil, map[*levelBlock]int{}
	state := map[*levelBlock]visitState{}
	var path, circle []*levelBlock
	var visit func(level *levelBlock)
	visit = func(level *levelBlock) {
		state[level] = visiting
		path = append(path, level)
		for _, earlier := range level.edges {
			switch state[earlier] {
			case visiting:
				if circle == nil {
					circle = append(slices.Clone(path[slices.Index(path, earlier):]), earlier)
				}
			case unvisited:
				visit(earlier)
			}
		}
		path = path[:len(path)-1]
		state[level] = visited
		o.position[level] = len(o.sorted)
		o.sorted = append(o.sorted, level)
	}
	for _, level := range o.levels {
		if state[level] == unvisited {
			visit(level)
		}
	}
	return circle
}

// path is how from comes to wait for to: the levels between, both included. nil: it does not.
func (o *levelOrder) path(from, to *levelBlock) []*levelBlock {
	if o.position[from] < o.position[to] {
		return nil // it stands before it, so it cannot wait for it
	}
	seen := map[*levelBlock]bool{}
	var search func(level *levelBlock) []*levelBlock
	search = func(level *levelBlock) []*levelBlock {
		if level == to {
			return []*levelBlock{level}
		}
		seen[level] = true
		for _, earlier := range level.edges {
			if seen[earlier] || o.position[earlier] < o.position[to] {
				continue
			}
			if rest := search(earlier); rest != nil {
				return append([]*levelBlock{level}, rest...)
			}
		}
		return nil
	}
	return search(from)
}

// waitsFor are the levels that a block's level comes after: what was laid out for the blocks to which its edges lead;
// those in first where it has none.
func waitsFor[L comparable](block *levelBlock, laid map[*levelBlock][]L, first []L) []L {
	if len(block.edges) == 0 {
		return first
	}
	var after []L
	for _, edge := range block.edges {
		after = append(after, laid[edge]...)
	}
	return without(after, nil)
}

// without are levels, each once, but for those in out.
func without[L comparable](levels []L, out map[L]bool) []L {
	var kept []L
	seen := make(map[L]bool, len(levels))
	for _, level := range levels {
		if !seen[level] && !out[level] {
			seen[level] = true
			kept = append(kept, level)
		}
	}
	return kept
}
