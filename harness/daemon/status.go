package daemon

import (
	"context"
	"sync"
	"time"

	"github.com/launchplan/launch/harness/client"
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
	Status string `json:"status"` // ok, dead, silent (it runs but does not answer) or warning
	Detail string `json:"detail"`
	Log    string `json:"log"`
}

// pingTimeout is how long a daemon may take to answer.
const pingTimeout = 2 * time.Second

// Status asks every daemon of the deployment.
func (h *Harness) Status(ctx context.Context) (*Status, error) {
	r, err := h.Record()
	if err != nil {
		return nil, err
	}
	st := &Status{Status: "ok", URL: r.URL, Credentials: r.Credentials, State: h.Dir, Daemons: []Health{}}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	c, dialErr := client.Dial(ctx, r.Address("epuharness status"), nil)
	if dialErr == nil {
		defer c.Close()
	}
	for _, d := range r.daemons() {
		d = h.saved(d)
		health := Health{Kind: d.Kind, Name: d.Name, Node: d.Node, PID: d.Proc.PID, Status: "ok", Log: h.LogPath(d.Name)}
		switch {
		case !d.Proc.Alive():
			health.Status, health.PID, health.Detail = "dead", 0, "its process is gone"
		case dialErr != nil:
			health.Status, health.Detail = "silent", dialErr.Error()
		}
		st.Daemons = append(st.Daemons, health)
	}
	var wg sync.WaitGroup
	var leaders sync.Map
	for i := range st.Daemons {
		d := &st.Daemons[i]
		if d.Status != "ok" || d.Kind == "broker" {
			continue
		}
		wg.Go(func() {
			var answer wire.Status
			if err := c.Ping(ctx, d.Kind, d.Name, &answer); err != nil {
				d.Status, d.Detail = "silent", err.Error()
			} else if answer.Leads {
				d.Detail = "leads"
				leaders.Store("leader", d.Name)
			}
		})
	}
	wg.Wait()
	if name, ok := leaders.Load("leader"); ok {
		st.Leader = name.(string)
	}
	for _, d := range st.Daemons {
		if d.Status != "ok" {
			st.Status = "failed"
		}
	}
	if len(r.Deployment.Dispatchers) > 0 && st.Leader == "" {
		st.Status = "failed"
	}
	return st, nil
}
