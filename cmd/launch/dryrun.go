package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/launchplan/launch/plan"
)

// previewJSON is a service of `boot --dry-run -o json`.
type previewJSON struct {
	Level   string            `json:"level"`
	Service string            `json:"service"`
	Values  map[string]string `json:"values"`
}

// showDryRun tells what a boot would do with every service, as far as it is known now.
func showDryRun(w io.Writer, tree *plan.Tree, asJSON bool) error {
	if asJSON {
		all := []previewJSON{}
		for _, svc := range tree.Services {
			p := previewJSON{Level: svc.Level.Name, Service: svc.Address, Values: map[string]string{}}
			for _, line := range svc.Preview() {
				p.Values[line.Name] = line.Value
			}
			all = append(all, p)
		}
		return writeJSON(w, all)
	}
	for _, lv := range tree.Levels {
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
