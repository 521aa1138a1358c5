package dispatch

import (
	"errors"
	"fmt"

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
		if c.vacant(asked, "agent", func(a wire.Agent) bool { return a.Name == req.Name }) {
			c.removeAgent(req.Name)
			c.answer(asked, wire.AgentKey(req.Name), func() any { return struct{}{} })
		}
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
	stays := p.wants && (req.Op == wire.OpCreate || !p.wanted.State.Resting())
	if stays && !p.wanted.Parameters.Same(params) {
		c.reply(asked, wire.Response{Error: differs(p.wanted, "other parameters")})
		return
	}
	def, err := c.definitionOf(req, params, stays)
	if err != nil {
		c.refuseError(asked, err)
		return
	}
	engines, err := c.enginesOf(params, def)
	if err != nil {
		c.refuseError(asked, err)
		return
	}
	if c.makeDefinition(def) {
		// First the program, then the process: what another dispatcher wrote in the
		// meantime must not be what the process runs.
		c.retry = append(c.retry, asked)
		return
	}
	c.want(p, req, stays, wire.Process{
		ID: req.Name, Parameters: params, State: wire.Requested, Engine: engines[0],
		Order: c.lastOrder + 1, RequestedAt: c.now.UTC(), Request: req.ID,
	})
	c.answerProcess(asked, p)
}

// want has a process become what a request makes of it: fresh where it is new or begins a new round, what it was where it
// stays.
func (c *Core) want(p *process, req wire.Request, stays bool, fresh wire.Process) {
	if !p.wants && p.wanted.ID != "" { // it was removed
		fresh.Round = p.wanted.Round + 1
	}
	switch {
	case !p.wants && req.Op == wire.OpCreate:
		fresh.State = wire.Unscheduled
		c.update(p, fresh)
	case !p.wants:
		c.update(p, fresh)
	case stays:
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
}

// differs refuses a request for a process that is known otherwise, and says the way out.
func differs(w wire.Process, in string) *wire.Error {
	way := "terminate it first"
	if w.State.Resting() { // where that would change nothing
		way = "schedule it with these, or remove it first"
	}
	return &wire.Error{Code: wire.CodeConflict, Message: fmt.Sprintf("process %s is %v with %s; %s", w.ID, w.State, in, way)}
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
