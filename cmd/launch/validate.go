package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/plan"
)

func newValidateCommand(g *globalOptions) *cobra.Command {
	var vars variableOptions
	cmd := &cobra.Command{
		Use:   "validate PLAN",
		Short: "Check a plan, as far as that can be done without booting it",
		Long: `Check a plan, as far as that can be done without booting it.

References, types and functions are checked with unknown values in place of what
only a boot can know. With --var or --var-file, values are checked as well.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runValidate(g, &vars, args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	vars.addFlags(cmd.Flags())
	return cmd
}

func runValidate(g *globalOptions, vars *variableOptions, planArg string, stdout, stderr io.Writer) error {
	asJSON, err := g.json()
	if err != nil {
		return err
	}
	dir, err := planDir(planArg)
	if err != nil {
		return err
	}
	given, err := vars.given()
	if err != nil {
		return err
	}
	defer whileReading(dir)()
	p, diags := engine.Check(loadOptions(), dir, given)
	var sources map[string]*hcl.File
	if p != nil {
		sources = p.Sources()
	}
	if asJSON {
		if err := writeJSON(stdout, map[string]any{
			"valid": !diags.HasErrors(), "diagnostics": plan.JSONDiagnostics(diags, sources),
		}); err != nil {
			return err
		}
		if diags.HasErrors() {
			return toldError{usageError{err: errors.New("the plan is invalid")}}
		}
		return nil
	}
	if diags.HasErrors() {
		writeDiagnostics(stderr, diags, sources)
		fmt.Fprintf(stderr, "launch: %s\n", (&engine.PlanError{Diagnostics: diags}).Summary())
		return toldError{usageError{err: errors.New("the plan is invalid")}}
	}
	writeDiagnostics(stderr, diags, sources)
	fmt.Fprintln(stdout, "the plan is valid")
	return nil
}
