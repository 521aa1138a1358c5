package main

import (
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

// showDryRun tells what a boot until a level, or to the end, would do with every service, as far as it is known now.
func showDryRun(w io.Writer, tree *plan.Tree, until string, asJSON bool) error {
	wanted := tree.Until(until)
	all := []previewJSON{}
	for _, lv := range tree.Levels {
		switch {
		case !wanted[lv]:
		case asJSON:
			for _, svc := range lv.Services {
				all = append(all, previewOf(svc))
			}
		case !lv.Group:
			writePreviews(w, lv)
		}
	}
	if asJSON {
		return writeJSON(w, all)
	}
	return nil
}

func previewOf(svc *plan.Service) previewJSON {
	p := previewJSON{Level: svc.Level.Name, Service: svc.Address, Values: map[string]string{}}
	for _, line := range svc.Preview() {
		p.Values[line.Name] = line.Value
	}
	return p
}

func writePreviews(w io.Writer, lv *plan.Level) {
	fmt.Fprintf(w, "level %s\n", lv.Name)
	for _, svc := range lv.Services {
		fmt.Fprintf(w, "  service %s on %s\n", svc.Address, svc.Runner.Address())
		for _, line := range svc.Preview() {
			fmt.Fprintf(w, "    %-22s %s\n", line.Name, indentRest(line.Value, 27))
		}
	}
}
