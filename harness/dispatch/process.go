package dispatch

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/launchplan/launch/harness/wire"
)

// Throttle bounds how fast a process that keeps dying is started again.
type Throttle struct {
	Interval time.Duration // at least this between two starts, from the third on
	Longest  time.Duration // to which the interval grows, doubling with each death
	Stable   time.Duration // a life of this length begins the count anew
}

// DefaultThrottle gives a process that dies at once two quick chances, then
// eight more within some five minutes.
var DefaultThrottle = Throttle{Interval: 2 * time.Second, Longest: time.Minute, Stable: 30 * time.Second}

// delay is the least time between two starts after so many deaths in a row.
func (t Throttle) delay(strikes int) time.Duration {
	if strikes < 2 {
		return 0
	}
	d := t.Interval
	for range strikes - 2 {
		if d *= 2; d >= t.Longest {
			return t.Longest
		}
	}
	return d
}

// move brings a process into a state and round, with change applied to its record.
// It is the only way in which a process's state changes. A move that the state
// machine does not have is a late message: it changes nothing.
func (c *Core) move(p *process, to wire.State, round int, change func(*wire.Process)) bool {
	next := p.wanted
	if !wire.CanMove(next.State, next.Round, to, round) {
		return false
	}
	next.State, next.Round = to, round
	if change != nil {
		change(&next)
	}
	c.update(p, next)
	return true
}

// update changes a process's record.
func (c *Core) update(p *process, next wire.Process) {
	p.set(next)
	c.touch(p)
	c.track(p)
}

func (c *Core) touch(r pending) {
	if r.mark() {
		c.dirty = append(c.dirty, r)
	}
}

// track keeps queue and throttle in step with a process's state.
func (c *Core) track(p *process) {
	c.lastOrder = max(c.lastOrder, p.wanted.Order)
	queued := p.wants && p.wanted.State.Queued()
	if queued && !p.inQueue {
		p.inQueue = true
		c.queue = append(c.queue, p)
	}
	delete(c.throttled, p.wanted.ID)
	if queued {
		c.sorted = false
		if p.wanted.State != wire.Waiting {
			c.rematch = true
		}
		// Bounded: the clock of whoever wrote it may have been ahead.
		if until := p.wanted.NotBefore; until.After(c.now) {
			if latest := c.now.Add(c.Throttle.Longest); until.After(latest) {
				until = latest
			}
			c.throttled[p.wanted.ID] = until
		}
	}
}

func (c *Core) wakeThrottled() {
	for id, at := range c.throttled {
		if !at.After(c.now) {
			delete(c.throttled, id)
			c.rematch = true
		}
	}
}

// waiting returns the queue in order: what died first, then by arrival.
func (c *Core) waiting() []*process {
	kept := c.queue[:0]
	for _, p := range c.queue {
		if p.wants && p.wanted.State.Queued() {
			kept = append(kept, p)
		} else {
			p.inQueue = false
		}
	}
	clear(c.queue[len(kept):])
	c.queue = kept
	if !c.sorted {
		slices.SortStableFunc(c.queue, func(a, b *process) int {
			if a.wanted.Died != b.wanted.Died {
				if a.wanted.Died {
					return -1
				}
				return 1
			}
			return cmp.Or(cmp.Compare(a.wanted.Order, b.wanted.Order), cmp.Compare(a.wanted.ID, b.wanted.ID))
		})
		c.sorted = true
	}
	return c.queue
}

// match places what is queued and decides what becomes of the rest.
func (c *Core) match() {
	queue := slices.Clone(c.waiting())
	if len(queue) == 0 {
		return
	}
	m := c.matching(slices.ContainsFunc(queue, func(p *process) bool { return p.wanted.NodeExclusive != "" }))
	mayCome := c.system.wanted.BootMode || c.unheard() // room: what finds none now is not rejected for it
	for _, p := range queue {
		if _, later := c.throttled[p.wanted.ID]; later {
			continue
		}
		if m.Full() && p.wanted.State == wire.Waiting && (p.wanted.Queueing.Waits(p.wanted.Starts) || mayCome) {
			continue
		}
		if c.vacating(p) { // looked at last: of thousands that wait, few are
			continue
		}
		def, ok := find(c.definitions, p.wanted.Definition)
		if !ok {
			c.move(p, wire.Failed, p.wanted.Round, func(w *wire.Process) {
				w.Reason = fmt.Sprintf("its definition %s was removed", w.Definition)
				w.EndedAt = c.now
			})
			continue
		}
		wanted := c.wantedOf(p.wanted, def)
		if agent, ok := m.Place(wanted); ok {
			c.place(p, agent)
			continue
		}
		c.unplaced(p, mayCome)
	}
}

// place takes a slot and puts a process on it.
func (c *Core) place(p *process, agent string) {
	before := p.wanted
	if !c.assign(p, agent) {
		return
	}
	a := c.agents[agent]
	rec := a.wanted
	if t := (wire.Target{ID: before.ID, Round: before.Round}); !slices.Contains(rec.Assigned, t) {
		rec.Assigned = append(slices.Clone(rec.Assigned), t)
		a.set(rec)
	}
	a.forced = true // a slot that was taken before may have been freed by another dispatcher
	c.touch(a)
	c.placed[agent] = append(c.placed[agent], placement{p, before})
}

func (c *Core) assign(p *process, agent string) bool {
	a := c.agents[agent].wanted
	return c.move(p, wire.Assigned, p.wanted.Round, func(w *wire.Process) {
		w.Agent, w.Node, w.Host, w.Engine = agent, a.Node, a.Host, a.Engine
		w.PID, w.ExitStatus, w.Signal, w.Reason = 0, nil, "", ""
		w.StartedAt, w.EndedAt, w.NotBefore = time.Time{}, time.Time{}, time.Time{}
		w.Starts++
		w.Died = false
	})
}

// unplaced has a process wait, or rejects it. While room may come everything waits.
func (c *Core) unplaced(p *process, mayCome bool) {
	if p.wanted.Queueing.Waits(p.wanted.Starts) || mayCome {
		c.move(p, wire.Waiting, p.wanted.Round, nil) // nothing where it waits already
		return
	}
	c.move(p, wire.Rejected, p.wanted.Round, func(w *wire.Process) {
		w.Reason = fmt.Sprintf("no agent has room for it, and its queueing mode is %s", w.Queueing)
		w.EndedAt = c.now
	})
}

// vacating says that a process still has the slot of an earlier round on record. That is
// about to be free, and may be the best one for it, or the only one.
func (c *Core) vacating(p *process) bool {
	a, ok := find(c.agents, p.wanted.Agent)
	return ok && slices.ContainsFunc(a.Assigned, func(t wire.Target) bool {
		return t.ID == p.wanted.ID && t.Round < p.wanted.Round
	})
}

// An ending is how a life of a process ended.
type ending struct {
	clean     bool // by itself, with status 0
	refused   bool // the agent did not take it: no fault of the process
	permanent bool // another start would fail the same way
	uptime    time.Duration
	status    *int
	signal    string
	reason    string
	clock     uint64
}

// ended follows the end of a placed process: a rest, or a new round.
func (c *Core) ended(p *process, e ending) {
	w := p.wanted
	note := func(w *wire.Process) {
		w.PID, w.ExitStatus, w.Signal, w.Reason, w.EndedAt = 0, e.status, e.signal, e.reason, c.now
		w.Clock = max(w.Clock, e.clock)
	}
	switch {
	case w.State == wire.Terminating && w.Restarting:
		c.requeue(p, func(w *wire.Process) { note(w); w.Strikes, w.NotBefore = 0, time.Time{} })
	case w.State == wire.Terminating:
		c.move(p, wire.Terminated, w.Round, note)
	case e.refused:
		c.requeue(p, func(w *wire.Process) { note(w); w.Starts-- })
	case e.permanent || !w.Restart.After(e.clean):
		to := wire.Failed
		if e.clean {
			to = wire.Exited
		}
		c.move(p, to, w.Round, note)
	default:
		c.strike(p, e, note)
	}
}

// strike restarts a process that died, as fast as the throttle allows.
func (c *Core) strike(p *process, e ending, note func(*wire.Process)) {
	strikes := p.wanted.Strikes + 1
	if e.uptime >= c.Throttle.Stable {
		strikes = 1
	}
	limit := *cmp.Or(p.wanted.MaxRestarts, new(wire.DefaultMaxRestarts))
	if limit >= 0 && strikes > limit {
		c.move(p, wire.Failed, p.wanted.Round, func(w *wire.Process) {
			note(w)
			w.Reason = fmt.Sprintf("given up after %d restarts in a row: %s", limit, cmp.Or(e.reason, "exit status 0"))
		})
		return
	}
	c.requeue(p, func(w *wire.Process) {
		note(w)
		w.Strikes = strikes
		if wait := c.Throttle.delay(strikes) - e.uptime; wait > 0 {
			w.NotBefore = c.now.Add(wait)
		}
	})
}

// requeue begins the next round of a process. One from before the system's boot
// is held until the boot ends: whoever boots may want it elsewhere, or not at all.
func (c *Core) requeue(p *process, change func(*wire.Process)) {
	to := wire.DiedRequested
	if s := c.system.wanted; s.BootMode && p.wanted.Order < s.BootSince {
		to = wire.UnscheduledPending
	}
	c.move(p, to, p.wanted.Round+1, func(w *wire.Process) {
		change(w)
		w.Died, w.Restarting = true, false
	})
}
