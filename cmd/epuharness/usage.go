package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// explainUsage has wrong arguments told with how their command is used, and an unknown
// command with the one that was probably meant.
func explainUsage(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		explainUsage(sub)
	}
	cmd.SuggestionsMinimumDistance = 2
	if cmd.RunE == nil { // a group of commands; without this it would not look at its arguments
		cmd.Args, cmd.RunE = cobra.NoArgs, needsSubcommand
	}
	check := cmd.Args
	if check == nil {
		return
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case check(cmd, args) == nil:
			return nil
		case cmd.HasSubCommands() && len(args) > 0:
			return unknownCommand(cmd, args[0])
		}
		return fmt.Errorf("these arguments do not fit: the command is `%s`", strings.TrimSuffix(cmd.UseLine(), " [flags]"))
	}
}

func unknownCommand(cmd *cobra.Command, name string) error {
	hint := ""
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		hint = fmt.Sprintf("; did you mean %q?", near[0])
	}
	return fmt.Errorf("there is no command %q%s", cmd.CommandPath()+" "+name, hint)
}

func needsSubcommand(cmd *cobra.Command, _ []string) error {
	return usagef("a subcommand is missing; `%s --help` lists them", cmd.CommandPath())
}
