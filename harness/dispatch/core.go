// Package dispatch is the process dispatcher: it matches processes with slots of
// agents and follows them through their rounds. Core decides, without clock,
// network or store of its own; Dispatcher is the daemon around it.
package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/launchplan/launch/harness/wire"
)

// A Store keeps records under keys. Every write is a compare-and-set.
type Store interface {
	// Write makes all writes, independently of each other. An error leaves the
	// outcome of all of them unknown.
	Write(ctx context.Context, writes []Write) ([]Result, error)
	// Read returns the present record.
	Read(ctx context.Context, key string) (Observed, error)
}

// A Write replaces the record of Revision (0: there was none), or deletes it.
type Write struct {
	Key      string
	Value    []byte
	Delete   bool
	Revision uint64
}

// A Result is the outcome of one Write.
type Result struct {
	Revision uint64
	Conflict bool // the record was not of the expected revision; nothing was written
}

// Observed is a record as the store has it.
type Observed struct {
	Key      string
	Value    []byte
	Deleted  bool
	Revision uint64
}

// Asked is a request of a client; Token finds its way back in the Reply.
type Asked struct {
	Request wire.Request
	Token   any
}

// Output is what a step wants sent.
type Output struct {
	Orders  map[string]*wire.Orders // by agent
	Replies []Reply
}

// A Reply answers an Asked.
type Reply struct {
	Token    any
	Response wire.Response
}

// Core is the dispatcher's knowledge and its rules. It follows what the store
// says until Lead is called; from then on it decides. One goroutine uses it.
type Core struct {
	Throttle Throttle

	term uint64 // 0 while following
	now  time.Time

	system      *record[wire.System]
	definitions map[string]*record[wire.Definition]
	engines     map[string]*record[wire.Engine]
	nodes       map[string]*record[wire.Node]
	agents      map[string]*record[wire.Agent]
	processes   map[string]*process
	heard       map[string]*heard

	dirty     []pending           // records that this step changed
	sweep     map[string]struct{} // agents that may hold slots of processes that left them
	doubts    []doubtful          // slots of this step that a fence will decide on
	fenced    map[slot]uint64     // fences that stand, by the agent's revision
	rematch   bool                // a process was queued, or room appeared
	queue     []*process          // may hold some that are queued no longer
	sorted    bool
	throttled map[string]time.Time // queued processes that must not start yet
	lastOrder uint64
	placed    map[string][]placement // placements of this step by agent
	finished  []finish               // reports of an end, to be forgotten when they are on record
	unproven  []unproven             // replies that hold only once their record is written
	retry     []Asked
	out       Output
}

type process struct {
	record[wire.Process]
	sent    time.Time // when it was last sent to its agent
	inQueue bool
}

type finish struct {
	agent  string
	target wire.Target
}

// NewCore returns a Core that knows nothing yet.
func NewCore() *Core {
	c := &Core{
		Throttle:    DefaultThrottle,
		system:      &record[wire.System]{key: wire.SystemKey},
		definitions: map[string]*record[wire.Definition]{},
		engines:     map[string]*record[wire.Engine]{},
		nodes:       map[string]*record[wire.Node]{},
		agents:      map[string]*record[wire.Agent]{},
		processes:   map[string]*process{},
		heard:       map[string]*heard{},
		sweep:       map[string]struct{}{},
		fenced:      map[slot]uint64{},
		throttled:   map[string]time.Time{},
		placed:      map[string][]placement{},
	}
	c.out.Orders = map[string]*wire.Orders{}
	return c
}

// Lead makes the core decide, as the holder of the lease of this term. Agents get
// a full period of grace: their silence before is not known for sure. They hear of the
// new leader at once, and tell it what it may have missed.
func (c *Core) Lead(term uint64, now time.Time) {
	c.term, c.now = term, now
	c.rematch = true
	for name, a := range c.agents {
		c.sweep[name] = struct{}{}
		c.hear(name).seen = now
		if a.wants {
			c.orders(name)
		}
	}
	for _, p := range c.processes {
		c.track(p)
		c.checkSlot(p)
	}
}

// checkSlot takes a process from an agent that has no slot for it on record: the
// dispatcher that removed the agent died before it came to the process.
func (c *Core) checkSlot(p *process) {
	if !p.wants || !p.wanted.State.Placed() {
		return
	}
	a, ok := find(c.agents, p.wanted.Agent)
	if !ok || !slices.Contains(a.Assigned, wire.Target{ID: p.wanted.ID, Round: p.wanted.Round}) {
		c.ended(p, ending{reason: "its agent " + p.wanted.Agent + " was removed", uptime: c.uptime(p)})
	}
}

// Leading says whether Lead was called.
func (c *Core) Leading() bool { return c.term != 0 }

// Step takes in what happened, decides, writes the decisions and returns what is
// to be sent. After an error nothing is known of the writes: the core is void.
func (c *Core) Step(ctx context.Context, now time.Time, store Store, inputs []any) (Output, error) {
	c.now = now
	for _, in := range inputs { // first, or they would undo what the others change
		if o, ok := in.(Observed); ok {
			c.observe(o)
		}
	}
	for _, in := range inputs {
		c.take(in)
	}
	for c.Leading() {
		c.checkHealth()
		c.wakeThrottled()
		c.sweepAgents()
		if c.rematch {
			c.rematch = false
			c.match()
		}
		c.raiseFences()
		if len(c.dirty) == 0 && len(c.unproven) == 0 && len(c.sweep) == 0 {
			break
		}
		if err := c.flush(ctx, store); err != nil {
			return Output{}, err
		}
		again := c.retry
		c.retry = nil
		for _, asked := range again {
			c.ask(asked)
		}
	}
	c.forgetFinished()
	out := c.out
	c.out = Output{Orders: map[string]*wire.Orders{}}
	return out, nil
}

func (c *Core) take(in any) {
	switch in := in.(type) {
	case wire.Heartbeat:
		c.heartbeat(in)
	case Asked:
		if !c.Leading() {
			c.reply(in, refuse(wire.CodeNotReady, "this dispatcher does not lead"))
			return
		}
		c.ask(in)
	}
}

// observe takes over a record from the store, whoever wrote it.
func (c *Core) observe(o Observed) {
	kind, name, _ := strings.Cut(o.Key, ".")
	switch kind {
	case "system":
		c.system.observe(o)
		c.rematch = true
	case "definition":
		recordOf(c.definitions, o.Key, name).observe(o)
	case "engine":
		recordOf(c.engines, o.Key, name).observe(o)
		c.rematch = true
	case "node":
		recordOf(c.nodes, o.Key, name).observe(o)
		c.rematch = true
	case "agent":
		recordOf(c.agents, o.Key, name).observe(o)
		c.sweep[name] = struct{}{}
		c.rematch = true
	case "process":
		p := c.process(name)
		if !p.observe(o) {
			return
		}
		if p.stored.Agent != "" {
			c.sweep[p.stored.Agent] = struct{}{}
		}
		c.track(p)
		if c.Leading() {
			c.checkSlot(p)
		}
	}
}

// process returns the record of an id, which may not exist in the store.
func (c *Core) process(id string) *process {
	p := c.processes[id]
	if p == nil {
		p = &process{}
		p.key = wire.ProcessKey(id)
		c.processes[id] = p
	}
	return p
}

// orders returns the message to an agent that this step is composing.
func (c *Core) orders(agent string) *wire.Orders {
	o := c.out.Orders[agent]
	if o == nil {
		o = &wire.Orders{Term: c.term, Epoch: c.hear(agent).epoch}
		c.out.Orders[agent] = o
	}
	return o
}

func (c *Core) reply(asked Asked, r wire.Response) {
	c.out.Replies = append(c.out.Replies, Reply{asked.Token, r})
}

func refuse(code, format string, args ...any) wire.Response {
	return wire.Response{Error: &wire.Error{Code: code, Message: fmt.Sprintf(format, args...)}}
}

func result(v any) wire.Response {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types; an invalid state in one of them is a bug
	}
	return wire.Response{Result: data}
}
