package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/harness/client"
	"github.com/launchplan/launch/harness/wire"
)

func newProcessCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "process", Aliases: []string{"proc"}, Short: "Processes: schedule, follow and end them"}
	cmd.AddCommand(
		newScheduleCommand(g, wire.OpSchedule), newScheduleCommand(g, wire.OpCreate),
		newProcessListCommand(g), newProcessDescribeCommand(g), newProcessWhyCommand(g),
		newProcessWaitCommand(g), newProcessTerminateCommand(g), newProcessRestartCommand(g), newProcessLogsCommand(g),
		g.removal("remove ID...", "Forget processes that rest", wire.OpRemove),
	)
	return cmd
}

// processView is a process as commands show it: without the dispatcher's own marks.
type processView struct {
	wire.Process
	Order   *struct{} `json:"order,omitempty"`
	Died    *struct{} `json:"died,omitempty"`
	Request *struct{} `json:"request,omitempty"`
	Clock   *struct{} `json:"clock,omitempty"`
}

func viewOf(p wire.Process) processView { return processView{Process: p} }

func (g *globals) showProcess(p wire.Process) error {
	if g.json() {
		return g.writeJSON(viewOf(p))
	}
	fmt.Fprintln(g.out, p.ID, p.State)
	return nil
}

// showProcesses is for commands that take several ids: JSON is a list.
func (g *globals) showProcesses(list []wire.Process) error {
	if !g.json() {
		for _, p := range list {
			fmt.Fprintln(g.out, p.ID, p.State)
		}
		return nil
	}
	views := []processView{}
	for _, p := range list {
		views = append(views, viewOf(p))
	}
	return g.writeJSON(views)
}

func newProcessListCommand(g *globals) *cobra.Command {
	var states []string
	cmd := &cobra.Command{
		Use: "list", Short: "List processes", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, s := range states {
				if _, err := wire.ParseState(s); err != nil {
					return &usageError{err}
				}
			}
			return g.withClient(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				list, err := client.List[wire.Process](ctx, c, wire.Query{Ask: wire.AskProcesses, State: states})
				if err != nil {
					return err
				}
				if g.json() {
					return g.showProcesses(list)
				}
				rows := [][]string{{"ID", "STATE", "ROUND", "DEFINITION", "NODE", "AGENT", "PID", "STARTS", "REASON"}}
				for _, p := range list {
					rows = append(rows, []string{p.ID, p.State.String(), strconv.Itoa(p.Round), p.Definition, p.Node, p.Agent, pidText(p.PID), strconv.Itoa(p.Starts), p.Reason})
				}
				return g.table(rows)
			})
		},
	}
	cmd.Flags().StringSliceVar(&states, "in-state", nil, "only those in one of these `states`")
	return cmd
}

func pidText(pid int) string {
	if pid == 0 {
		return ""
	}
	return strconv.Itoa(pid)
}

func newProcessDescribeCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "describe ID", Short: "Show all that is known of a process", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.withClient(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				var p wire.Process
				if err := c.Query(ctx, wire.Query{Ask: wire.AskProcess, Name: args[0]}, &p); err != nil {
					return err
				}
				return g.writeJSON(viewOf(p))
			})
		},
	}
}

func newProcessWhyCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "why ID", Short: "Say why a process is where it is, and what keeps it off each agent", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.withClient(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				var w wire.Why
				if err := c.Query(ctx, wire.Query{Ask: wire.AskWhy, Name: args[0]}, &w); err != nil {
					return err
				}
				if g.json() {
					return g.writeJSON(w)
				}
				fmt.Fprintf(g.out, "%s is %v", w.ID, w.State)
				if w.Reason != "" {
					fmt.Fprintf(g.out, ": %s", clean(w.Reason))
				}
				fmt.Fprintln(g.out)
				if len(w.Agents) == 0 {
					fmt.Fprintln(g.out, "There are no agents.")
					return nil
				}
				rows := [][]string{{"AGENT", "NODE", "RULE"}}
				for _, a := range w.Agents {
					rule := a.Rule
					if rule == "" {
						rule = "none: it could run here"
					}
					rows = append(rows, []string{a.Agent, a.Node, rule})
				}
				return g.table(rows)
			})
		},
	}
}

func newProcessWaitCommand(g *globals) *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "wait ID...",
		Short: "Wait until processes are in a state",
		Long: `Wait returns when all the processes are in the state (RUNNING where nothing is said;
TERMINATED stands for every end), and with status 1 when one of them can no longer get
there by itself, or the --timeout is over.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			want, err := wire.ParseState(state)
			if err != nil {
				return &usageError{err}
			}
			return g.withClient(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				return g.waitAll(ctx, c, args, want)
			})
		},
	}
	cmd.Flags().StringVar(&state, "state", "RUNNING", "the `state` to wait for; before the command, --state is the state directory")
	return cmd
}

func (g *globals) waitAll(ctx context.Context, c *client.Client, ids []string, want wire.State) error {
	list := []wire.Process{}
	for _, id := range ids {
		p, err := c.Wait(ctx, id, want)
		if err != nil {
			return err
		}
		list = append(list, p)
	}
	return g.showProcesses(list)
}

func newProcessTerminateCommand(g *globals) *cobra.Command {
	var noWait bool
	cmd := &cobra.Command{
		Use: "terminate ID...", Short: "Terminate processes and wait until they have ended", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.withClient(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				list := []wire.Process{}
				var failed []error
				for _, id := range args {
					var p wire.Process
					if err := c.Request(ctx, wire.Request{Op: wire.OpTerminate, Name: id}, &p); err != nil {
						failed = append(failed, err) // the others are ended all the same
						continue
					}
					list = append(list, p)
				}
				for i := range list {
					if noWait {
						break
					}
					p, err := c.Wait(ctx, list[i].ID, wire.Terminated)
					if err != nil {
						failed = append(failed, err)
						continue
					}
					list[i] = p
				}
				return errors.Join(append(failed, g.showProcesses(list))...)
			})
		},
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "return when the dispatcher has taken note")
	return cmd
}

func newProcessRestartCommand(g *globals) *cobra.Command {
	var noWait bool
	cmd := &cobra.Command{
		Use: "restart ID", Short: "End a RUNNING process and start it again, and wait until it runs", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.withClient(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				var p wire.Process
				if err := c.Query(ctx, wire.Query{Ask: wire.AskProcess, Name: args[0]}, &p); err != nil {
					return err
				}
				if err := c.Request(ctx, wire.Request{Op: wire.OpRestart, Name: args[0], Round: &p.Round}, &p); err != nil {
					return err
				}
				if !noWait {
					var err error
					if p, err = c.WaitRound(ctx, args[0], p.Round+1, wire.Running); err != nil {
						return err
					}
				}
				return g.showProcess(p)
			})
		},
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "return when the dispatcher has taken note")
	return cmd
}

// followFor is how long logs -f follows where no timeout is given: as long as it takes.
const followFor = 365 * 24 * time.Hour

func newProcessLogsCommand(g *globals) *cobra.Command {
	var follow bool
	var tail int64
	cmd := &cobra.Command{
		Use: "logs ID", Short: "Show a process's output, from whichever agent has it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if tail < -1 {
				return usagef("--tail %d: it is a number of bytes, or -1 for all", tail)
			}
			if follow && !cmd.Flags().Changed("timeout") {
				g.timeout = followFor
			}
			return g.withClient(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				return c.Logs(ctx, args[0], tail, follow, g.out)
			})
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the process has ended")
	cmd.Flags().Int64Var(&tail, "tail", -1, "only the last so many `bytes`; -1: all")
	return cmd
}
