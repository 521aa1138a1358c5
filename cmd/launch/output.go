package main

import (
	"encoding/json"
	"fmt"
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
			ctx := cmd.Context()
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
				if asJSON {
					return writeJSON(cmd.OutOrStdout(), raw)
				}
				stdout := cmd.OutOrStdout()
				if _, ok := terminalOf(stdout); !ok {
					stdout = exactly(stdout) // for a program, which takes it as it is
				}
				_, err := fmt.Fprintln(stdout, outputText(raw))
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), outputs)
			}
			for _, name := range slices.Sorted(maps.Keys(outputs)) {
				fmt.Fprintf(cmd.OutOrStdout(), "%s = %s\n", name, outputText(outputs[name]))
			}
			return nil
		},
	}
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
