package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/state"
)

type logsOptions struct {
	variableOptions
	phase  string
	follow bool
}

// followEvery is how often a followed log is looked at for more.
const followEvery = 200 * time.Millisecond

func newLogsCommand(g *globalOptions) *cobra.Command {
	var opts logsOptions
	cmd := &cobra.Command{
		Use:   "logs [RUN] SERVICE",
		Short: "Show what a service's programs wrote",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLogs(cmd.Context(), g, opts, args, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	opts.variableOptions.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&opts.phase, "phase", "", "only this `phase`: boot, verify, terminate or process")
	cmd.Flags().BoolVarP(&opts.follow, "follow", "f", false, "go on as more is written")
	return cmd
}

func runLogs(ctx context.Context, g *globalOptions, opts logsOptions, args []string, stdout, stderr io.Writer) error {
	switch opts.phase {
	case "", engine.PhaseBoot, engine.PhaseVerify, engine.PhaseTerminate, "process":
	default:
		return usagef("--phase %s: it can be boot, verify, terminate or process", opts.phase)
	}
	eng, run, address, err := serviceOf(ctx, g, "logs", args)
	if err != nil {
		return err
	}
	defer eng.DB.Close()
	files, err := logFiles(engine.LogDir(eng.Dir, run.ID), address, opts.phase)
	if err != nil {
		return err
	}
	for _, f := range files {
		if opts.phase == "" && len(files) > 1 {
			fmt.Fprintf(stdout, "==> %s\n", strings.TrimSuffix(filepath.Base(f), ".log"))
		}
		if err := copyFile(stdout, f); err != nil {
			return err
		}
	}
	if opts.phase == "" || opts.phase == "process" {
		given, err := opts.given()
		if err != nil {
			return err
		}
		shown, err := engine.ProcessLog(ctx, eng, run, address, given, opts.follow, stdout)
		if err != nil || shown {
			return err
		}
	}
	if opts.follow {
		return followLog(ctx, eng, run, address, opts.phase, files, stdout)
	}
	if len(files) == 0 {
		fmt.Fprintf(stderr, "%s has written nothing\n", address)
	}
	return nil
}

// serviceOf resolves [RUN] SERVICE.
func serviceOf(ctx context.Context, g *globalOptions, command string, args []string) (engine.Options, state.Run, string, error) {
	name, address := "", args[len(args)-1]
	if len(args) == 2 {
		name = args[0]
	}
	eng, err := g.engineOptions(ctx, command, false)
	if err != nil {
		return eng, state.Run{}, "", err
	}
	run, err := findHistory(ctx, eng.DB, name)
	if err == nil {
		address, err = fullAddress(ctx, eng.DB, run, address)
	}
	if err != nil {
		eng.DB.Close()
	}
	return eng, run, address, err
}

// fullAddress finds the service that is meant: by its address, or by the end of it where only one ends so. Where there
// is none, the error says which there are.
func fullAddress(ctx context.Context, db *state.DB, run state.Run, meant string) (string, error) {
	rows, err := db.Services(ctx, run.ID)
	if err != nil {
		return "", err
	}
	var known, ending []string
	for _, row := range rows {
		if row.Address == meant {
			return meant, nil
		}
		if strings.HasSuffix(row.Address, "."+meant) {
			ending = append(ending, row.Address)
		}
		known = append(known, row.Address)
	}
	switch {
	case len(ending) == 1:
		return ending[0], nil
	case len(ending) > 1:
		return "", usagef("several services of run %s are called so: %s", run.Name, someOf(ending))
	}
	return "", usagef("run %s has no service %q; it has %s", run.Name, meant, someOf(known))
}

// someOf lists names, the first ten of many.
func someOf(names []string) string {
	if len(names) > 10 {
		return strings.Join(names[:10], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

// logFiles finds the logs of a service's phases, oldest first.
func logFiles(dir, address, phase string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	type found struct {
		path string
		at   time.Time
	}
	var all []found
	prefix := runners.DirName(address) + "."
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok || phase != "" && !strings.HasPrefix(rest, phase) || strings.Count(rest, ".") != 1 {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // removed meanwhile
		}
		all = append(all, found{filepath.Join(dir, e.Name()), info.ModTime()})
	}
	slices.SortFunc(all, func(a, b found) int { return a.at.Compare(b.at) })
	paths := make([]string, len(all))
	for i, f := range all {
		paths[i] = f.path
	}
	return paths, nil
}

func copyFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// followLog shows what is added to a service's logs until nobody drives the run any more, or the operator interrupts.
func followLog(ctx context.Context, eng engine.Options, run state.Run, address, phase string, shown []string, stdout io.Writer) error {
	offsets := map[string]int64{}
	for _, f := range shown {
		if info, err := os.Stat(f); err == nil {
			offsets[f] = info.Size()
		}
	}
	for last := false; ; {
		files, err := logFiles(engine.LogDir(eng.Dir, run.ID), address, phase)
		if err != nil {
			return err
		}
		for _, path := range files {
			n, err := copyFrom(stdout, path, offsets[path])
			if err != nil {
				return err
			}
			offsets[path] += n
		}
		if last {
			return nil
		}
		locked, err := eng.DB.Locked(run.ID)
		if err != nil {
			return err
		}
		last = locked == nil // once more, for what was written before it let go
		select {
		case <-ctx.Done():
			return engine.ErrInterrupted
		case <-time.After(followEvery):
		}
	}
}

func copyFrom(w io.Writer, path string, offset int64) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, nil // begun anew by another attempt
	}
	defer f.Close()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return 0, err
	}
	return io.Copy(w, f)
}
