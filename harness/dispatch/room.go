package dispatch

import (
	"fmt"
	"time"

	"github.com/launchplan/launch/harness/wire"
)

// matching begins a pass over the agents as they are.
func (c *Core) matching(withTags bool) *Matching {
	rooms := make([]Room, 0, len(c.agents))
	tags := map[string]map[string]bool{}
	for name, a := range c.agents {
		if !a.wants {
			continue
		}
		rooms = append(rooms, c.room(name, a))
		if !withTags {
			continue
		}
		for _, t := range a.wanted.Assigned {
			if p := c.processes[t.ID]; p != nil && p.stored.NodeExclusive != "" {
				if tags[a.wanted.Node] == nil {
					tags[a.wanted.Node] = map[string]bool{}
				}
				tags[a.wanted.Node][p.stored.NodeExclusive] = true
			}
		}
	}
	return NewMatching(rooms, tags)
}

func (c *Core) room(name string, a *record[wire.Agent]) Room {
	h := c.hear(name)
	rec := a.wanted
	room := Room{
		Agent: name, Node: rec.Node, Slots: rec.Slots,
		Free:       rec.Slots - len(rec.Assigned) - h.stale,
		Properties: map[string]string{},
	}
	node, announced := find(c.nodes, rec.Node)
	for k, v := range node.Properties {
		room.Properties[k] = v
	}
	for k, v := range rec.Properties {
		room.Properties[k] = v
	}
	room.Properties["engine"], room.Properties["node"], room.Properties["agent"] = rec.Engine, rec.Node, name
	switch health := c.health(a, h); {
	case !announced:
		room.Closed = fmt.Sprintf("its node %s was not announced", rec.Node)
	case h.leaving:
		room.Closed = "it is being stopped"
	case health == healthDisabled:
		room.Closed = "it is disabled"
	case health != healthOK:
		room.Closed = fmt.Sprintf("its heartbeats do not come (%s since %v)", health, c.now.Sub(h.seen).Round(time.Millisecond))
	case h.clock == 0:
		room.Closed = "no heartbeat of it has come yet"
	}
	return room
}

// unheard says that some agent, of which no heartbeat has come yet, may have room: a
// dispatcher that has just begun to lead does not know.
func (c *Core) unheard() bool {
	for name, a := range c.agents {
		if h := c.hear(name); a.wants && h.clock == 0 && c.health(a, h) == healthOK {
			return true
		}
	}
	return false
}

func (c *Core) wantedOf(p wire.Process, def wire.Definition) Wanted {
	engines, err := c.enginesOf(p.Parameters, def)
	if err != nil {
		engines = wire.Values{p.Engine} // removed since: no agent has it
	}
	return Wanted{Engines: engines, Constraints: p.Constraints, NodeExclusive: p.NodeExclusive}
}
