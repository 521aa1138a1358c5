// Command launch brings up systems of many services from a launch plan.
package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/runners/local/supervisor"
)

// version is set at build time by -ldflags. One that is no number passes every requires_launch.
var version = "dev"

func main() {
	os.Exit(run())
}

func run() int {
	room := make([]byte, headroom)
	defer runtime.KeepAlive(room)
	debug.SetGCPercent(collectAt)
	if len(os.Args) > 1 && os.Args[1] == superviseArg {
		defer profile("supervise")()
		return supervise(os.Args[2:])
	}
	defer profile("launch")()
	ctx, stop := interruptible(context.Background())
	defer stop()
	stdout, stderr := &printer{w: os.Stdout}, &printer{w: os.Stderr}
	root := newRootCommand()
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil && stdout.err != nil {
		err = fmt.Errorf("not all of the results could be written: %w", stdout.err)
	}
	return report(stderr, err)
}

const (
	// headroom is never touched, so it takes no memory. It counts for the garbage
	// collector, which lets the heap grow by a part of its size: without it the few
	// megabytes that launch has would be walked again for each few megabytes more.
	headroom = 24 << 20

	// collectAt is that part in percent. A third of the default makes a run of
	// 100,000 services, nearly all of which stays, fit into a third less memory.
	collectAt = 33

	// collectReading is that part while a large plan is read. Most of what that makes is
	// gone soon: with a third, ten thousand services that are written out take two thirds more processor time.
	collectReading = 200

	// largePlan is the size of the files of which a plan is large: some thousand services that are
	// written out, which fit into little memory as well as fast.
	largePlan = 256 << 10
)

// whileReading has the collector leave more where the plan in dir is large, until what it returns is called.
func whileReading(dir string) func() {
	size := int64(0)
	root := os.DirFS(dir)
	files, _ := fs.Glob(root, "*.hcl") // what cannot be read is told when the plan is
	for _, file := range files {
		if info, err := fs.Stat(root, file); err == nil {
			size += info.Size()
		}
	}
	if size < largePlan {
		return func() {}
	}
	before := debug.SetGCPercent(collectReading)
	return func() { debug.SetGCPercent(before) }
}

// superviseArg is the hidden subcommand that keeps a run's programs on this
// machine. It is answered before anything else is set up, since a boot waits for it.
const superviseArg = "supervise"

func supervise(args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "launch: supervise is launch's own: it is started by the commands that boot a run")
		return exitUsage
	}
	if err := supervisor.Main(context.Background(), args[0]); err != nil {
		fmt.Fprintln(os.Stderr, "launch: supervise:", err)
		return exitFailed
	}
	return exitOK
}

// sameInterrupt is within how long two signals are one interrupt. GNU timeout sends its signal to launch and then to the
// group that launch is in; nobody presses Ctrl-C twice as fast as this.
const sameInterrupt = 100 * time.Millisecond

// interruptible ends the context at the first SIGINT or SIGTERM, so that what
// runs is stopped and recorded. At the second one launch leaves at once: the
// journal makes that safe.
func interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		if _, ok := <-signals; !ok {
			return
		}
		fmt.Fprintln(os.Stderr, interruptedLine)
		cancel()
		<-time.After(sameInterrupt)
		for len(signals) > 0 {
			<-signals
		}
		if _, ok := <-signals; ok {
			os.Exit(exitInterrupted)
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel()
	}
}

const (
	interruptedText = "interrupted: ending what this command does (once more: leave at once)"
	interruptedLine = "launch: " + interruptedText
)

func newRootCommand() *cobra.Command {
	g := &globalOptions{}
	root := &cobra.Command{
		Use:   "launch",
		Short: "Bring up a system of many services from a launch plan, verify it, and end it",
		Long: `Bring up a system of many services from a launch plan, verify it, and end it.

A plan is a directory with a file plan.hcl: levels of services, in their order.
'launch validate PLAN' checks it, 'launch boot PLAN' brings it up, 'launch status'
verifies it again, and 'launch terminate' ends it.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		SuggestionsMinimumDistance: 2,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageError{cmd, err} })
	g.addFlags(root.PersistentFlags())
	addGroup(root, "Bringing up:", newBootCommand(g), newResumeCommand(g), newRepairCommand(g), newRestartCommand(g), newWatchCommand(g), newReloadCommand(g))
	addGroup(root, "Ending:", newTerminateCommand(g), newPurgeCommand(g), newCleanCommand(g), newAdoptCommand(g))
	addGroup(root, "Looking:", newStatusCommand(g), newListCommand(g), newHistoryCommand(g), newLogsCommand(g), newOutputCommand(g), newShellCommand(g))
	addGroup(root, "Plans:", newValidateCommand(g), newFmtCommand(g), newGraphCommand(g), newImportCommand())
	root.AddCommand(newVersionCommand(g))
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	usageErrors(root)
	g.completions(root)
	return root
}

// addGroup adds commands that the help shows below a title, as docs/commands.md does.
func addGroup(root *cobra.Command, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: title, Title: title})
	for _, cmd := range commands {
		cmd.GroupID = title
	}
	root.AddCommand(commands...)
}

// usageErrors makes wrong arguments a usage error that says how its command is used.
func usageErrors(cmd *cobra.Command) {
	switch check := cmd.Args; {
	case cmd.HasSubCommands() || cmd.Name() == "help":
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			of := cmd
			if cmd.Name() == "help" {
				of, args, _ = cmd.Root().Find(args)
			}
			if len(args) > 0 && of.HasSubCommands() {
				return usageError{of, unknownCommand(of, args[0])}
			}
			return nil
		}
		if cmd.Run == nil && cmd.RunE == nil { // it is not asked for its arguments otherwise
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	case check != nil:
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if check(cmd, args) != nil {
				return usageError{cmd, fmt.Errorf("%s: the command is `%s`", givenArguments(len(args)), strings.TrimSuffix(cmd.UseLine(), " [flags]"))}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		usageErrors(sub)
	}
}

func givenArguments(n int) string {
	if n == 0 {
		return "an argument is missing"
	}
	return fmt.Sprintf("%s given", count(n, "argument"))
}

func unknownCommand(cmd *cobra.Command, name string) error {
	hint := ""
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		hint = fmt.Sprintf("; did you mean %q?", near[0])
	}
	return fmt.Errorf("there is no command %q%s", cmd.CommandPath()+" "+name, hint)
}
