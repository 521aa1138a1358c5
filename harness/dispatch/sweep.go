package dispatch

import "github.com/launchplan/launch/harness/wire"

// A slot is taken on the agent's record before its process is put on it, by whichever
// dispatcher believes to lead. So a slot may be found whose process is not there: the
// process has left it, its assignment is still to be written, or never will be. The
// first is known from the process's record. The other two are told apart by a fence:
// the process's record is written once more, unchanged. An assignment that was decided
// before is refused from then on, and one that is decided later changes the agent's
// record first. So while that has not changed, the slot can be freed.

// slot is one process's slot on an agent.
type slot struct {
	agent  string
	target wire.Target
}

// doubtful is a slot that a fence will decide on.
type doubtful struct {
	slot
	revision uint64 // of the agent's record in which it was seen
	p        *process
}

// sweepAgents frees the slots of processes that are known not to be there.
func (c *Core) sweepAgents() {
	for name := range c.sweep {
		a := c.agents[name]
		if a == nil || !a.wants {
			continue
		}
		rec := a.wanted
		kept := make([]wire.Target, 0, len(rec.Assigned))
		for _, t := range rec.Assigned {
			if c.keeps(a, slot{name, t}) {
				kept = append(kept, t)
			}
		}
		if len(kept) != len(rec.Assigned) {
			rec.Assigned = kept
			a.set(rec)
			c.touch(a)
			c.rematch = true
		}
	}
	clear(c.sweep)
}

// keeps says whether a slot is in use, or may be.
func (c *Core) keeps(a *record[wire.Agent], s slot) bool {
	p := c.process(s.target.ID)
	at := p.stored
	switch {
	case c.holds(p, s.agent, s.target.Round):
		return true
	case p.exists && at.Round > s.target.Round:
		return false
	case p.exists && at.Round == s.target.Round && (at.State.Placed() || at.State.Resting()):
		return false
	}
	if revision, fenced := c.fenced[s]; fenced && revision == a.revision {
		delete(c.fenced, s)
		return false
	}
	c.doubts = append(c.doubts, doubtful{s, a.revision, p})
	return true
}

// raiseFences has the processes of doubtful slots written with this step.
func (c *Core) raiseFences() {
	for _, d := range c.doubts {
		d.p.forced = true
		c.touch(d.p)
	}
}

// noteFences has doubtful slots looked at again, with the fences that stand now.
func (c *Core) noteFences(conflicts []pending) {
	failed := map[string]bool{}
	for _, r := range conflicts {
		failed[r.name()] = true
	}
	for _, d := range c.doubts {
		if !failed[d.p.key] {
			c.fenced[d.slot] = d.revision
		}
		c.sweep[d.agent] = struct{}{}
	}
	c.doubts = c.doubts[:0]
}
