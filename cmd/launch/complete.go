package main

import (
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/state"
)

// An argument proposes what may stand after the arguments before it. A shell that completes is no place for errors:
// where something fails, it proposes nothing.
type argument func(ctx context.Context, db *state.DB, before []string) []cobra.Completion

// aPlan is a directory, which the shell knows better.
var aPlan argument

// completions has the shell propose what the arguments and flags of the commands can be.
func (g *globalOptions) completions(root *cobra.Command) {
	live := aRun(func(r state.Run) bool { return r.Status != state.RunTerminated })
	ended := aRun(func(r state.Run) bool { return r.Status == state.RunTerminated })
	some := aRun(func(state.Run) bool { return true })
	byCommand := map[string][]argument{
		"boot": {aPlan}, "validate": {aPlan}, "graph": {aPlan}, "reload": {live, aPlan}, "adopt": {some, aPlan},
		"status": {some}, "history": {some}, "output": {some, anOutput}, "purge": {ended}, "clean": {some},
		"resume": {live}, "watch": {live}, "terminate": {live, live},
		"repair": {either(live, aService), aService}, "restart": {either(live, aService), aService},
		"logs": {either(some, aService), aService}, "ssh": {either(live, aService), aService},
	}
	several := []string{"terminate", "repair", "restart", "logs"} // go on with the last one
	values := map[string][]string{
		"format":     {"text", "dot", "mermaid", "svg"},
		"on-failure": {string(engine.Stop), string(engine.Continue), string(engine.Terminate)},
		"phase":      {engine.PhaseBoot, engine.PhaseVerify, engine.PhaseTerminate, engine.ProcessLog},
	}
	root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	for _, cmd := range root.Commands() {
		if arguments := byCommand[cmd.Name()]; len(arguments) > 0 {
			cmd.ValidArgsFunction = g.complete(arguments, slices.Contains(several, cmd.Name()))
		}
		for flag, known := range values {
			if cmd.Flags().Lookup(flag) != nil {
				cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(known, cobra.ShellCompDirectiveNoFileComp))
			}
		}
	}
}

func (g *globalOptions) complete(arguments []argument, several bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, before []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		at := len(before)
		if several {
			at = min(at, len(arguments)-1)
		}
		if at >= len(arguments) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		if arguments[at] == nil {
			return nil, cobra.ShellCompDirectiveFilterDirs
		}
		eng, err := g.engineOptions(cmd.Context(), "completion", false)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer eng.DB.Close()
		return arguments[at](cmd.Context(), eng.DB, before), cobra.ShellCompDirectiveNoFileComp
	}
}

// aRun is one of the runs that a command is for.
func aRun(wanted func(state.Run) bool) argument {
	return func(ctx context.Context, db *state.DB, before []string) (runs []cobra.Completion) {
		all, err := db.Runs(ctx)
		if err != nil {
			return nil
		}
		told := slices.Clone(before)
		for _, r := range slices.Backward(all) { // a name is that of the latest run which had it
			if !slices.Contains(told, r.Name) && wanted(r) {
				runs = append(runs, cobra.CompletionWithDesc(r.Name, string(r.Status)))
			}
			told = append(told, r.Name)
		}
		return runs
	}
}

// aService is one of those of the run before it, or of the only live one.
func aService(ctx context.Context, db *state.DB, before []string) []cobra.Completion {
	_, all, named, err := runAndItsServices(ctx, db, findHistory, before)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(all, func(service string) bool { return slices.Contains(named, service) })
}

// anOutput is one of the run before it.
func anOutput(ctx context.Context, db *state.DB, before []string) []cobra.Completion {
	run, err := findRun(ctx, db, before[0])
	if err != nil {
		return nil
	}
	outputs, err := outputsOf(db, run)
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(outputs))
}

func either(one, other argument) argument {
	return func(ctx context.Context, db *state.DB, before []string) []cobra.Completion {
		return append(one(ctx, db, before), other(ctx, db, before)...)
	}
}
