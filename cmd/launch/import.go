package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/plan/cloudinitd"
)

// importOptions are import's own. Its -o is a directory, and takes the place of the global one.
type importOptions struct {
	dir        string
	globals    []string
	globalFile []string
}

func newImportCommand() *cobra.Command {
	var opts importOptions
	cmd := &cobra.Command{
		Use:   "import MAIN.conf -o DIR",
		Short: "Turn a cloudinit.d launch plan into an HCL plan",
		Long: `Turn a cloudinit.d launch plan into an HCL plan that behaves the same.

MAIN.conf is the old plan's top file, the one with [runlevels]. Programs, templates
and archives are copied; nothing of the old plan is run. What cannot be carried over
is said, with file and line. Where the plan has mistakes, all of them are said and
nothing is written.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runImport(opts, args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&opts.dir, "output", "o", "", "the `directory` to make: it must not exist, or be empty")
	f.StringArrayVarP(&opts.globals, "globalvar", "g", nil, "a global as cloudinit.d was given it, as `NAME=VALUE` (can be repeated)")
	f.StringArrayVarP(&opts.globalFile, "globalvarfile", "G", nil, "a `file` of globals as cloudinit.d was given it (can be repeated)")
	return cmd
}

func runImport(opts importOptions, main string, stdout, stderr io.Writer) error {
	if opts.dir == "" {
		return usagef("import needs -o DIR, the directory of the new plan")
	}
	imported, diags := cloudinitd.Read(cloudinitd.Options{Main: main, GlobalVars: opts.globals, GlobalVarFiles: opts.globalFile})
	writeDiagnostics(stderr, diags, imported.Sources)
	if diags.HasErrors() {
		return usageError{err: fmt.Errorf("%s: the old plan has %s; nothing was written", main, count(len(diags.Errs()), "error"))}
	}
	if err := imported.Write(opts.dir); err != nil {
		if errors.Is(err, cloudinitd.ErrNotEmpty) {
			return usageError{err: err}
		}
		return err
	}
	fmt.Fprintf(stdout, "imported %s in %s into %s\n", count(imported.Services, "service"), count(imported.Levels, "level"), opts.dir)
	showNext(stdout, imported, opts.dir)
	return nil
}

// showNext says how the plan is booted.
func showNext(stdout io.Writer, imported *cloudinitd.Imported, dir string) {
	boot := "launch boot " + shellWord(dir)
	if imported.Secrets != "" {
		file := filepath.Join(dir, imported.Secrets)
		fmt.Fprintf(stdout, "its passwords, tokens and keys are in %s, which only you can read: keep it so, and out of version control\n", file)
		boot += " --var-file " + shellWord(file)
	}
	for _, v := range imported.Missing {
		if v.Sensitive && !strings.Contains(v.Name, "-") { // no secret in an argv; a shell sets no name with a hyphen
			boot = varPrefix + v.Name + "=VALUE " + boot
		} else {
			boot += fmt.Sprintf(" --var %s=VALUE", v.Name)
		}
	}
	fmt.Fprintf(stdout, "boot it with: %s\n", boot)
}

// shellWord is a word of a command that is copied to a shell.
func shellWord(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < 0x80 && !strings.ContainsRune(plainInShell, r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

const plainInShell = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=:,./@%"
