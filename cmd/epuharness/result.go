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

// resultFlags say what schedule and wait wait for beside the state, and what they show.
type resultFlags struct {
	line   string
	fields []string
}

func (f *resultFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.line, "line", "", "wait, too, until its output has a line that matches this `regexp`; \"line\" in the result is its first group")
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

// view is the process with the line that was waited for.
func (f *resultFlags) view(ctx context.Context, c *client.Client, p wire.Process) (processView, error) {
	v := viewOf(p)
	re, err := f.pattern()
	if err != nil || re == nil {
		return v, err
	}
	line, err := c.Line(ctx, p.ID, re)
	v.Line = &line
	return v, err
}

// pick leaves the wanted fields of a result.
func (f *resultFlags) pick(v processView) (any, error) {
	if len(f.fields) == 0 {
		return v, nil
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	for _, name := range f.fields {
		if _, ok := all[name]; !ok {
			return nil, usagef("--fields: a process has no field %q here", name)
		}
	}
	for name := range all {
		if !slices.Contains(f.fields, name) {
			delete(all, name)
		}
	}
	return all, nil
}
