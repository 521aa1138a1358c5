package dispatch

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/launchplan/launch/harness/wire"
)

// resendAfter is how long an assignment may go unmentioned in heartbeats before it
// is sent again: heartbeats that were under way when it was sent say nothing.
const resendAfter = 500 * time.Millisecond

// heard is what a dispatcher knows of an agent from its heartbeats alone.
type heard struct {
	seen    time.Time // when the last one came, or when listening began
	last    time.Time // when the last one came; zero: none yet
	epoch   uint64
	clock   uint64
	stale   int  // live processes that it should not have: they hold its slots
	lost    bool // its processes were taken from it for its silence
	health  string
	leaving bool
	hello   wire.Heartbeat // who it says that it is; without processes
}

// The health of an agent.
const (
	healthOK       = "ok"
	healthWarning  = "warning"
	healthMissing  = "missing"
	healthDisabled = "disabled"
)

func (c *Core) hear(agent string) *heard {
	h := c.heard[agent]
	if h == nil {
		h = &heard{seen: c.now}
		c.heard[agent] = h
	}
	return h
}

// heartbeat takes in what an agent says of itself and its processes.
func (c *Core) heartbeat(hb wire.Heartbeat) {
	h := c.hear(hb.Agent)
	if hb.Clock <= h.clock || hb.Epoch < h.epoch {
		return // late, repeated, or of an incarnation that was replaced
	}
	if hb.Epoch != h.epoch || h.lost || h.leaving != hb.Leaving {
		c.rematch = true
	}
	processes := hb.Processes
	hb.Processes = nil
	h.seen, h.last, h.clock, h.epoch, h.lost, h.leaving, h.hello = c.now, c.now, hb.Clock, hb.Epoch, false, hb.Leaving, hb
	if !c.Leading() || !c.register(hb) {
		return
	}
	reported := make(map[string]*wire.Report, len(processes))
	stale := 0
	for i := range processes {
		r := &processes[i]
		if old := reported[r.ID]; old == nil || old.Round < r.Round {
			reported[r.ID] = r
		}
		if !c.report(hb, r) && !r.State.Resting() {
			stale++
		}
	}
	if stale < h.stale {
		c.rematch = true
	}
	h.stale = stale
	c.missed(hb, reported)
	if hb.Leaving && len(processes) == 0 && len(c.agents[hb.Agent].wanted.Assigned) == 0 {
		c.removeAgent(hb.Agent)
	}
}

// register keeps the agent's record and welcomes an agent that waits for that.
func (c *Core) register(hb wire.Heartbeat) bool {
	engine, ok := find(c.engines, hb.Engine)
	if !ok {
		if hb.Hello {
			c.orders(hb.Agent).Welcome = &wire.Welcome{Refused: fmt.Sprintf("engine %s is not defined", hb.Engine)}
		}
		return false
	}
	a := recordOf(c.agents, wire.AgentKey(hb.Agent), hb.Agent)
	rec := a.wanted
	if !a.wants {
		rec = wire.Agent{} // nothing is kept of one that was removed
	}
	rec.Name, rec.Node, rec.Engine, rec.Host = hb.Agent, hb.Node, hb.Engine, hb.Host
	rec.Slots = hb.Slots
	if rec.Slots == 0 {
		rec.Slots = engine.Slots
	}
	rec.Properties = hb.Properties
	if rec.Assigned == nil {
		rec.Assigned = []wire.Target{}
	}
	if !hb.Leaving || a.wants {
		c.putAgent(a, rec)
	}
	if hb.Hello {
		c.orders(hb.Agent).Welcome = &wire.Welcome{Slots: rec.Slots, Heartbeat: engine.Heartbeat}
	}
	return a.wants
}

func (c *Core) putAgent(a *record[wire.Agent], rec wire.Agent) {
	if rec.Properties == nil {
		rec.Properties = map[string]string{}
	}
	a.set(rec)
	if a.changed() {
		c.touch(a)
		c.rematch = true
	}
}

// report takes in one process of a heartbeat and says whether the agent has it rightly.
func (c *Core) report(hb wire.Heartbeat, r *wire.Report) bool {
	target := wire.Target{ID: r.ID, Round: r.Round}
	p := c.processes[r.ID]
	if p == nil || !p.wants || !p.wanted.State.Placed() || p.wanted.Round != r.Round || p.wanted.Agent != hb.Agent {
		if r.State.Resting() {
			c.finished = append(c.finished, finish{hb.Agent, target})
		} else if r.State != wire.Terminating { // an agent that obeys need not be told again
			o := c.orders(hb.Agent)
			o.Terminate = append(o.Terminate, target)
		}
		return false
	}
	switch r.State {
	case wire.Pending, wire.Running:
		if p.wanted.State == wire.Terminating {
			o := c.orders(hb.Agent)
			o.Terminate = append(o.Terminate, target)
			return true
		}
		c.move(p, r.State, r.Round, func(w *wire.Process) {
			w.PID, w.StartedAt, w.Host, w.Clock = r.PID, r.StartedAt, hb.Host, hb.Clock
		})
	case wire.Terminating:
	default:
		c.finished = append(c.finished, finish{hb.Agent, target})
		if !r.StartedAt.IsZero() && p.wanted.StartedAt.IsZero() {
			next := p.wanted
			next.StartedAt = r.StartedAt
			p.set(next)
		}
		var uptime time.Duration
		if !r.StartedAt.IsZero() && r.EndedAt.After(r.StartedAt) {
			uptime = r.EndedAt.Sub(r.StartedAt)
		}
		c.ended(p, ending{
			clean:     r.State == wire.Exited && r.ExitStatus != nil && *r.ExitStatus == 0,
			refused:   r.State == wire.Rejected,
			permanent: r.Permanent,
			uptime:    uptime,
			status:    r.ExitStatus, signal: r.Signal, reason: r.Reason,
			clock: hb.Clock,
		})
	}
	return true
}

// missed looks for processes that the agent should have mentioned.
func (c *Core) missed(hb wire.Heartbeat, reported map[string]*wire.Report) {
	for _, t := range c.agents[hb.Agent].wanted.Assigned {
		p := c.processes[t.ID]
		if r := reported[t.ID]; r != nil && r.Round == t.Round || p == nil || !c.holds(p, hb.Agent, t.Round) || p.wanted.Round != t.Round {
			continue
		}
		switch p.wanted.State {
		case wire.Assigned: // it may not have got it
			if c.now.Sub(p.sent) >= resendAfter {
				c.sendAssignment(p)
			}
		case wire.Terminating: // it may not have got that; it answers with an end even if it knows nothing
			o := c.orders(hb.Agent)
			o.Terminate = append(o.Terminate, t)
		case wire.Pending, wire.Running:
			if hb.Clock > p.wanted.Clock {
				c.ended(p, ending{reason: "its agent " + hb.Agent + " no longer has it", uptime: c.uptime(p), clock: hb.Clock})
			}
		}
	}
}

func (c *Core) uptime(p *process) time.Duration {
	if p.wanted.StartedAt.IsZero() {
		return 0
	}
	return c.now.Sub(p.wanted.StartedAt)
}

// forgetFinished lets agents forget ends that are on record.
func (c *Core) forgetFinished() {
	for _, f := range c.finished {
		p := c.processes[f.target.ID]
		if p != nil && c.holds(p, f.agent, f.target.Round) {
			continue // not written yet
		}
		o := c.orders(f.agent)
		o.Forget = append(o.Forget, f.target)
	}
	c.finished = c.finished[:0]
}

// holds says whether the store has a process on an agent in a round.
func (c *Core) holds(p *process, agent string, round int) bool {
	s := p.stored
	return p.exists && s.State.Placed() && s.Agent == agent && s.Round == round
}

// sendAssignment orders an agent to run a process that is on record as its own.
func (c *Core) sendAssignment(p *process) {
	s := p.stored
	if s.State != wire.Assigned {
		return
	}
	def := c.definitions[s.Definition]
	if def == nil || !def.wants {
		return // the removal of a definition in use is refused; another dispatcher's is told by match
	}
	p.sent = c.now
	d := def.wanted
	env := maps.Clone(d.Env)
	if env == nil {
		env = map[string]string{}
	}
	maps.Copy(env, s.Env)
	o := c.orders(s.Agent)
	o.Assign = append(o.Assign, wire.Assignment{
		Target: wire.Target{ID: s.ID, Round: s.Round}, Definition: d.Name,
		Argv: d.Argv, Env: env, Dir: d.Dir, Files: d.Files, Config: s.Config, StopTimeout: d.StopTimeout,
	})
}

// health is how an agent stands, by its silence.
func (c *Core) health(a *record[wire.Agent], h *heard) string {
	engine := c.engines[a.wanted.Engine]
	if engine == nil || !engine.wants {
		return healthMissing
	}
	e := engine.wanted
	silence := c.now.Sub(h.seen)
	period := e.Heartbeat.Std()
	switch {
	case silence >= period*time.Duration(e.Missing):
		return healthMissing
	case silence >= period*time.Duration(e.Warning) || h.leaving:
		return healthWarning
	case a.wanted.Disabled:
		return healthDisabled
	}
	return healthOK
}

// checkHealth reschedules the processes of agents that have fallen silent.
func (c *Core) checkHealth() {
	for name, a := range c.agents {
		if !a.wants {
			continue
		}
		h := c.hear(name)
		health := c.health(a, h)
		if health != h.health {
			h.health = health
			c.rematch = true
		}
		if health == healthMissing && !h.lost {
			h.lost = true
			c.lose(a, fmt.Sprintf("its agent %s fell silent", name))
		}
	}
}

// lose takes its processes from an agent.
func (c *Core) lose(a *record[wire.Agent], reason string) {
	for _, t := range slices.Clone(a.wanted.Assigned) {
		p := c.processes[t.ID]
		if p == nil || !p.wants || !p.wanted.State.Placed() || p.wanted.Agent != a.wanted.Name || p.wanted.Round != t.Round {
			continue
		}
		c.ended(p, ending{reason: reason, uptime: c.uptime(p)})
	}
}

func (c *Core) removeAgent(name string) {
	a := c.agents[name]
	if a == nil || !a.wants {
		return
	}
	c.lose(a, "its agent "+name+" was removed")
	a.wants = false
	c.touch(a)
}

// Next is the time of the next deadline: a silence that grows too long, a throttle
// that ends. Zero: there is none.
func (c *Core) Next() time.Time {
	var next time.Time
	sooner := func(t time.Time) {
		if t.After(c.now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for name, a := range c.agents {
		engine := c.engines[a.wanted.Engine]
		h := c.heard[name]
		if !a.wants || engine == nil || !engine.wants || h == nil {
			continue
		}
		period := engine.wanted.Heartbeat.Std()
		sooner(h.seen.Add(period * time.Duration(engine.wanted.Warning)))
		sooner(h.seen.Add(period * time.Duration(engine.wanted.Missing)))
	}
	for _, at := range c.throttled {
		sooner(at)
	}
	return next
}

// Regrace starts every agent's period of grace anew, for a dispatcher that was cut off
// and could not hear them, or that decided things that were never written.
func (c *Core) Regrace(now time.Time) {
	for _, h := range c.heard {
		h.seen, h.lost, h.stale, h.health = now, false, 0, ""
	}
}
