package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/state"
)

func newOutputCommand(g *globalOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "output [RUN] [NAME]",
		Short: "Show the outputs of a run's plan, or one of them",
		Args:  cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runOutput(cmd.Context(), g, args, cmd.OutOrStdout())
		},
	}
}

func runOutput(ctx context.Context, g *globalOptions, args []string, stdout io.Writer) error {
	asJSON, err := g.json()
	if err != nil {
		return err
	}
	eng, err := g.engineOptions(ctx, "output", false)
	if err != nil {
		return err
	}
	defer eng.DB.Close()
	name, wanted := "", ""
	switch len(args) {
	case 2:
		name, wanted = args[0], args[1]
	case 1: // a run, or else an output of the only live one
		if _, err := eng.DB.FindRun(ctx, args[0]); err == nil {
			name = args[0]
		} else {
			wanted = args[0]
		}
	}
	run, err := findRun(ctx, eng.DB, name)
	if err != nil {
		return err
	}
	outputs, err := outputsOf(eng.DB, run)
	if err != nil {
		return err
	}
	if wanted != "" {
		raw, ok := outputs[wanted]
		if !ok {
			return fmt.Errorf("run %s, which is %s, has no output %q (sensitive ones are not kept)", run.Name, run.Status, wanted)
		}
		return showOutput(stdout, raw, asJSON)
	}
	if asJSON {
		return writeJSON(stdout, outputs)
	}
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		fmt.Fprintf(stdout, "%s = %s\n", name, outputText(outputs[name]))
	}
	return nil
}

// showOutput shows one output. A program that reads it takes it as it is; a terminal might obey it.
func showOutput(stdout io.Writer, raw json.RawMessage, asJSON bool) error {
	if asJSON {
		return writeJSON(stdout, raw)
	}
	if _, ok := terminalOf(stdout); !ok {
		stdout = exactly(stdout)
	}
	_, err := fmt.Fprintln(stdout, outputText(raw))
	return err
}

// outputsOf are the outputs of a run, by name.
func outputsOf(db *state.DB, run state.Run) (map[string]json.RawMessage, error) {
	outputs := map[string]json.RawMessage{}
	if len(run.Outputs) == 0 {
		return outputs, nil
	}
	if err := json.Unmarshal(run.Outputs, &outputs); err != nil || outputs == nil {
		return nil, db.Damaged("run "+run.Name, "outputs that launch did not write")
	}
	return outputs, nil
}
