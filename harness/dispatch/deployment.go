package dispatch

import (
	"fmt"

	"github.com/launchplan/launch/harness/wire"
)

// What follows are the requests about engines, nodes, agents and the system as a whole.

func (c *Core) putEngine(asked Asked) {
	engine := asked.Request.Engine
	if engine == nil {
		c.reply(asked, refuse(wire.CodeInvalid, "the request has no engine"))
		return
	}
	if err := engine.Check(); err != nil {
		c.refuseError(asked, err)
		return
	}
	r := recordOf(c.engines, wire.EngineKey(engine.Name), engine.Name)
	r.set(*engine)
	c.touch(r)
	c.rematch = true
	for _, h := range c.heard { // what they are told with a welcome may have changed
		if h.hello.Engine == engine.Name && h.clock > 0 && c.now.Sub(h.last) < engine.Heartbeat.Std() {
			hello := h.hello
			hello.Hello = true
			c.register(hello)
		}
	}
	c.answer(asked, r.key, func() any { return r.stored })
}

func (c *Core) removeEngine(asked Asked) {
	name := asked.Request.Name
	if r := c.engines[name]; r != nil && r.wants {
		if user := c.engineUser(name); user != "" {
			c.reply(asked, refuse(wire.CodeConflict, "engine %s is in use by %s", name, user))
			return
		}
		r.wants = false
		c.touch(r)
	}
	c.answer(asked, wire.EngineKey(name), func() any { return struct{}{} })
}

// engineUser is something that needs an engine, with the way to be rid of it.
func (c *Core) engineUser(engine string) string {
	for name, a := range c.agents {
		if a.wants && a.wanted.Engine == engine {
			return "agent " + name + "; stop that first"
		}
	}
	for name, n := range c.nodes {
		if n.wants && n.wanted.Engine == engine {
			return "node " + name + "; remove that first"
		}
	}
	for id, p := range c.processes {
		w := p.wanted
		if p.wants && !w.State.Resting() && (w.Engine == engine || w.Constraints["engine"].Allow(engine)) {
			return fmt.Sprintf("process %s, which is %v; terminate that first", id, w.State)
		}
	}
	for name, d := range c.definitions {
		if d.wants && d.wanted.Engine == engine {
			return "definition " + name + "; remove that first"
		}
	}
	return ""
}

func (c *Core) announceNode(asked Asked) {
	node := asked.Request.Node
	if node == nil {
		c.reply(asked, refuse(wire.CodeInvalid, "the request has no node"))
		return
	}
	if err := node.Check(); err != nil {
		c.refuseError(asked, err)
		return
	}
	if node.Engine == "" {
		node.Engine, _ = c.defaultEngine()
	}
	if _, ok := find(c.engines, node.Engine); !ok {
		c.reply(asked, refuse(wire.CodeInvalid, "node %s: engine %q is unknown", node.Name, node.Engine))
		return
	}
	r := recordOf(c.nodes, wire.NodeKey(node.Name), node.Name)
	rec := *node
	rec.AnnouncedAt = c.now.UTC()
	if r.wants {
		rec.AnnouncedAt = r.wanted.AnnouncedAt
	}
	if rec.Properties == nil {
		rec.Properties = map[string]string{}
	}
	r.set(rec)
	c.touch(r)
	c.rematch = true
	c.answer(asked, r.key, func() any { return r.stored })
}

// vacant refuses to remove agents that have processes, unless they are silent or the
// request insists.
func (c *Core) vacant(asked Asked, kind string, of func(wire.Agent) bool) bool {
	for name, a := range c.agents {
		if !a.wants || !of(a.wanted) || len(a.wanted.Assigned) == 0 || asked.Request.Force || c.health(a, c.hear(name)) == healthMissing {
			continue
		}
		c.reply(asked, refuse(wire.CodeConflict, "%s %s has processes, %s among them; terminate them first, or count them as lost with --force",
			kind, asked.Request.Name, a.wanted.Assigned[0].ID))
		return false
	}
	return true
}

// removeNode forgets a node with its agents; their processes count as lost.
func (c *Core) removeNode(asked Asked) {
	name := asked.Request.Name
	if !c.vacant(asked, "node", func(a wire.Agent) bool { return a.Node == name }) {
		return
	}
	if r := c.nodes[name]; r != nil && r.wants {
		r.wants = false
		c.touch(r)
		for agent, a := range c.agents {
			if a.wants && a.wanted.Node == name {
				c.removeAgent(agent)
			}
		}
	}
	c.answer(asked, wire.NodeKey(name), func() any { return struct{}{} })
}

func (c *Core) setDisabled(asked Asked) {
	name := asked.Request.Name
	a := c.agents[name]
	if a == nil || !a.wants {
		c.reply(asked, refuse(wire.CodeUnknown, "agent %.64s is unknown", name))
		return
	}
	rec := a.wanted
	rec.Disabled = asked.Request.Op == wire.OpDisableAgent
	c.putAgent(a, rec)
	c.answer(asked, a.key, func() any { return c.agentView(name, a) })
}

// bootMode begins or ends the boot of the whole system. At its end, what was held
// is released.
func (c *Core) bootMode(asked Asked) {
	next := c.system.wanted
	on := asked.Request.On
	if on && !next.BootMode {
		next.BootSince = c.lastOrder + 1
	}
	next.BootMode = on
	c.system.set(next)
	c.touch(c.system)
	c.rematch = true
	if !on {
		for _, p := range c.processes {
			if p.wants && p.wanted.State == wire.UnscheduledPending {
				c.move(p, wire.Requested, p.wanted.Round, nil)
			}
		}
	}
	c.answer(asked, wire.SystemKey, func() any { return c.system.stored })
}
