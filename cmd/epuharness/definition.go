package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/harness/client"
	"github.com/launchplan/launch/harness/wire"
)

func newDefinitionCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "definition", Short: "Definitions: what processes run"}
	cmd.AddCommand(newDefinitionCreateCommand(g), newDefinitionDescribeCommand(g), newDefinitionListCommand(g), newDefinitionRemoveCommand(g))
	return cmd
}

// definitionFlags are the flags that make up a definition.
type definitionFlags struct {
	description string
	env         []string
	dir         string
	engine      string
	files       []string
	stopTimeout time.Duration
}

// build makes the definition and uploads its files.
func (f *definitionFlags) build(ctx context.Context, c *client.Client, name string, argv []string) (*wire.Definition, error) {
	env, err := pairs(f.env, "environment variable")
	if err != nil {
		return nil, err
	}
	d := &wire.Definition{
		Name: name, Description: f.description, Argv: argv, Env: env, Dir: f.dir, Engine: f.engine,
		StopTimeout: wire.Duration(f.stopTimeout),
	}
	if err := d.Check(); err != nil {
		return nil, err
	}
	for _, spec := range f.files {
		from, as, renamed := strings.Cut(spec, "=")
		if !renamed {
			as = filepath.Base(from)
		}
		file, err := c.Upload(ctx, from, as)
		if err != nil {
			return nil, err
		}
		d.Files = append(d.Files, file)
	}
	return d, d.Check()
}

func newDefinitionCreateCommand(g *globals) *cobra.Command {
	var flags definitionFlags
	var replace bool
	cmd := &cobra.Command{
		Use:   "create NAME [flags] -- PROGRAM [ARGUMENT...]",
		Short: "Create a definition; the same again changes nothing",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.withClient(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				d, err := flags.build(ctx, c, args[0], args[1:])
				if err != nil {
					return err
				}
				var stored wire.Definition
				if err := c.Request(ctx, wire.Request{Op: wire.OpPutDefinition, Definition: d, Replace: replace}, &stored); err != nil {
					return err
				}
				if g.json() {
					return g.writeJSON(definitionView{stored, files(stored)})
				}
				fmt.Fprintln(g.out, stored.Name)
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.description, "description", "", "what it is")
	f.StringArrayVar(&flags.env, "env", nil, "`NAME=VALUE` in the processes' environment; can be repeated")
	f.StringVar(&flags.dir, "dir", "", "working `directory` (default: one of the process's own)")
	f.StringVar(&flags.engine, "engine", "", "engine whose agents run it (default: the default engine)")
	f.StringArrayVar(&flags.files, "file", nil, "`FILE[=PATH]` to place in the process's directory; can be repeated")
	f.DurationVar(&flags.stopTimeout, "stop-timeout", 0, "for a process to end after SIGTERM, before SIGKILL (default 10s)")
	f.BoolVar(&replace, "replace", false, "replace a different definition of this name; takes effect at the next start of a process")
	return cmd
}

// definitionView is a definition whose arrays are never null.
type definitionView struct {
	wire.Definition
	Files []wire.File `json:"files"`
}

func files(d wire.Definition) []wire.File {
	if d.Files == nil {
		return []wire.File{}
	}
	return d.Files
}

func newDefinitionDescribeCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "describe NAME", Short: "Show a definition", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.withClient(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				var d wire.Definition
				if err := c.Query(ctx, wire.Query{Ask: wire.AskDefinition, Name: args[0]}, &d); err != nil {
					return err
				}
				return g.writeJSON(definitionView{d, files(d)})
			})
		},
	}
}

func newDefinitionListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List definitions", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.withClient(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				list, err := client.List[wire.Definition](ctx, c, wire.Query{Ask: wire.AskDefinitions})
				if err != nil {
					return err
				}
				if g.json() {
					views := []definitionView{}
					for _, d := range list {
						views = append(views, definitionView{d, files(d)})
					}
					return g.writeJSON(views)
				}
				rows := [][]string{{"NAME", "ENGINE", "PROGRAM", "DESCRIPTION"}}
				for _, d := range list {
					rows = append(rows, []string{d.Name, d.Engine, strings.Join(d.Argv, " "), d.Description})
				}
				return g.table(rows)
			})
		},
	}
}

func newDefinitionRemoveCommand(g *globals) *cobra.Command {
	return g.removal("remove NAME...", "Remove definitions that no process in play uses", wire.OpRemoveDefinition)
}

// removal is a command that removes things by name; what is gone already is fine.
func (g *globals) removal(use, short, op string) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.withClient(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				for _, name := range args {
					if err := c.Request(ctx, wire.Request{Op: op, Name: name, Force: force}, nil); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	if op == wire.OpRemoveNode || op == wire.OpRemoveAgent {
		cmd.Flags().BoolVar(&force, "force", false, "even where processes run, which then count as lost")
	}
	return cmd
}
