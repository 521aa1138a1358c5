package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/plan"
)

// previewJSON is a service of `boot --dry-run -o json`.
type previewJSON struct {
	Level   string            `json:"level"`
	Service string            `json:"service"`
	Values  map[string]string `json:"values"`
}

// levelsUntil are the levels that bringing up one of them takes, itself included; "" is all of them.
func levelsUntil(tree *plan.Tree, until string) []*plan.Level {
	if until == "" {
		return tree.Levels
	}
	wanted := map[*plan.Level]bool{}
	var want func(*plan.Level)
	want = func(lv *plan.Level) {
		if wanted[lv] {
			return
		}
		wanted[lv] = true
		for _, before := range lv.After {
			want(before)
		}
	}
	want(engine.FindLevel(tree, until))
	return slices.DeleteFunc(slices.Clone(tree.Levels), func(lv *plan.Level) bool { return !wanted[lv] })
}

// showDryRun tells what a boot would do with every service, as far as it is known now.
func showDryRun(w io.Writer, levels []*plan.Level, asJSON bool) error {
	if asJSON {
		all := []previewJSON{}
		for _, lv := range levels {
			for _, svc := range lv.Services {
				p := previewJSON{Level: lv.Name, Service: svc.Address, Values: map[string]string{}}
				for _, line := range svc.Preview() {
					p.Values[line.Name] = line.Value
				}
				all = append(all, p)
			}
		}
		return writeJSON(w, all)
	}
	for _, lv := range levels {
		if lv.Group {
			continue
		}
		fmt.Fprintf(w, "level %s\n", lv.Name)
		for _, svc := range lv.Services {
			fmt.Fprintf(w, "  service %s on %s\n", svc.Address, svc.Runner.Address())
			for _, line := range svc.Preview() {
				fmt.Fprintf(w, "    %-22s %s\n", line.Name, indentRest(line.Value, 27))
			}
		}
	}
	return nil
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
