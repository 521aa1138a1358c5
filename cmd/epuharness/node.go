package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/harness/client"
	"github.com/launchplan/launch/harness/deploy"
	"github.com/launchplan/launch/harness/wire"
)

func newNodeCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "node", Short: "Nodes, on which agents stand"}
	cmd.AddCommand(newNodeListCommand(g), newNodeAnnounceCommand(g),
		g.removal("remove NAME...", "Forget nodes with their agents", wire.OpRemoveNode),
		&cobra.Command{
			Use: "start NAME", Short: "Start the agents of one of this harness's nodes again", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error { return g.recover(cmd.Context(), args) },
		})
	return cmd
}

func newNodeListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List nodes", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.withClient(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				list, err := client.List[wire.NodeView](ctx, c, wire.Query{Ask: wire.AskNodes})
				if err != nil {
					return err
				}
				if g.json() {
					return g.writeJSON(list)
				}
				rows := [][]string{{"NAME", "ENGINE", "STATE", "USED", "SLOTS", "AGENTS"}}
				for _, n := range list {
					rows = append(rows, []string{n.Name, n.Engine, n.State, strconv.Itoa(n.Used), strconv.Itoa(n.Slots), strings.Join(n.Agents, ",")})
				}
				return g.table(rows)
			})
		},
	}
}

func newNodeAnnounceCommand(g *globals) *cobra.Command {
	var engine string
	var properties []string
	cmd := &cobra.Command{
		Use: "announce NAME", Short: "Tell the dispatcher of a node that is ready, as a provisioner does", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			props, err := pairs(properties, "property")
			if err != nil {
				return err
			}
			return g.withClient(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				node := &wire.Node{Name: args[0], Engine: engine, Properties: props}
				var stored json.RawMessage
				if err := c.Request(ctx, wire.Request{Op: wire.OpAnnounceNode, Node: node}, &stored); err != nil {
					return err
				}
				return g.showStored(stored, args[0])
			})
		},
	}
	cmd.Flags().StringVar(&engine, "engine", "", "its engine (default: the default engine)")
	cmd.Flags().StringArrayVar(&properties, "property", nil, "`NAME=VALUE` of all its agents; can be repeated")
	return cmd
}

// showStored shows a record as JSON, or just its name.
func (g *globals) showStored(stored json.RawMessage, name string) error {
	if g.json() {
		return g.writeJSON(stored)
	}
	fmt.Fprintln(g.out, name)
	return nil
}

func newEngineCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "engine", Short: "Engines, the kinds of agents"}
	cmd.AddCommand(newEngineListCommand(g), newEngineDefineCommand(g), newEngineLoadCommand(g),
		g.removal("remove NAME...", "Remove engines that nothing uses", wire.OpRemoveEngine))
	return cmd
}

func newEngineListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List engines", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.withClient(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				list, err := client.List[wire.Engine](ctx, c, wire.Query{Ask: wire.AskEngines})
				if err != nil {
					return err
				}
				if g.json() {
					return g.writeJSON(list)
				}
				rows := [][]string{{"NAME", "SLOTS", "BASE NEED", "SPARE SLOTS", "HEARTBEAT", "DEFAULT"}}
				for _, e := range list {
					rows = append(rows, []string{e.Name, strconv.Itoa(e.Slots), strconv.Itoa(e.BaseNeed), strconv.Itoa(e.SpareSlots), e.Heartbeat.Std().String(), strconv.FormatBool(e.Default)})
				}
				return g.table(rows)
			})
		},
	}
}

func newEngineDefineCommand(g *globals) *cobra.Command {
	var e wire.Engine
	cmd := &cobra.Command{
		Use: "define NAME", Short: "Define an engine, or change it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e.Name = args[0]
			return g.withClient(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				var stored json.RawMessage
				if err := c.Request(ctx, wire.Request{Op: wire.OpPutEngine, Engine: &e}, &stored); err != nil {
					return err
				}
				return g.showStored(stored, e.Name)
			})
		},
	}
	f := cmd.Flags()
	f.IntVar(&e.Slots, "slots", wire.DefaultSlots, "slots per agent")
	f.IntVar(&e.BaseNeed, "base-need", wire.DefaultBaseNeed, "nodes that are needed whatever runs")
	f.IntVar(&e.SpareSlots, "spare-slots", 0, "slots to keep free")
	f.IntVar(&e.Maximum, "maximum", 0, "nodes that may be asked for (0: no limit)")
	f.DurationVar((*time.Duration)(&e.Heartbeat), "heartbeat", wire.DefaultHeartbeat.Std(), "period of its agents' heartbeats")
	f.IntVar(&e.Warning, "warning", wire.DefaultWarning, "missed heartbeats after which an agent gets no new work")
	f.IntVar(&e.Missing, "missing", wire.DefaultMissing, "missed heartbeats after which its processes are started elsewhere")
	f.BoolVar(&e.Default, "default", false, "use it where nothing is said")
	return cmd
}

func newEngineLoadCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "load DEPLOYMENT", Short: "Define the engines of a deployment file", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, files, diags := deploy.Load(args[0])
			if diags.HasErrors() {
				return g.showDiagnostics(files, diags)
			}
			return g.withClient(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				for i := range d.Engines {
					if err := c.Request(ctx, wire.Request{Op: wire.OpPutEngine, Engine: &d.Engines[i]}, nil); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

// addAgentClients adds what a client does with agents to the command that runs one.
func addAgentClients(g *globals, cmd *cobra.Command) *cobra.Command {
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "List agents", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return g.listAgents(cmd.Context()) },
	})
	for _, use := range []struct{ verb, short, op string }{
		{"disable", "Give agents no new work", wire.OpDisableAgent},
		{"enable", "Give agents work again", wire.OpEnableAgent},
	} {
		cmd.AddCommand(g.removal(use.verb+" NAME...", use.short, use.op))
	}
	cmd.AddCommand(newAgentStopCommand(g), g.removal("remove NAME...", "Forget agents; one that still runs is on record again with its next heartbeat", wire.OpRemoveAgent))
	return cmd
}

func (g *globals) listAgents(ctx context.Context) error {
	return g.withClient(ctx, func(ctx context.Context, c *client.Client) error {
		list, err := client.List[wire.AgentView](ctx, c, wire.Query{Ask: wire.AskAgents})
		if err != nil {
			return err
		}
		if g.json() {
			return g.writeJSON(list)
		}
		rows := [][]string{{"NAME", "NODE", "ENGINE", "HEALTH", "USED", "SLOTS", "HOST"}}
		for _, a := range list {
			rows = append(rows, []string{a.Name, a.Node, a.Engine, a.Health, strconv.Itoa(a.Used), strconv.Itoa(a.Slots), a.Host})
		}
		return g.table(rows)
	})
}

func newNeedsCommand(g *globals) *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use: "needs", Short: "Show how many nodes of each engine the processes call for", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if watch && !cmd.Flags().Changed("timeout") {
				g.timeout = followFor
			}
			return g.withClient(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				if watch {
					return c.WatchNeeds(ctx, g.showNeedsLine)
				}
				var needs []wire.Need
				if err := c.Query(ctx, wire.Query{Ask: wire.AskNeeds}, &needs); err != nil {
					return err
				}
				return g.showNeeds(needs)
			})
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "show them again whenever they change (JSON: one list per line)")
	return cmd
}

func (g *globals) showNeeds(needs []wire.Need) error {
	if g.json() {
		return g.writeJSON(needs)
	}
	rows := [][]string{{"ENGINE", "NEED", "NODES", "OCCUPIED", "PROCESSES", "QUEUED", "RETIRE"}}
	for _, n := range needs {
		rows = append(rows, []string{n.Engine, strconv.Itoa(n.Need), strconv.Itoa(n.Nodes), strconv.Itoa(n.Occupied), strconv.Itoa(n.Processes), strconv.Itoa(n.Queued), strings.Join(n.Retire, ",")})
	}
	return g.table(rows)
}

func (g *globals) showNeedsLine(needs []wire.Need) error {
	if g.json() {
		return json.NewEncoder(g.out).Encode(needs)
	}
	return g.showNeeds(needs)
}

func newBootModeCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "boot-mode [on|off]",
		Short: "Begin or end the system's boot: until its end, what cannot be placed is held",
		Args:  cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs), ValidArgs: []string{"on", "off"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.withClient(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				var s wire.System
				var err error
				if len(args) == 0 {
					err = c.Query(ctx, wire.Query{Ask: wire.AskSystem}, &s)
				} else {
					err = c.Request(ctx, wire.Request{Op: wire.OpBootMode, On: args[0] == "on"}, &s)
				}
				if err != nil {
					return err
				}
				if g.json() {
					return g.writeJSON(struct {
						BootMode bool `json:"boot_mode"`
					}{s.BootMode})
				}
				fmt.Fprintln(g.out, map[bool]string{true: "on", false: "off"}[s.BootMode])
				return nil
			})
		},
	}
}
