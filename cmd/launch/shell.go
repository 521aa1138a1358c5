package main

import (
	"cmp"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/runners"
)

func newShellCommand(g *globalOptions) *cobra.Command {
	var vars variableOptions
	cmd := &cobra.Command{
		Use:   "ssh [RUN] SERVICE",
		Short: "Open a shell on the host of a service, in its work directory",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			eng, err := g.engineOptions(ctx, "ssh", false)
			if err != nil {
				return err
			}
			defer eng.DB.Close()
			run, all, named, err := runAndItsServices(ctx, eng.DB, findHistory, args)
			if err != nil {
				return err
			}
			if len(named) == 0 && len(all) == 1 {
				named = all
			}
			if len(named) != 1 {
				return usagef("say to which service of run %s: %s", run.Name, someOf(all))
			}
			given, err := vars.given()
			if err != nil {
				return err
			}
			tty, restore, err := terminal()
			if err != nil {
				return err
			}
			defer restore()
			return engine.Shell(ctx, eng, run, named[0], given, tty)
		},
	}
	vars.addFlags(cmd.Flags())
	return cmd
}

// terminal hands the operator's terminal over to a shell; restore takes it back.
func terminal() (runners.TTY, func(), error) {
	tty := runners.TTY{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	in := int(os.Stdin.Fd())
	if !term.IsTerminal(in) {
		return tty, func() {}, nil
	}
	tty.Term = cmp.Or(os.Getenv("TERM"), "xterm")
	cols, rows, err := term.GetSize(in)
	if err == nil {
		tty.Cols, tty.Rows = cols, rows
	}
	before, err := term.MakeRaw(in)
	if err != nil {
		return tty, nil, err
	}
	var stop func()
	tty.Resize, stop = sizes(in)
	return tty, func() {
		stop()
		term.Restore(in, before)
	}, nil
}

// sizes tells a terminal's new size, columns and rows, whenever it changes, until it is stopped.
func sizes(of int) (_ <-chan [2]int, stop func()) {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	resize := make(chan [2]int, 1)
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-changed:
			}
			cols, rows, err := term.GetSize(of)
			if err != nil {
				continue
			}
			select {
			case resize <- [2]int{cols, rows}:
			default:
			}
		}
	})
	return resize, func() {
		signal.Stop(changed)
		close(done)
		watching.Wait()
	}
}
