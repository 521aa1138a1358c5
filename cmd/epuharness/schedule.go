package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/harness/client"
	"github.com/launchplan/launch/harness/wire"
)

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
for which a definition is made (named like the process where --definition does not say
otherwise). A process that rests is run again, with another program, too, where no other
process has that definition; for one in play, the same changes nothing, and anything else
is refused. What is not said stays as it was.`,
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
	f.IntVar(&flags.maxRestarts, "max-restarts", wire.DefaultMaxRestarts, "restarts in a row after which its next death is the last; -1: no limit")
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
		flags.definition = cmp.Or(flags.definition, id)
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
	req := wire.Request{Op: op, Name: id, Parameters: params}
	if len(argv) > 0 {
		if req.Definition, err = (&definitionFlags{files: flags.files}).build(ctx, c, flags.definition, argv); err != nil {
			return err
		}
	}
	var p wire.Process
	if err := c.Request(ctx, req, &p); err != nil {
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
		if f.config+f.queueing+f.restart+f.nodeExclusive != "" || len(f.env)+len(f.constraints) > 0 || f.maxRestarts != wire.DefaultMaxRestarts {
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
		NodeExclusive: f.nodeExclusive, MaxRestarts: &f.maxRestarts,
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
		return nil, usagef("the configuration is larger than %d KiB; place what is large as a file (--file)", wire.MaxConfig>>10)
	}
	if !json.Valid(data) {
		return nil, usagef("the configuration %s is not JSON", path)
	}
	return data, nil
}
