package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/launchplan/launch/harness/client"
	"github.com/launchplan/launch/harness/deploy"
	"github.com/launchplan/launch/harness/wire"
)

// Status is how a harness stands.
type Status struct {
	Status      string   `json:"status"` // ok, or failed
	URL         string   `json:"url"`
	Credentials string   `json:"credentials"`
	State       string   `json:"state_directory"`
	Leader      string   `json:"leader"`
	Daemons     []Health `json:"daemons"`
}

// Health is how one daemon stands.
type Health struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Node   string `json:"node"`
	PID    int    `json:"pid"`
	Status string `json:"status"` // ok, dead, frozen, silent (it runs but does not answer) or idle (it gets no work)
	Detail string `json:"detail"`
	Log    string `json:"log"`
}

// pingTimeout is how long a daemon may take to answer.
const pingTimeout = 2 * time.Second

// leads is the detail of the dispatcher that leads.
const leads = "leads"

// Status asks every daemon of the deployment.
func (h *Harness) Status(ctx context.Context) (*Status, error) {
	r, err := h.Record()
	if err != nil {
		return nil, err
	}
	daemons := r.daemons()
	st := &Status{Status: "ok", URL: r.URL, Credentials: r.Credentials, State: h.Dir, Daemons: make([]Health, len(daemons))}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	c, dialErr := client.Dial(ctx, r.Address("epuharness status"), nil)
	if dialErr == nil {
		defer c.Close()
	}
	var wg sync.WaitGroup
	for i, d := range daemons {
		wg.Go(func() { st.Daemons[i] = h.health(ctx, c, dialErr, h.saved(d)) })
	}
	wg.Wait()
	for _, d := range st.Daemons {
		if d.Detail == leads {
			st.Leader = d.Name
		}
	}
	if c != nil && st.Leader != "" && !slices.ContainsFunc(st.Daemons, unwell) { // else someone may not answer
		if err := noteIdle(ctx, c, r.Deployment, st.Daemons); err != nil {
			return nil, fmt.Errorf("ask the dispatchers for their agents: %w", err)
		}
	}
	if slices.ContainsFunc(st.Daemons, unwell) || len(r.Deployment.Dispatchers) > 0 && st.Leader == "" {
		st.Status = "failed"
	}
	return st, nil
}

// health looks at one daemon, and pings it where the broker could be reached.
func (h *Harness) health(ctx context.Context, c *client.Client, dialErr error, d Daemon) Health {
	health := Health{Kind: d.Kind, Name: d.Name, Node: d.Node, PID: d.Proc.PID, Status: "ok", Log: h.LogPath(d.Name)}
	if !d.Proc.Alive() {
		health.Status, health.PID, health.Detail = "dead", 0, "its process is gone"
		return health
	}
	problem := dialErr
	if c != nil && d.Kind != "broker" {
		var answer wire.Status
		if problem = c.Ping(ctx, d.Kind, d.Name, &answer); answer.Leads {
			health.Detail = leads
		}
	}
	// After the ping: a signal may take a moment, and whoever has answered was not frozen before.
	frozen := h.frozen(d)
	switch {
	case len(frozen) > 0 && frozen[0] == d.Proc:
		health.Status, health.Detail = "frozen", "a signal has stopped it"
	case len(frozen) > 0:
		health.Status, health.Detail = "frozen", fmt.Sprintf("a signal has stopped its minder, pid %d: it starts and ends nothing", frozen[0].PID)
	case problem != nil:
		health.Status, health.Detail = "silent", problem.Error()
	}
	return health
}

func unwell(d Health) bool { return d.Status != "ok" }

// noteIdle finds the agents that answer but get no work: the dispatchers refuse them.
func noteIdle(ctx context.Context, c *client.Client, d *deploy.Deployment, daemons []Health) error {
	agents, agentsErr := namesOf(ctx, c, wire.AskAgents)
	nodes, nodesErr := namesOf(ctx, c, wire.AskNodes)
	defined, definedErr := namesOf(ctx, c, wire.AskEngines)
	if err := errors.Join(agentsErr, nodesErr, definedErr); err != nil {
		return err
	}
	engines := map[string]string{}
	for _, n := range d.Nodes {
		for _, a := range n.Agents {
			engines[a.Name] = a.Engine
		}
	}
	for i := range daemons {
		h := &daemons[i]
		if h.Kind != "agent" || h.Status != "ok" {
			continue
		}
		var why string
		switch engine := engines[h.Name]; {
		case !defined[engine]:
			why = fmt.Sprintf("engine %s is not defined", engine)
		case !nodes[h.Node]:
			why = fmt.Sprintf("node %s is not announced", h.Node)
		case !agents[h.Name]:
			why = "no dispatcher has it on record"
		default:
			continue
		}
		h.Status, h.Detail = "idle", "it gets no work: "+why
	}
	return nil
}
