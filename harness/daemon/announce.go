package daemon

import (
	"context"

	"github.com/launchplan/launch/harness/client"
	"github.com/launchplan/launch/harness/deploy"
	"github.com/launchplan/launch/harness/wire"
)

// telling is what the dispatchers are told of a deployment while its daemons start.
type telling func(context.Context, *client.Client, *Record) error

func beginBoot(ctx context.Context, c *client.Client, _ *Record) error {
	return c.Request(ctx, wire.Request{Op: wire.OpBootMode, On: true}, nil)
}

// announce tells the dispatchers of the deployment's engines and nodes, as whoever
// provisions real machines would, and forgets nodes of an earlier deployment.
func announce(ctx context.Context, c *client.Client, r *Record) error {
	none := map[string]bool{}
	if err := announceExcept(ctx, c, r.Deployment, none, none); err != nil {
		return err
	}
	if r.Deployment.Broker != nil { // which is shared: others have their nodes, too
		return nil
	}
	nodes, err := namesOf(ctx, c, wire.AskNodes)
	if err != nil {
		return err
	}
	for name := range nodes {
		if r.isNode(name) {
			continue
		}
		if err := c.Request(ctx, wire.Request{Op: wire.OpRemoveNode, Name: name, Force: true}, nil); err != nil {
			return err
		}
	}
	return nil
}

// announceMissing tells the dispatchers of what they do not know. The rest was announced
// when the harness was started, and may have been changed since.
func announceMissing(ctx context.Context, c *client.Client, r *Record) error {
	engines, err := namesOf(ctx, c, wire.AskEngines)
	if err != nil {
		return err
	}
	nodes, err := namesOf(ctx, c, wire.AskNodes)
	if err != nil {
		return err
	}
	return announceExcept(ctx, c, r.Deployment, engines, nodes)
}

func announceExcept(ctx context.Context, c *client.Client, d *deploy.Deployment, engines, nodes map[string]bool) error {
	for i := range d.Engines {
		if engines[d.Engines[i].Name] {
			continue
		}
		if err := c.Request(ctx, wire.Request{Op: wire.OpPutEngine, Engine: &d.Engines[i]}, nil); err != nil {
			return err
		}
	}
	for _, n := range d.Nodes {
		if nodes[n.Name] {
			continue
		}
		node := &wire.Node{Name: n.Name, Engine: n.Engine, Properties: n.Properties}
		if err := c.Request(ctx, wire.Request{Op: wire.OpAnnounceNode, Node: node}, nil); err != nil {
			return err
		}
	}
	return nil
}

// namesOf are the names of all that the dispatchers know of a kind.
func namesOf(ctx context.Context, c *client.Client, ask string) (map[string]bool, error) {
	list, err := client.List[struct {
		Name string `json:"name"`
	}](ctx, c, wire.Query{Ask: ask})
	names := map[string]bool{}
	for _, record := range list {
		names[record.Name] = true
	}
	return names, err
}
