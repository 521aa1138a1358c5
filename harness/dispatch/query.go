package dispatch

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/launchplan/launch/harness/wire"
)

// pageBytes bounds a page of a list; a message holds 1 MiB.
const pageBytes = 512 << 10

// Query answers from the records as the store has them.
func (c *Core) Query(now time.Time, q wire.Query) wire.Response {
	c.now = now
	switch q.Ask {
	case wire.AskProcess:
		if p := c.processes[q.Name]; p != nil && p.exists {
			return result(p.stored)
		}
		return unknownProcess(q.Name)
	case wire.AskProcesses:
		return page(q, c.processes, func(p *process) (any, bool) {
			return p.stored, p.exists && (len(q.State) == 0 || slices.Contains(q.State, p.stored.State.String()))
		})
	case wire.AskWhy:
		return c.why(q.Name)
	case wire.AskDefinition:
		if d := c.definitions[q.Name]; d != nil && d.exists {
			return result(d.stored)
		}
		return refuse(wire.CodeUnknown, "definition %.64s is unknown", q.Name)
	case wire.AskDefinitions:
		return page(q, c.definitions, func(r *record[wire.Definition]) (any, bool) { return r.stored, r.exists })
	case wire.AskEngines:
		return page(q, c.engines, func(r *record[wire.Engine]) (any, bool) { return r.stored, r.exists })
	case wire.AskNodes:
		return page(q, c.nodes, func(r *record[wire.Node]) (any, bool) { return c.nodeView(r), r.exists })
	case wire.AskAgents:
		return page(q, c.agents, func(r *record[wire.Agent]) (any, bool) { return c.agentView(r.stored.Name, r), r.exists })
	case wire.AskNeeds:
		return result(c.Needs())
	case wire.AskSystem:
		return result(c.system.stored)
	}
	return refuse(wire.CodeInvalid, "%.40q cannot be asked of this dispatcher", q.Ask)
}

// page is the part of a list that fits into one message, in order of names.
func page[R any](q wire.Query, all map[string]R, show func(R) (any, bool)) wire.Response {
	names := slices.Sorted(maps.Keys(all))
	from, _ := slices.BinarySearch(names, q.After+"\x00")
	if q.After == "" {
		from = 0
	}
	list := []json.RawMessage{}
	size := 0
	for i := from; i < len(names); i++ {
		v, ok := show(all[names[i]])
		if !ok {
			continue
		}
		data := result(v).Result
		if size += len(data); size > pageBytes && len(list) > 0 {
			r := result(list)
			r.More = names[i-1]
			return r
		}
		list = append(list, data)
	}
	return result(list)
}

func (c *Core) why(id string) wire.Response {
	p := c.processes[id]
	if p == nil || !p.exists {
		return unknownProcess(id)
	}
	s := p.stored
	why := wire.Why{ID: id, State: s.State, Reason: s.Reason, Agents: []wire.Excluded{}}
	def, ok := find(c.definitions, s.Definition)
	if !ok {
		why.Reason = "its definition " + s.Definition + " was removed"
		return result(why)
	}
	switch {
	case s.State.Placed():
		why.Reason = cmp.Or(s.Reason, "it has a slot on agent "+s.Agent)
	case s.State == wire.UnscheduledPending:
		why.Reason = "it is held until the system's boot ends"
	case s.State.Queued() && s.NotBefore.After(c.now):
		why.Reason = "it died too often in a row: it is not started before " + s.NotBefore.UTC().Format("15:04:05.000Z07:00")
	case s.State.Queued():
		why.Reason = cmp.Or(s.Reason, "it waits for a slot")
	}
	why.Agents = c.matching(true).Explain(c.wantedOf(s, def))
	for i, a := range why.Agents {
		if s.State.Placed() && a.Agent == s.Agent { // its own slot and tag do not keep it off
			why.Agents[i].Rule = ""
		}
	}
	return result(why)
}

func (c *Core) agentView(name string, a *record[wire.Agent]) wire.AgentView {
	h := c.hear(name)
	v := wire.AgentView{Agent: a.stored, Health: c.health(a, h), Used: len(a.stored.Assigned), LastHeartbeat: h.last}
	if v.Assigned == nil {
		v.Assigned = []wire.Target{}
	}
	return v
}

func (c *Core) nodeView(n *record[wire.Node]) wire.NodeView {
	v := wire.NodeView{Node: n.stored, State: "waiting", Agents: []string{}}
	missing := 0
	for name, a := range c.agents {
		if !a.exists || a.stored.Node != n.stored.Name {
			continue
		}
		v.Agents = append(v.Agents, name)
		v.Slots += a.stored.Slots
		v.Used += len(a.stored.Assigned)
		if c.health(a, c.hear(name)) == healthMissing {
			missing++
		}
	}
	slices.Sort(v.Agents)
	if len(v.Agents) > 0 {
		v.State = "ready"
		if missing == len(v.Agents) {
			v.State = "missing"
		}
	}
	return v
}

// Needs is, per engine, how many nodes the processes call for.
func (c *Core) Needs() []wire.Need {
	needs := map[string]*wire.Need{}
	for name, e := range c.engines {
		if e.exists {
			s := e.stored
			needs[name] = &wire.Need{Engine: name, BaseNeed: s.BaseNeed, SpareSlots: s.SpareSlots, Maximum: s.Maximum, SlotsPerNode: s.Slots, Retire: []string{}}
		}
	}
	for _, p := range c.processes {
		n := needs[p.stored.Engine]
		if n == nil || !p.exists || p.stored.State.Resting() {
			continue
		}
		n.Processes++
		if p.stored.State.Queued() || p.stored.State == wire.UnscheduledPending {
			n.Queued++
		}
	}
	empty := map[string][]wire.NodeView{}
	smallest := map[string]int{}
	for _, r := range c.nodes {
		n := needs[r.stored.Engine]
		if n == nil || !r.exists {
			continue
		}
		v := c.nodeView(r)
		if v.State == "missing" {
			continue // what it had is queued again and needs another
		}
		n.Nodes++
		if v.Used > 0 {
			n.Occupied++
		} else {
			empty[v.Engine] = append(empty[v.Engine], v)
		}
		if v.Slots > 0 && (smallest[v.Engine] == 0 || v.Slots < smallest[v.Engine]) {
			smallest[v.Engine] = v.Slots
		}
	}
	list := []wire.Need{}
	for _, name := range slices.Sorted(maps.Keys(needs)) {
		n := needs[name]
		n.SlotsPerNode = cmp.Or(smallest[name], n.SlotsPerNode)
		n.Need = Need(*n)
		n.Retire = retire(*n, empty[name])
		list = append(list, *n)
	}
	return list
}

// Need is the number of nodes that a need's figures call for.
func Need(n wire.Need) int {
	slots := n.Processes + n.SpareSlots
	need := max(n.BaseNeed, n.Occupied, (slots+n.SlotsPerNode-1)/n.SlotsPerNode)
	if n.Maximum > 0 {
		need = min(need, n.Maximum)
	}
	return need
}

// retire names the empty nodes that are not needed, newest first.
func retire(n wire.Need, empty []wire.NodeView) []string {
	slices.SortFunc(empty, func(a, b wire.NodeView) int {
		return cmp.Or(b.AnnouncedAt.Compare(a.AnnouncedAt), cmp.Compare(b.Name, a.Name))
	})
	list := []string{}
	for _, v := range empty {
		if n.Nodes-len(list) > n.Need {
			list = append(list, v.Name)
		}
	}
	return list
}
