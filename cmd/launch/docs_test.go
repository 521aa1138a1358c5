package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Every command and every flag stands in docs/commands.md.
func TestCommandsAreDocumented(t *testing.T) {
	content, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(content)
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		if !cmd.HasParent() || !cmd.Hidden && cmd.Parent().Name() == "launch" {
			if !strings.Contains(doc, cmd.CommandPath()) {
				t.Errorf("`%s` is not there", cmd.CommandPath())
			}
			cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
				if !strings.Contains(doc, "`--"+f.Name+"`") && !strings.Contains(doc, "`--"+f.Name+" ") {
					t.Errorf("the flag --%s of `%s` is not there", f.Name, cmd.CommandPath())
				}
				if f.Shorthand != "" && !strings.Contains(doc, "`-"+f.Shorthand+"`") {
					t.Errorf("the flag -%s of `%s` is not there", f.Shorthand, cmd.CommandPath())
				}
			})
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(newRootCommand())
}
