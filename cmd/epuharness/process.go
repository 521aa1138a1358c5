package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/harness/client"
	"github.com/launchplan/launch/harness/wire"
)

func newProcessCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "process", Aliases: []string{"proc"}, Short: "Processes: schedule, follow and end them", Args: cobra.NoArgs, RunE: needsSubcommand}
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

type scheduleFlags struct {
	definition    string
	config        string
	env           []string
	constraints   []string
	queueing      string
	restart       string
	nodeExclusive string
	maxRestarts   int
	files         []string
	wait          bool
	result        resultFlags
}

func newScheduleCommand(g *globals, op string) *cobra.Command {
	var flags scheduleFlags
	cmd := &cobra.Command{
		Use:   op + " ID [flags] [-- PROGRAM [ARGUMENT...]]",
		Short: "Schedule a process; the same again changes nothing",
		Long: `Schedule asks for a process to run. It runs its --definition, or the program after --,
for which a definition is made (named like the process, with - for each dot, where
--definition does not say otherwise). A process that rests is run again; for one that
is known already, what is not said stays as it was.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.withClient(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				return g.schedule(ctx, c, op, flags, args[0], args[1:])
			})
		},
	}
	if op == wire.OpCreate {
		cmd.Short = "Make a process known without scheduling it (UNSCHEDULED)"
		cmd.Long = ""
	}
	f := cmd.Flags()
	f.StringVar(&flags.definition, "definition", "", "what to run")
	f.StringVar(&flags.config, "config", "", "`file` with the process's configuration, JSON (- for the standard input)")
	f.StringArrayVar(&flags.env, "env", nil, "`NAME=VALUE` in its environment; can be repeated")
	f.StringArrayVar(&flags.constraints, "constraint", nil, "`KEY=VALUE[,VALUE...]` that its agent must have; can be repeated; key engine chooses the engine")
	f.StringVar(&flags.queueing, "queueing", "", "what to do without a free slot: ALWAYS wait (default), NEVER, START_ONLY, RESTART_ONLY")
	f.StringVar(&flags.restart, "restart", "", "after which end to start it again: ABNORMAL (default), ALWAYS, NEVER")
	f.StringVar(&flags.nodeExclusive, "node-exclusive", "", "`tag` of which a node has one process at most")
	f.IntVar(&flags.maxRestarts, "max-restarts", 0, "deaths in a row after which it is given up; -1: never (default 10)")
	f.StringArrayVar(&flags.files, "file", nil, "`FILE[=PATH]` to place for the program after --; can be repeated")
	if op == wire.OpSchedule {
		f.BoolVar(&flags.wait, "wait", false, "wait until it is RUNNING")
		flags.result.add(cmd)
	}
	return cmd
}

func (g *globals) schedule(ctx context.Context, c *client.Client, op string, flags scheduleFlags, id string, argv []string) error {
	if err := wire.CheckID(id); err != nil {
		return err
	}
	if len(argv) > 0 {
		if flags.definition == "" {
			flags.definition = strings.ReplaceAll(id, ".", "-")
		}
		d, err := (&definitionFlags{files: flags.files}).build(ctx, c, flags.definition, argv)
		if err != nil {
			return err
		}
		if err := c.Request(ctx, wire.Request{Op: wire.OpPutDefinition, Definition: d, Replace: true}, nil); err != nil {
			return err
		}
	} else if len(flags.files) > 0 {
		return usagef("--file goes with a program after --; a definition has its own files")
	}
	if _, err := flags.result.pattern(); err != nil {
		return err
	}
	params, err := flags.parameters()
	if err != nil {
		return err
	}
	var p wire.Process
	if err := c.Request(ctx, wire.Request{Op: op, Name: id, Parameters: params}, &p); err != nil {
		return err
	}
	if flags.wait {
		if p, err = c.Wait(ctx, id, wire.Running); err != nil {
			return err
		}
	}
	return g.showResult(ctx, c, p, flags.result)
}

// parameters are nil where nothing was said, so that those on record hold.
func (f scheduleFlags) parameters() (*wire.Parameters, error) {
	if f.definition == "" {
		if f.config+f.queueing+f.restart+f.nodeExclusive != "" || len(f.env)+len(f.constraints) > 0 || f.maxRestarts != 0 {
			return nil, usagef("give --definition, too: a process's parameters are changed all together")
		}
		return nil, nil
	}
	env, err := pairs(f.env, "environment variable")
	if err != nil {
		return nil, err
	}
	p := &wire.Parameters{
		Definition: f.definition, Queueing: wire.Queueing(f.queueing), Restart: wire.Restart(f.restart),
		NodeExclusive: f.nodeExclusive, MaxRestarts: f.maxRestarts,
	}
	if len(env) > 0 {
		p.Env = env
	}
	constraints, err := pairs(f.constraints, "constraint")
	if err != nil {
		return nil, err
	}
	for k, v := range constraints {
		if p.Constraints == nil {
			p.Constraints = map[string]wire.Values{}
		}
		p.Constraints[k] = strings.Split(v, ",")
	}
	if p.Config, err = readConfig(f.config); err != nil {
		return nil, err
	}
	return p, p.Check()
}

func readConfig(path string) (json.RawMessage, error) {
	if path == "" {
		return nil, nil
	}
	in := io.Reader(os.Stdin)
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, usagef("read the configuration: %w", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, wire.MaxConfig+1))
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if len(data) > wire.MaxConfig {
		return nil, usagef("the configuration is larger than %d KiB", wire.MaxConfig>>10)
	}
	if !json.Valid(data) {
		return nil, usagef("the configuration %s is not JSON", path)
	}
	return data, nil
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
	cmd.Flags().StringVar(&state, "state", "RUNNING", "the `state` to wait for")
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
			if follow && !cmd.Flags().Changed("timeout") {
				g.timeout = followFor
			}
			return g.withClient(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				return c.Logs(ctx, args[0], tail, follow, g.out)
			})
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the process has ended")
	cmd.Flags().Int64Var(&tail, "tail", 0, "only the last so many `bytes`")
	return cmd
}
