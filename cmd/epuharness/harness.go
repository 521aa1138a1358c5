package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/launchplan/launch/harness/daemon"
	"github.com/launchplan/launch/harness/deploy"
)

func newStartCommand(g *globals) *cobra.Command {
	var bootMode bool
	cmd := &cobra.Command{
		Use:   "start [DEPLOYMENT]",
		Short: "Start a harness: broker, dispatchers and agents as daemons",
		Long: `Start starts the daemons of a deployment file, or, without one, a broker, a dispatcher
and a node with one agent. It returns when all of them answer, and prints the URL of
the broker, by which the dispatcher is reached. Where one runs already, it fails and
changes nothing.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			deployment := deploy.Default()
			if len(args) == 1 {
				d, files, diags := deploy.Load(args[0])
				if diags.HasErrors() {
					return g.showDiagnostics(files, diags)
				}
				deployment = d
			}
			return g.start(cmd.Context(), deployment, bootMode)
		},
	}
	cmd.Flags().BoolVar(&bootMode, "boot-mode", false, "begin in system boot mode; end it with: epuharness boot-mode off")
	return cmd
}

func (g *globals) showDiagnostics(files map[string]*hcl.File, diags hcl.Diagnostics) error {
	if err := hcl.NewDiagnosticTextWriter(g.err, files, 100, false).WriteDiagnostics(diags); err != nil {
		return err
	}
	return &usageError{errShown}
}

func (g *globals) start(ctx context.Context, d *deploy.Deployment, bootMode bool) error {
	h, err := g.harness()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	r, err := h.Start(ctx, d, bootMode, g.note)
	if err != nil {
		return err
	}
	if g.json() {
		return g.writeJSON(struct {
			URL         string `json:"dispatcher_url"`
			Credentials string `json:"credentials"`
			State       string `json:"state_directory"`
		}{r.URL, r.Credentials, h.Dir})
	}
	fmt.Fprintln(g.out, r.URL)
	return nil
}

func newStopCommand(g *globals) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "stop [NAME...]",
		Short: "Stop the harness, or some of its nodes, agents or dispatchers",
		Long: `Stop ends the daemons in order. It refuses while the agents have processes; with
--force it terminates those first, kills what does not end, and says what is left.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := g.harness()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), g.timeout)
			defer cancel()
			err = h.Stop(ctx, args, force)
			if errors.Is(err, daemon.ErrNone) && len(args) == 0 {
				g.note("no harness runs in " + h.Dir)
				return nil
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "end processes, too")
	return cmd
}

func newKillCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "kill [[node|agent|dispatcher] NAME]",
		Short: "Kill everything of the harness, or make a part of it fail",
		Long: `Kill without a name ends, at once, everything that can be found of the harness,
whatever its state files say. With the name of a node it takes that away as a power cut
would: its agents and all their processes. An agent, a dispatcher or "broker" is killed
alone; an agent's processes go on. Bring them back with: epuharness recover`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := g.harness()
			if err != nil {
				return err
			}
			switch len(args) {
			case 0:
				return h.Kill()
			case 1:
				return h.KillNamed("", args[0])
			}
			switch args[0] {
			case "node", "agent", "dispatcher", "broker":
				return h.KillNamed(args[0], args[1])
			}
			return usagef("%q: it is node, agent, dispatcher or broker", args[0])
		},
	}
}

func newRecoverCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "recover [NAME...]",
		Short: "Bring back what is dead or frozen of the harness, or the named part of it",
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.recover(cmd.Context(), args)
		},
	}
}

func (g *globals) recover(ctx context.Context, names []string) error {
	h, err := g.harness()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	started, err := h.Recover(ctx, names)
	if err != nil {
		return err
	}
	if g.json() {
		return g.writeJSON(started)
	}
	for _, d := range started {
		fmt.Fprintln(g.out, d.Kind, d.Name)
	}
	return nil
}

func newStatusCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show every daemon of the harness; status 1 where one is not well",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := g.harness()
			if err != nil {
				return err
			}
			st, err := h.Status(cmd.Context())
			if err != nil {
				return err
			}
			if err := g.showStatus(st); err != nil {
				return err
			}
			if st.Status != "ok" {
				return errShown
			}
			return nil
		},
	}
}

func (g *globals) showStatus(st *daemon.Status) error {
	if g.json() {
		return g.writeJSON(st)
	}
	rows := [][]string{{"KIND", "NAME", "NODE", "PID", "STATUS", "DETAIL"}}
	for _, d := range st.Daemons {
		pid := ""
		if d.PID != 0 {
			pid = strconv.Itoa(d.PID)
		}
		rows = append(rows, []string{d.Kind, d.Name, d.Node, pid, d.Status, d.Detail})
	}
	if err := g.table(rows); err != nil {
		return err
	}
	fmt.Fprintln(g.out)
	if slices.ContainsFunc(st.Daemons, func(d daemon.Health) bool { return d.Status != "ok" && d.Status != "silent" }) {
		fmt.Fprintln(g.out, "To bring back what is dead, frozen or idle: epuharness recover")
	}
	fmt.Fprintf(g.out, "status: %s, dispatcher_url: %s, leader: %s\n", st.Status, st.URL, cmp.Or(st.Leader, "none"))
	return nil
}
