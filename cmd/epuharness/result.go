package main

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/harness/client"
	"github.com/launchplan/launch/harness/wire"
)

// resultFlags say what schedule waits for beside the state, and what it shows.
type resultFlags struct {
	line   string
	fields []string
}

func (f *resultFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.line, "line", "", "wait, too, until its output has a line that matches this `regexp`; with -o json, its named groups are fields of the result, and \"line\" is the line")
	cmd.Flags().StringSliceVar(&f.fields, "fields", nil, "with -o json: only these `fields` of the result")
}

// pattern is nil where no line is waited for.
func (f *resultFlags) pattern() (*regexp.Regexp, error) {
	if f.line == "" {
		return nil, nil
	}
	re, err := regexp.Compile(f.line)
	if err != nil {
		return nil, usagef("--line: %w", err)
	}
	return re, nil
}

// showResult shows a process, with what its line says where one was waited for.
func (g *globals) showResult(ctx context.Context, c *client.Client, p wire.Process, flags resultFlags) error {
	re, err := flags.pattern()
	if err != nil {
		return err
	}
	said := map[string]string{}
	if re != nil {
		line, err := c.Line(ctx, p.ID, re)
		if err != nil {
			return err
		}
		said["line"] = line
		for i, group := range re.FindStringSubmatch(line) {
			if name := re.SubexpNames()[i]; name != "" {
				said[name] = group
			}
		}
	}
	if len(said)+len(flags.fields) == 0 || !g.json() {
		return g.showProcess(p)
	}
	fields, err := fieldsOf(p, said)
	if err != nil {
		return err
	}
	return g.showFields(fields, flags.fields)
}

// fieldsOf are those of the process, and what was said beside them.
func fieldsOf(p wire.Process, said map[string]string) (map[string]any, error) {
	data, err := json.Marshal(viewOf(p))
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	for name, value := range said {
		fields[name] = value
	}
	return fields, nil
}

func (g *globals) showFields(fields map[string]any, wanted []string) error {
	for _, name := range wanted {
		if _, ok := fields[name]; !ok {
			return usagef("--fields: the result has no field %q", name)
		}
	}
	for name := range fields {
		if len(wanted) > 0 && !slices.Contains(wanted, name) {
			delete(fields, name)
		}
	}
	return g.writeJSON(fields)
}
