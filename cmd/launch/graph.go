package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/plan"
)

func newGraphCommand(g *globalOptions) *cobra.Command {
	format := "text"
	cmd := &cobra.Command{
		Use:   "graph PLAN",
		Short: "Draw what of a plan waits for what",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			write := map[string]func(*plan.Graph, io.Writer) error{
				"text": (*plan.Graph).WriteText, "dot": (*plan.Graph).WriteDOT,
				"mermaid": (*plan.Graph).WriteMermaid, "svg": (*plan.Graph).WriteSVG,
			}[format]
			if write == nil {
				return usagef("--format %s: it can be text, dot, mermaid or svg", format)
			}
			dir, err := planDir(args[0])
			if err != nil {
				return err
			}
			p, diags := engine.Check(loadOptions(), dir, nil)
			if diags.HasErrors() {
				e := &engine.PlanError{Diagnostics: diags}
				if p != nil {
					e.Sources = p.Sources()
				}
				return e
			}
			graph := p.Graph()
			if asJSON, err := g.json(); err != nil {
				return err
			} else if asJSON {
				return writeJSON(cmd.OutOrStdout(), graphJSON(graph))
			}
			return write(graph, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&format, "format", format, "text, dot, mermaid or svg")
	return cmd
}

// graphLevel is a level as `graph -o json` shows it.
type graphLevel struct {
	Name     string         `json:"name"`
	After    []string       `json:"after"`
	Services []graphService `json:"services"`
}

type graphService struct {
	Address string   `json:"address"`
	Many    string   `json:"many"` // "count" or "for_each", where it has several instances
	Refers  []string `json:"refers"`
}

func graphJSON(g *plan.Graph) []graphLevel {
	levels := []graphLevel{}
	for _, lv := range g.Levels {
		level := graphLevel{Name: lv.Name, After: []string{}, Services: []graphService{}}
		for _, a := range lv.After {
			level.After = append(level.After, a.Name)
		}
		for _, n := range lv.Services {
			svc := graphService{Address: n.Address, Many: n.Many, Refers: []string{}}
			for _, r := range n.Refers {
				svc.Refers = append(svc.Refers, r.Address)
			}
			level.Services = append(level.Services, svc)
		}
		levels = append(levels, level)
	}
	return levels
}
