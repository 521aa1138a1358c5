package dispatch_test

import (
	"strings"

	"github.com/launchplan/launch/harness/minder"
	"github.com/launchplan/launch/harness/wire"
)

// settle makes the world kind: everyone is up, one dispatcher leads, every message
// arrives once and in order. Then it checks what must be true in the end.
func (w *world) settle() {
	if w.failure != "" {
		return
	}
	w.kind = true
	w.kill(1)
	w.elect(0)
	for _, a := range w.agents {
		if !a.up {
			w.startAgent(a)
		}
	}
	w.request(wire.Request{Op: wire.OpBootMode})
	for _, n := range []string{"n0", "n1"} {
		w.request(wire.Request{Op: wire.OpAnnounceNode, Node: &wire.Node{Name: n}})
	}
	for _, a := range w.agents {
		w.request(wire.Request{Op: wire.OpEnableAgent, Name: a.name})
	}
	for range 40 {
		w.now = w.now.Add(period)
		for range 30 {
			for _, a := range w.agents {
				w.heartbeat(a)
				w.live(a)
			}
			for n := 0; len(w.messages) > 0; n++ {
				w.deliver()
				if n > 10000 {
					w.fail("dispatcher and agents never stop answering each other")
					return
				}
			}
			w.step(0, nil)
		}
	}
	w.checkEnd()
}

// checkEnd: records and agents agree, nothing is left over, and whatever can run runs.
func (w *world) checkEnd() {
	running := map[wire.Target]string{}
	for _, a := range w.agents {
		for t, p := range a.processes {
			if p.State != minder.Running {
				w.fail("%s still keeps the end of %v", a.name, t)
			} else {
				running[t] = a.name
			}
		}
	}
	free := map[string]int{} // by node
	for _, a := range w.agents {
		rec := decode[wire.Agent](w.store[wire.AgentKey(a.name)])
		if rec.Name == "" {
			w.fail("agent %s is not on record", a.name)
		}
		free[a.node] += slots - len(rec.Assigned)
		for _, t := range rec.Assigned {
			if running[t] != a.name {
				w.fail("a slot of %s is held for %v, which does not run there", a.name, t)
			}
		}
	}
	tagged := map[string]bool{}
	var waiting []wire.Process
	for key, o := range w.store {
		if !strings.HasPrefix(key, "process.") || o.Deleted {
			continue
		}
		p := decode[wire.Process](o)
		t := wire.Target{ID: p.ID, Round: p.Round}
		switch {
		case p.State == wire.Running:
			if running[t] != p.Agent {
				w.fail("process %s is RUNNING on %s, but runs on %q", p.ID, p.Agent, running[t])
			}
			delete(running, t)
			if p.NodeExclusive != "" {
				tagged[p.Node] = true
			}
		case p.State == wire.Waiting:
			waiting = append(waiting, p)
		case !p.State.Resting():
			w.fail("process %s is %v for ever", p.ID, p.State)
		}
	}
	for t, a := range running {
		w.fail("%s runs %v, of which the records know nothing", a, t)
	}
	for _, p := range waiting {
		for node, n := range free {
			if n > 0 && (p.Constraints["node"] == nil || p.Constraints["node"].Allow(node)) && (p.NodeExclusive == "" || !tagged[node]) {
				w.fail("process %s waits although node %s has room: %+v", p.ID, node, p)
			}
		}
	}
}
