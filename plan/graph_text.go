package plan

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// WriteText writes the levels in order, what they wait for, and their services with what these refer to.
func (g *Graph) WriteText(w io.Writer) error {
	out := bufio.NewWriter(w)
	for _, level := range g.Levels {
		fmt.Fprint(out, level.Name)
		if len(level.After) > 0 {
			fmt.Fprintf(out, "  (after %s)", joinNames(level.After, func(l *GraphLevel) string { return l.Name }))
		}
		fmt.Fprintln(out)
		for _, node := range level.Services {
			fmt.Fprintf(out, "  %s", node.label())
			if len(node.Refers) > 0 {
				fmt.Fprintf(out, "  <- %s", joinNames(node.Refers, func(n *GraphNode) string { return n.Address }))
			}
			fmt.Fprintln(out)
		}
	}
	return out.Flush()
}

// label is the service's name, with a sign that it has several instances.
func (n *GraphNode) label() string {
	switch n.Many {
	case "count":
		return n.Name + "[*]"
	case "for_each":
		return n.Name + "[each]"
	}
	return n.Name
}

func joinNames[T any](list []T, name func(T) string) string {
	names := make([]string, len(list))
	for i, item := range list {
		names[i] = name(item)
	}
	return strings.Join(names, ", ")
}

// WriteDOT writes the graph for Graphviz: a cluster for each level, dashed edges
// between levels, solid ones from a service to those that use its values.
func (g *Graph) WriteDOT(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, "digraph plan {\n  rankdir=LR;\n  compound=true;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];")
	for i, level := range g.Levels {
		fmt.Fprintf(out, "  subgraph cluster_%d {\n    label=%q;\n", i, level.Name)
		if len(level.Services) == 0 {
			fmt.Fprintf(out, "    %q [label=\"\", shape=point];\n", anchor(level))
		}
		for _, node := range level.Services {
			fmt.Fprintf(out, "    %q [label=%q];\n", node.Address, node.label())
		}
		fmt.Fprintln(out, "  }")
	}
	index := map[*GraphLevel]int{}
	for i, level := range g.Levels {
		index[level] = i
	}
	for i, level := range g.Levels {
		for _, earlier := range level.After {
			fmt.Fprintf(out, "  %q -> %q [style=dashed, color=gray, ltail=cluster_%d, lhead=cluster_%d];\n", anchor(earlier), anchor(level), index[earlier], i)
		}
	}
	for _, node := range g.Nodes {
		for _, used := range node.Refers {
			fmt.Fprintf(out, "  %q -> %q;\n", used.Address, node.Address)
		}
	}
	fmt.Fprintln(out, "}")
	return out.Flush()
}

// anchor is the node that stands for a level as a whole.
func anchor(level *GraphLevel) string {
	if len(level.Services) > 0 {
		return level.Services[0].Address
	}
	return "level " + level.Name
}

// WriteMermaid writes the graph as a Mermaid flowchart.
func (g *Graph) WriteMermaid(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, "flowchart LR")
	levels := map[*GraphLevel]string{}
	nodes := map[*GraphNode]string{}
	for i, level := range g.Levels {
		levels[level] = fmt.Sprintf("l%d", i)
		fmt.Fprintf(out, "  subgraph l%d[\"%s\"]\n", i, level.Name)
		if len(level.Services) == 0 {
			fmt.Fprintf(out, "    l%de[\" \"]\n", i)
		}
		for _, node := range level.Services {
			nodes[node] = fmt.Sprintf("s%d", len(nodes))
			fmt.Fprintf(out, "    %s[\"%s\"]\n", nodes[node], node.label())
		}
		fmt.Fprintln(out, "  end")
	}
	for _, level := range g.Levels {
		for _, earlier := range level.After {
			fmt.Fprintf(out, "  %s -.-> %s\n", levels[earlier], levels[level])
		}
	}
	for _, node := range g.Nodes {
		for _, used := range node.Refers {
			fmt.Fprintf(out, "  %s --> %s\n", nodes[used], nodes[node])
		}
	}
	return out.Flush()
}
