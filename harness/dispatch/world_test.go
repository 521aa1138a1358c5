package dispatch_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/launchplan/launch/harness/agent"
	"github.com/launchplan/launch/harness/dispatch"
	"github.com/launchplan/launch/harness/minder"
	"github.com/launchplan/launch/harness/wire"
)

const (
	period  = time.Second // of heartbeats
	slots   = 3
	nAgents = 4
	nIDs    = 14
)

// world is everything around the dispatchers' cores and the agents' tables: store,
// network, minders, clients and time, driven by one random source.
type world struct {
	rnd     *rand.Rand
	now     time.Time
	kind    bool // no more failures
	failure string
	story   []string

	store   map[string]dispatch.Observed
	log     []dispatch.Observed // every write, in order
	writing bool                // another dispatcher's step is nested in a write

	term        uint64
	dispatchers []*dispatcher
	agents      []*simAgent
	messages    []message
	started     map[wire.Target]string // by which agent each round of a process was started
}

type dispatcher struct {
	core *dispatch.Core // nil: dead
	read int            // how much of the log it has observed
}

type simAgent struct {
	name, node string
	up         bool
	epoch      uint64
	clock      uint64
	beat       time.Time
	table      *agent.Table
	prepared   []wire.Target
	processes  map[wire.Target]*minder.Process // what its minder has
}

// message is a heartbeat or orders, under way.
type message struct {
	heartbeat *wire.Heartbeat
	orders    *wire.Orders
	to        int // dispatcher or agent
}

func newWorld(seed uint64) *world {
	w := &world{
		rnd: rand.New(rand.NewPCG(seed, 7)), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		store: map[string]dispatch.Observed{}, started: map[wire.Target]string{},
		dispatchers: []*dispatcher{{}, {}},
	}
	for i := range nAgents {
		w.agents = append(w.agents, &simAgent{
			name: fmt.Sprintf("a%d", i), node: fmt.Sprintf("n%d", i/2), processes: map[wire.Target]*minder.Process{},
		})
	}
	w.kind = true
	w.elect(0)
	w.request(wire.Request{Op: wire.OpPutEngine, Engine: &wire.Engine{Name: "default", Slots: slots, Heartbeat: wire.Duration(period)}})
	for _, n := range []string{"n0", "n1"} {
		w.request(wire.Request{Op: wire.OpAnnounceNode, Node: &wire.Node{Name: n}})
	}
	w.request(wire.Request{Op: wire.OpPutDefinition, Definition: &wire.Definition{Name: "d", Argv: []string{"x"}}})
	for _, a := range w.agents {
		w.startAgent(a)
	}
	w.kind = false
	return w
}

func (w *world) note(format string, args ...any) {
	w.story = append(w.story, w.now.Format("05.000 ")+fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	if w.failure == "" {
		w.failure = fmt.Sprintf(format, args...)
	}
}

func (w *world) tail() string {
	return strings.Join(w.story[max(0, len(w.story)-2000):], "\n")
}

func (w *world) chance(percent int) bool { return w.rnd.IntN(100) < percent }

// play lets random things happen.
func (w *world) play(steps int) {
	for range steps {
		if w.failure != "" {
			return
		}
		w.now = w.now.Add(time.Duration(w.rnd.IntN(60)) * time.Millisecond)
		switch n := w.rnd.IntN(100); {
		case n < 40:
			w.deliver()
		case n < 55:
			w.client()
		case n < 70:
			w.live(w.agents[w.rnd.IntN(nAgents)])
		case n < 90:
			w.step(w.rnd.IntN(2), nil)
		case n < 92:
			w.elect(w.rnd.IntN(2))
		case n < 93:
			w.kill(w.rnd.IntN(2))
		case n < 96:
			w.hurt(w.agents[w.rnd.IntN(nAgents)])
		default:
			w.now = w.now.Add(time.Duration(w.rnd.IntN(2500)) * time.Millisecond)
		}
		for _, a := range w.agents {
			w.heartbeat(a)
		}
	}
}

// deliver lets the network do something with one of the messages under way.
func (w *world) deliver() {
	if len(w.messages) == 0 {
		return
	}
	i := 0
	if !w.kind && w.chance(30) {
		i = w.rnd.IntN(len(w.messages))
	}
	m := w.messages[i]
	if w.kind || !w.chance(8) {
		w.messages = slices.Delete(w.messages, i, i+1)
	} // else it is repeated some time
	if !w.kind && w.chance(8) {
		return // lost
	}
	if m.heartbeat != nil {
		hb := *m.heartbeat
		hb.Processes = slices.Clone(hb.Processes)
		w.step(m.to, []any{hb})
		return
	}
	a := w.agents[m.to]
	if a.up {
		actions, _ := a.table.Orders(m.orders)
		w.act(a, actions)
		if o := m.orders; len(o.Assign)+len(o.Terminate)+len(o.Forget) > 0 {
			w.beatNow(a)
		}
	}
}

// step lets a dispatcher read what was written, take inputs and decide.
func (w *world) step(i int, inputs []any) {
	d := w.dispatchers[i]
	if d.core == nil {
		return
	}
	read := len(w.log)
	if !w.kind && !w.chance(60) {
		read = d.read + w.rnd.IntN(len(w.log)-d.read+1) // the watch lags
	}
	for _, o := range w.log[d.read:read] {
		inputs = append(inputs, o)
	}
	d.read = read
	core := d.core
	out, err := core.Step(context.Background(), w.now, &simStore{w, i}, inputs)
	if err != nil {
		w.note("dispatcher %d: %v", i, err)
		if d.core == core {
			d.core = nil
		}
		return
	}
	for name, o := range out.Orders {
		for j, a := range w.agents {
			if a.name == name {
				w.messages = append(w.messages, message{orders: o, to: j})
			}
		}
	}
	for _, r := range out.Replies {
		if r.Response.Error != nil {
			w.note("dispatcher %d refuses: %s", i, r.Response.Error.Message)
		}
	}
}

// elect makes a dispatcher lead. Another that led goes on for a while without knowing.
func (w *world) elect(i int) {
	w.term++
	d := w.dispatchers[i]
	d.core = dispatch.NewCore()
	d.core.Throttle = dispatch.Throttle{Interval: 2 * time.Second, Longest: 4 * time.Second, Stable: time.Second}
	d.read = 0
	var inputs []any
	for _, o := range w.log {
		inputs = append(inputs, o)
	}
	d.read = len(w.log)
	if _, err := d.core.Step(context.Background(), w.now, &simStore{w, i}, inputs); err != nil {
		panic(err) // it follows: it writes nothing
	}
	d.core.Lead(w.term, w.now)
	w.note("dispatcher %d leads, term %d", i, w.term)
}

func (w *world) kill(i int) {
	w.dispatchers[i].core = nil
	w.note("dispatcher %d dies", i)
}

// client makes a random request of any dispatcher that believes to lead.
func (w *world) client() {
	id := fmt.Sprintf("p%d", w.rnd.IntN(nIDs))
	req := wire.Request{Name: id, ID: fmt.Sprint(w.rnd.Uint64())}
	switch n := w.rnd.IntN(100); {
	case n < 55:
		req.Op = wire.OpSchedule
		params := wire.Parameters{Definition: "d", Restart: pick(w, wire.RestartAlways, wire.RestartAbnormal, wire.RestartNever)}
		if w.chance(20) {
			params.Queueing = pick(w, wire.QueueNever, wire.QueueStartOnly, wire.QueueRestartOnly)
		}
		if w.chance(15) {
			params.NodeExclusive = "tag"
		}
		if w.chance(10) {
			params.Constraints = map[string]wire.Values{"node": {"n1"}}
		}
		if w.chance(10) {
			params.Definition = pick(w, id, "q")
			req.Definition = &wire.Definition{Argv: []string{pick(w, "x", "y")}}
		}
		req.Parameters = &params
	case n < 75:
		req.Op = wire.OpTerminate
	case n < 83:
		req.Op = wire.OpRestart
	case n < 87:
		req.Op = wire.OpRemove
	case n < 90:
		req.Op, req.On = wire.OpBootMode, w.chance(50)
	case n < 93:
		req.Op, req.Name = wire.OpDisableAgent, w.agents[w.rnd.IntN(nAgents)].name
	case n < 97:
		req.Op, req.Name = wire.OpEnableAgent, w.agents[w.rnd.IntN(nAgents)].name
	case n < 98:
		req.Op, req.Name, req.Force = wire.OpRemoveAgent, w.agents[w.rnd.IntN(nAgents)].name, w.chance(80)
	default:
		req.Op, req.Node = wire.OpAnnounceNode, &wire.Node{Name: "n0"}
	}
	w.request(req)
}

func pick[T any](w *world, options ...T) T { return options[w.rnd.IntN(len(options))] }

func (w *world) request(req wire.Request) {
	i := w.rnd.IntN(2)
	if w.dispatchers[i].core == nil {
		i = 1 - i
	}
	w.note("client: %s %s (dispatcher %d)", req.Op, req.Name, i)
	w.step(i, []any{dispatch.Asked{Request: req}})
}

// hurt kills an agent, with its node's power or alone, or starts it again.
func (w *world) hurt(a *simAgent) {
	switch {
	case !a.up:
		w.startAgent(a)
	case w.chance(40):
		w.note("%s loses power", a.name)
		a.up = false
		clear(a.processes)
		for t, by := range w.started {
			if by == a.name {
				delete(w.started, t) // with all memory of it: it may be started there once more
			}
		}
	default:
		w.note("%s is killed, its processes go on", a.name)
		a.up = false
	}
}

func (w *world) startAgent(a *simAgent) {
	a.up = true
	a.epoch++
	a.clock = a.epoch << 22
	a.prepared = nil
	a.table = agent.NewTable(a.epoch, slots)
	for _, t := range slices.SortedFunc(maps.Keys(a.processes), compareTargets) {
		a.table.Minded(*a.processes[t])
	}
	w.note("%s starts, epoch %d", a.name, a.epoch)
	w.beatNow(a)
}

func compareTargets(x, y wire.Target) int {
	if c := strings.Compare(x.ID, y.ID); c != 0 {
		return c
	}
	return x.Round - y.Round
}

// live lets something happen on an agent: a start is prepared, a process ends. What
// happens while the agent is dead, its minder keeps for it.
func (w *world) live(a *simAgent) {
	if a.up && len(a.prepared) > 0 && w.chance(70) {
		t := a.prepared[0]
		a.prepared = a.prepared[1:]
		w.act(a, a.table.Prepared(t, nil))
		w.beatNow(a)
		return
	}
	for _, t := range slices.SortedFunc(maps.Keys(a.processes), compareTargets) {
		p := a.processes[t]
		if p.State != minder.Running || !p.Stopped && (w.kind || !w.chance(15)) {
			continue
		}
		status := pick(w, 0, 0, 1)
		p.State, p.EndedAt, p.ExitStatus = minder.Ended, w.now, &status
		w.note("%s: %v ends with %d (stopped: %v)", a.name, t, status, p.Stopped)
		if a.up {
			w.act(a, a.table.Minded(*p))
			w.beatNow(a)
		}
		return
	}
}

// act is the agent's shell and its minder.
func (w *world) act(a *simAgent, actions []agent.Action) {
	for _, action := range actions {
		switch {
		case action.Prepare != nil:
			a.prepared = append(a.prepared, action.Prepare.Target)
		case action.Stop != nil:
			if p := a.processes[action.Stop.Target]; p != nil && p.State == minder.Running {
				p.Stopped = true
			}
		case action.Forget != nil:
			delete(a.processes, *action.Forget)
		default:
			w.start(a, action.Start)
		}
	}
}

// start runs a process, and checks that nothing runs twice.
func (w *world) start(a *simAgent, t wire.Target) {
	if by, twice := w.started[t]; twice {
		w.fail("process %s, round %d, was started by %s and again by %s", t.ID, t.Round, by, a.name)
	}
	w.started[t] = a.name
	w.note("%s: starts %v", a.name, t)
	p := &minder.Process{Target: t, State: minder.Running, StartedAt: w.now}
	if !w.kind && w.chance(5) {
		p.State, p.StartedAt, p.EndedAt, p.Permanent, p.Reason = minder.Ended, time.Time{}, w.now, true, "no such program"
	}
	a.processes[t] = p
	running := 0
	for other, q := range a.processes {
		if q.State == minder.Running {
			running++
			if other.ID == t.ID && other != t {
				w.fail("%s runs rounds %d and %d of %s at once", a.name, other.Round, t.Round, t.ID)
			}
		}
	}
	if running > slots {
		w.fail("%s runs %d processes in %d slots", a.name, running, slots)
	}
	w.act(a, a.table.Minded(*p))
}

func (w *world) heartbeat(a *simAgent) {
	if a.up && w.now.Sub(a.beat) >= period {
		w.beatNow(a)
	}
}

func (w *world) beatNow(a *simAgent) {
	a.beat = w.now
	a.clock++
	hb := &wire.Heartbeat{Agent: a.name, Node: a.node, Engine: "default", Host: "h", Epoch: a.epoch, Clock: a.clock, Processes: a.table.Reports()}
	if err := hb.Check(); err != nil {
		w.fail("heartbeat: %v", err)
	}
	for i := range w.dispatchers {
		w.messages = append(w.messages, message{heartbeat: hb, to: i})
	}
}
