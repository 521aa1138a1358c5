package dispatch

import (
	"context"
	"fmt"
	"strings"

	"github.com/launchplan/launch/harness/wire"
)

type placement struct {
	p      *process
	before wire.Process
}

type unproven struct {
	asked   Asked
	key     string
	respond func() wire.Response
}

// flush writes what changed: first the agents, so that a slot is taken before a
// process is put on it, then the processes. What another dispatcher changed in
// the meantime is read again, and what built on it is undone.
func (c *Core) flush(ctx context.Context, store Store) error {
	var first, second []pending
	for _, r := range c.dirty {
		if _, isProcess := r.(*process); isProcess {
			second = append(second, r)
		} else {
			first = append(first, r)
		}
	}
	conflicts, err := c.write(ctx, store, first)
	if err != nil {
		return err
	}
	for _, r := range conflicts {
		if a, ok := r.(*record[wire.Agent]); ok {
			c.unplace(strings.TrimPrefix(a.key, "agent."))
		}
	}
	lost, err := c.write(ctx, store, second)
	if err != nil {
		return err
	}
	for _, r := range c.dirty {
		r.unmark()
	}
	c.dirty = c.dirty[:0]
	clear(c.placed)
	conflicts = append(conflicts, lost...)
	c.noteFences(conflicts)
	c.prove(conflicts)
	return nil
}

func (c *Core) write(ctx context.Context, store Store, records []pending) (conflicts []pending, err error) {
	var writes []Write
	var written []pending
	for _, r := range records {
		if r.changed() { // unplace may have undone it
			writes = append(writes, r.intent())
			written = append(written, r)
		}
	}
	if len(writes) == 0 {
		return nil, nil
	}
	results, err := store.Write(ctx, writes)
	if err != nil {
		return nil, fmt.Errorf("write %d records, the first %s: %w", len(writes), writes[0].Key, err)
	}
	for i, r := range written {
		if !results[i].Conflict {
			if p, ok := r.(*process); ok {
				before := p.stored
				p.settle(results[i].Revision)
				c.recorded(p, before)
			} else {
				r.settle(results[i].Revision)
			}
			continue
		}
		conflicts = append(conflicts, r)
		present, err := store.Read(ctx, writes[i].Key)
		if err != nil {
			return nil, fmt.Errorf("read %s again: %w", writes[i].Key, err)
		}
		r.drop()
		if p, ok := r.(*process); ok && p.wanted.Agent != "" {
			c.sweep[p.wanted.Agent] = struct{}{}
		}
		c.observe(present)
		if p, ok := r.(*process); ok {
			c.backOut(p)
		}
	}
	return conflicts, nil
}

// backOut frees the slots that this step took for a process that moved on.
func (c *Core) backOut(p *process) {
	for agent, list := range c.placed {
		for _, pl := range list {
			if pl.p == p {
				c.sweep[agent] = struct{}{}
			}
		}
	}
}

// unplace takes back this step's placements on an agent whose record moved on.
func (c *Core) unplace(agent string) {
	for _, pl := range c.placed[agent] {
		pl.p.set(pl.before)
		c.track(pl.p)
	}
	c.rematch = true
}

// recorded orders what follows from a process's new record.
func (c *Core) recorded(p *process, before wire.Process) {
	now := p.stored
	target := wire.Target{ID: now.ID, Round: now.Round}
	switch {
	case !p.exists:
	case now.State == wire.Assigned:
		c.sendAssignment(p)
	case now.State == wire.Terminating && before.State != wire.Terminating:
		o := c.orders(now.Agent)
		o.Terminate = append(o.Terminate, target)
	}
	if before.State.Placed() && (!now.State.Placed() || now.Round != before.Round) {
		c.sweep[before.Agent] = struct{}{}
		c.rematch = true
	}
}

// prove answers the requests whose records are written, and has the others made again.
func (c *Core) prove(conflicts []pending) {
	moved := map[string]bool{}
	for _, r := range conflicts {
		moved[r.name()] = true
	}
	for _, u := range c.unproven {
		if moved[u.key] {
			c.retry = append(c.retry, u.asked)
		} else {
			c.out.Replies = append(c.out.Replies, Reply{u.asked.Token, u.respond()})
		}
	}
	c.unproven = c.unproven[:0]
}
