package dispatch

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/launchplan/launch/harness/wire"
)

// A Room is an agent as matching sees it.
type Room struct {
	Agent      string
	Node       string
	Properties map[string]string // the node's and its own, with engine, node and agent
	Slots      int
	Free       int
	Closed     string // why it takes nothing at all; empty when it is open
}

// Wanted is a process as matching sees it.
type Wanted struct {
	Engines       wire.Values
	Constraints   map[string]wire.Values
	NodeExclusive string
}

// Matching is the state of one pass: rooms fill as processes are placed.
type Matching struct {
	rooms  []Room
	nodes  map[string]*nodeRoom
	free   int
	failed map[string]bool // shapes of processes for which nothing was found; room only shrinks
}

type nodeRoom struct {
	free, used int
	tags       map[string]bool
}

// NewMatching begins a pass. Tags are the node_exclusive tags in use, by node.
func NewMatching(rooms []Room, tags map[string]map[string]bool) *Matching {
	m := &Matching{rooms: slices.Clone(rooms), nodes: map[string]*nodeRoom{}, failed: map[string]bool{}}
	slices.SortFunc(m.rooms, func(a, b Room) int { return cmp.Compare(a.Agent, b.Agent) })
	for _, r := range m.rooms {
		n := m.nodes[r.Node]
		if n == nil {
			n = &nodeRoom{tags: map[string]bool{}}
			m.nodes[r.Node] = n
		}
		n.used += r.Slots - r.Free
		if r.Closed == "" { // what nobody can have is not free
			n.free += max(r.Free, 0)
			m.free += max(r.Free, 0)
		}
	}
	for node, set := range tags {
		if n := m.nodes[node]; n != nil {
			for tag := range set {
				n.tags[tag] = true
			}
		}
	}
	return m
}

// Full says that no process can be placed any more.
func (m *Matching) Full() bool { return m.free == 0 }

// Place finds the agent for a process and takes a slot of it: partly occupied
// nodes come first, the one with the fewest free slots first, so that empty ones
// can be given back; within a node, the agent with the most free slots.
func (m *Matching) Place(w Wanted) (agent string, ok bool) {
	if m.Full() {
		return "", false
	}
	shape := w.shape()
	if m.failed[shape] {
		return "", false
	}
	best := -1
	for i := range m.rooms {
		if m.excludes(&m.rooms[i], w) == "" && (best < 0 || m.before(i, best)) {
			best = i
		}
	}
	if best < 0 {
		m.failed[shape] = true
		return "", false
	}
	r := &m.rooms[best]
	n := m.nodes[r.Node]
	r.Free--
	n.free--
	n.used++
	m.free--
	if w.NodeExclusive != "" {
		n.tags[w.NodeExclusive] = true
	}
	return r.Agent, true
}

// before says whether room i is to be filled before room j.
func (m *Matching) before(i, j int) bool {
	a, b := &m.rooms[i], &m.rooms[j]
	na, nb := m.nodes[a.Node], m.nodes[b.Node]
	if a.Node != b.Node {
		if (na.used == 0) != (nb.used == 0) {
			return nb.used == 0
		}
		if na.free != nb.free {
			return na.free < nb.free
		}
		return a.Node < b.Node
	}
	return a.Free > b.Free
}

// Explain tells for every agent which rule keeps the process off it.
func (m *Matching) Explain(w Wanted) []wire.Excluded {
	list := []wire.Excluded{}
	for i := range m.rooms {
		r := &m.rooms[i]
		list = append(list, wire.Excluded{Agent: r.Agent, Node: r.Node, Rule: m.excludes(r, w)})
	}
	return list
}

// excludes is the rule that keeps a process off an agent; empty: none does.
func (m *Matching) excludes(r *Room, w Wanted) string {
	if r.Closed != "" {
		return r.Closed
	}
	if engine := r.Properties["engine"]; !w.Engines.Allow(engine) {
		return fmt.Sprintf("its engine is %s, not %s", engine, strings.Join(w.Engines, " or "))
	}
	for key, allowed := range w.Constraints {
		value, has := r.Properties[key]
		if !has {
			return fmt.Sprintf("it has no property %s", key)
		}
		if !allowed.Allow(value) {
			return fmt.Sprintf("its %s is %s, not %s", key, value, strings.Join(allowed, " or "))
		}
	}
	if w.NodeExclusive != "" && m.nodes[r.Node].tags[w.NodeExclusive] {
		return fmt.Sprintf("node %s has a process with the exclusive tag %s", r.Node, w.NodeExclusive)
	}
	if r.Free <= 0 {
		return fmt.Sprintf("all of its %d slots are in use", r.Slots)
	}
	return ""
}

// shape is the same for processes that the same agents can take.
func (w Wanted) shape() string {
	if len(w.Constraints) == 0 && w.NodeExclusive == "" && len(w.Engines) == 1 {
		return w.Engines[0]
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%q %q", w.Engines, w.NodeExclusive)
	keys := make([]string, 0, len(w.Constraints))
	for k := range w.Constraints {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		fmt.Fprintf(&b, " %q=%q", k, w.Constraints[k])
	}
	return b.String()
}
