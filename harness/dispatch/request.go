package dispatch

import (
	"errors"
	"fmt"
	"time"

	"github.com/launchplan/launch/harness/wire"
)

// ask carries a request out, or refuses it. Whatever changes a record is answered
// once the record is written. Every request can be repeated.
func (c *Core) ask(asked Asked) {
	req := asked.Request
	switch req.Op {
	case wire.OpSchedule, wire.OpCreate:
		c.schedule(asked)
	case wire.OpTerminate:
		c.onProcess(asked, c.terminate)
	case wire.OpRestart:
		c.onProcess(asked, c.restart)
	case wire.OpRemove:
		c.removeProcess(asked)
	case wire.OpPutDefinition:
		c.putDefinition(asked)
	case wire.OpRemoveDefinition:
		c.removeDefinition(asked)
	case wire.OpPutEngine:
		c.putEngine(asked)
	case wire.OpRemoveEngine:
		c.removeEngine(asked)
	case wire.OpAnnounceNode:
		c.announceNode(asked)
	case wire.OpRemoveNode:
		c.removeNode(asked)
	case wire.OpEnableAgent, wire.OpDisableAgent:
		c.setDisabled(asked)
	case wire.OpRemoveAgent:
		if _, ok := find(c.agents, req.Name); ok {
			c.removeAgent(req.Name)
		}
		c.answer(asked, wire.AgentKey(req.Name), func() any { return struct{}{} })
	case wire.OpBootMode:
		c.bootMode(asked)
	default:
		c.reply(asked, refuse(wire.CodeInvalid, "%.40q is not a request of this dispatcher", req.Op))
	}
}

// answer replies when the record of key is written.
func (c *Core) answer(asked Asked, key string, value func() any) {
	c.unproven = append(c.unproven, unproven{asked, key, func() wire.Response { return result(value()) }})
}

func (c *Core) answerProcess(asked Asked, p *process) {
	c.answer(asked, p.key, func() any { return p.stored })
}

func (c *Core) refuseError(asked Asked, err error) {
	if refusal, ok := errors.AsType[*wire.Error](err); ok {
		c.reply(asked, wire.Response{Error: refusal})
		return
	}
	c.reply(asked, refuse(wire.CodeInvalid, "%v", err))
}

// schedule makes a process known, begins a new round of a resting one, or
// recognises a request that was made before.
func (c *Core) schedule(asked Asked) {
	req := asked.Request
	if err := wire.CheckID(req.Name); err != nil {
		c.refuseError(asked, err)
		return
	}
	p := c.process(req.Name)
	if p.wants && p.wanted.Request == req.ID && req.ID != "" {
		c.answerProcess(asked, p)
		return
	}
	params, err := c.parameters(req, p)
	if err != nil {
		c.refuseError(asked, err)
		return
	}
	def, ok := find(c.definitions, params.Definition)
	if !ok {
		c.reply(asked, refuse(wire.CodeUnknown, "definition %s is unknown; create it first", params.Definition))
		return
	}
	engines, err := c.enginesOf(params, def)
	if err != nil {
		c.refuseError(asked, err)
		return
	}
	fresh := wire.Process{
		ID: req.Name, Parameters: params, State: wire.Requested, Engine: engines[0],
		Order: c.lastOrder + 1, RequestedAt: c.now.UTC(), Request: req.ID,
	}
	if !p.wants && p.wanted.ID != "" { // it was removed
		fresh.Round = p.wanted.Round + 1
	}
	switch {
	case !p.wants && req.Op == wire.OpCreate:
		fresh.State = wire.Unscheduled
		c.update(p, fresh)
	case !p.wants:
		c.update(p, fresh)
	case req.Op == wire.OpCreate || !p.wanted.State.Resting():
		if !p.wanted.Parameters.Same(params) {
			c.reply(asked, refuse(wire.CodeConflict, "process %s is %v with other parameters; terminate it first", req.Name, p.wanted.State))
			return
		}
		if p.wanted.State == wire.UnscheduledPending && req.Op == wire.OpSchedule {
			c.move(p, wire.Requested, p.wanted.Round, func(w *wire.Process) { w.Request = req.ID })
		}
	default:
		fresh.Starts, fresh.Clock = p.wanted.Starts, p.wanted.Clock
		c.move(p, wire.Requested, p.wanted.Round+1, func(w *wire.Process) {
			fresh.Round = w.Round
			*w = fresh
		})
	}
	c.answerProcess(asked, p)
}

// parameters are the request's, or, where it has none, those on record.
func (c *Core) parameters(req wire.Request, p *process) (wire.Parameters, error) {
	if req.Parameters == nil || req.Parameters.Definition == "" {
		if !p.wants {
			return wire.Parameters{}, &wire.Error{Code: wire.CodeUnknown, Message: fmt.Sprintf("process %s is unknown; to schedule it, name its definition", req.Name)}
		}
		return p.wanted.Parameters, nil
	}
	params := *req.Parameters
	err := params.Check()
	return params, err
}

// enginesOf are the engines on which a process may run: its own choice, else its
// definition's, else the default one.
func (c *Core) enginesOf(params wire.Parameters, def wire.Definition) (wire.Values, error) {
	names := params.Constraints["engine"]
	if len(names) == 0 && def.Engine != "" {
		names = wire.Values{def.Engine}
	}
	if len(names) == 0 {
		name, ok := c.defaultEngine()
		if !ok {
			return nil, &wire.Error{Code: wire.CodeConflict, Message: "no engine is defined yet"}
		}
		return wire.Values{name}, nil
	}
	for _, name := range names {
		if _, ok := find(c.engines, name); !ok {
			return nil, &wire.Error{Code: wire.CodeInvalid, Message: fmt.Sprintf("engine %.64q is unknown", name)}
		}
	}
	return names, nil
}

// defaultEngine is the one marked so, else the one named default, else the only one.
func (c *Core) defaultEngine() (string, bool) {
	only, count := "", 0
	for name, e := range c.engines {
		if !e.wants {
			continue
		}
		if e.wanted.Default {
			return name, true
		}
		only = name
		count++
	}
	if e := c.engines["default"]; e != nil && e.wants {
		return "default", true
	}
	return only, count == 1
}

// onProcess carries out a request on a process that must be known.
func (c *Core) onProcess(asked Asked, do func(*process, wire.Request) *wire.Error) {
	p := c.processes[asked.Request.Name]
	if p == nil || !p.wants {
		c.reply(asked, unknownProcess(asked.Request.Name))
		return
	}
	if err := do(p, asked.Request); err != nil {
		c.reply(asked, wire.Response{Error: err})
		return
	}
	c.answerProcess(asked, p)
}

func unknownProcess(id string) wire.Response {
	return refuse(wire.CodeUnknown, "process %.64s is unknown", id)
}

// terminate ends a process: at once where no agent has it.
func (c *Core) terminate(p *process, req wire.Request) *wire.Error {
	w := p.wanted
	switch {
	case w.State == wire.Terminating && w.Restarting:
		w.Restarting = false
		c.update(p, w)
	case w.State.Resting() || w.State == wire.Terminating:
	case w.State.Placed():
		c.move(p, wire.Terminating, w.Round, func(w *wire.Process) { w.Request = req.ID })
	default:
		c.move(p, wire.Terminated, w.Round, func(w *wire.Process) {
			w.Reason, w.EndedAt, w.Request = "terminated before it had a slot", c.now.UTC(), req.ID
		})
	}
	return nil
}

// restart ends a running process and starts it again. A repeated request names the
// round that it saw, and is done when that round is over.
func (c *Core) restart(p *process, req wire.Request) *wire.Error {
	w := p.wanted
	if w.Request == req.ID && req.ID != "" || req.Round != nil && w.Round > *req.Round {
		return nil
	}
	if w.State != wire.Running {
		return &wire.Error{Code: wire.CodeConflict, Message: fmt.Sprintf("process %s is %v; only a RUNNING process can be restarted", w.ID, w.State)}
	}
	c.move(p, wire.Terminating, w.Round, func(w *wire.Process) { w.Restarting, w.Request = true, req.ID })
	return nil
}

// removeProcess forgets a resting process, all but its round.
func (c *Core) removeProcess(asked Asked) {
	id := asked.Request.Name
	p := c.processes[id]
	if p != nil && p.wants {
		if !p.wanted.State.Resting() {
			c.reply(asked, refuse(wire.CodeConflict, "process %s is %v; terminate it first", id, p.wanted.State))
			return
		}
		// Agents remember the rounds that they have seen: should the id be used again,
		// its rounds must go on.
		p.wanted = wire.Process{ID: id, State: p.wanted.State, Round: p.wanted.Round}
		p.wants, p.epitaph = false, true
		c.touch(p)
	}
	c.answer(asked, wire.ProcessKey(id), func() any { return struct{}{} })
}

func (c *Core) putDefinition(asked Asked) {
	def := asked.Request.Definition
	if def == nil {
		c.reply(asked, refuse(wire.CodeInvalid, "the request has no definition"))
		return
	}
	if err := def.Check(); err != nil {
		c.refuseError(asked, err)
		return
	}
	if def.Engine != "" {
		if _, ok := find(c.engines, def.Engine); !ok {
			c.reply(asked, refuse(wire.CodeInvalid, "definition %s: engine %s is unknown", def.Name, def.Engine))
			return
		}
	}
	r := recordOf(c.definitions, wire.DefinitionKey(def.Name), def.Name)
	existed := r.wants
	before := r.wanted
	r.set(*def)
	if existed && r.changed() && !asked.Request.Replace {
		r.wanted = before
		c.reply(asked, refuse(wire.CodeConflict, "definition %s exists and is different; --replace changes it", def.Name))
		return
	}
	c.touch(r)
	c.answer(asked, r.key, func() any { return r.stored })
}

func (c *Core) removeDefinition(asked Asked) {
	name := asked.Request.Name
	if r := c.definitions[name]; r != nil && r.wants {
		for id, p := range c.processes {
			if p.wants && p.wanted.Definition == name && !p.wanted.State.Resting() {
				c.reply(asked, refuse(wire.CodeConflict, "definition %s is in use by process %s", name, id))
				return
			}
		}
		r.wants = false
		c.touch(r)
	}
	c.answer(asked, wire.DefinitionKey(name), func() any { return struct{}{} })
}

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
		for agent, a := range c.agents {
			if a.wants && a.wanted.Engine == name {
				c.reply(asked, refuse(wire.CodeConflict, "engine %s is in use by agent %s", name, agent))
				return
			}
		}
		r.wants = false
		c.touch(r)
	}
	c.answer(asked, wire.EngineKey(name), func() any { return struct{}{} })
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

// removeNode forgets a node with its agents; their processes count as lost.
func (c *Core) removeNode(asked Asked) {
	name := asked.Request.Name
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

func (c *Core) wantedOf(p wire.Process, def wire.Definition) Wanted {
	engines, err := c.enginesOf(p.Parameters, def)
	if err != nil {
		engines = wire.Values{p.Engine} // removed since: no agent has it
	}
	return Wanted{ID: p.ID, Engines: engines, Constraints: p.Constraints, NodeExclusive: p.NodeExclusive}
}
