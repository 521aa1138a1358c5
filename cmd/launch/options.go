package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/state"
)

// globalOptions are understood by every command.
type globalOptions struct {
	state  string
	output string
}

func (g *globalOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&g.state, "state", "", "state directory (default $LAUNCH_STATE, else $XDG_STATE_HOME/launch, else ~/.local/state/launch)")
	f.StringVarP(&g.output, "output", "o", "text", "how results are shown: text or json")
}

// json says whether results are wanted as JSON.
func (g *globalOptions) json() (bool, error) {
	switch g.output {
	case "text":
		return false, nil
	case "json":
		return true, nil
	}
	return false, usagef("-o %s: results can be shown as text or json", g.output)
}

// stateDir finds the state directory.
func (g *globalOptions) stateDir() (string, error) {
	dir := g.state
	if dir == "" {
		dir = os.Getenv("LAUNCH_STATE")
	}
	if dir == "" {
		base := os.Getenv("XDG_STATE_HOME")
		if base == "" || !filepath.IsAbs(base) {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", usagef("no state directory: set --state, LAUNCH_STATE or HOME")
			}
			base = filepath.Join(home, ".local", "state")
		}
		dir = filepath.Join(base, "launch")
	}
	return filepath.Abs(dir)
}

// engineOptions opens the store and joins what the engine works with.
func (g *globalOptions) engineOptions(ctx context.Context, command string, create bool) (engine.Options, error) {
	dir, err := g.stateDir()
	if err != nil {
		return engine.Options{}, err
	}
	open := state.OpenExisting
	if create {
		open = state.Open
	}
	db, err := open(ctx, dir)
	if errors.Is(err, state.ErrNoStore) {
		return engine.Options{}, fmt.Errorf("%w in %s: nothing was booted with this state directory, or its launch.db was removed", state.ErrNoRun, dir)
	}
	if err != nil {
		return engine.Options{}, err
	}
	opts := loadOptions()
	opts.DB, opts.Dir, opts.Command = db, dir, command
	return opts, nil
}

// loadOptions are what a plan is read with.
func loadOptions() engine.Options {
	here, err := os.Getwd()
	if err != nil {
		here = "" // messages name files in full then
	}
	return engine.Options{
		WorkDir: here,
		Runners: runnerTypes(), Environ: programEnviron(), Version: version,
		LookupEnv: os.LookupEnv, Executable: findExecutable,
	}
}

// programEnviron is the environment that programs inherit: ours, without the variables meant for launch.
func programEnviron() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, varPrefix) {
			env = append(env, kv)
		}
	}
	return env
}

// findExecutable looks for a program beside launch, then on PATH.
func findExecutable(name string) (string, error) {
	if self, err := os.Executable(); err == nil {
		if resolved, err := filepath.EvalSymlinks(self); err == nil {
			self = resolved
		}
		beside := filepath.Join(filepath.Dir(self), name)
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return beside, nil
		}
	}
	found, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	return filepath.Abs(found)
}

// variableOptions say what the plan's variables are.
type variableOptions struct {
	vars  []string
	files []string
	read  map[string]plan.Given // what given found
}

// varPrefix begins the environment variables that give plan variables.
const varPrefix = "LAUNCH_VAR_"

func (v *variableOptions) addFlags(f *pflag.FlagSet) {
	f.StringArrayVar(&v.vars, "var", nil, "a variable of the plan, as `name=value` (can be repeated)")
	f.StringArrayVar(&v.files, "var-file", nil, "a `file` of name = value lines in HCL, or a JSON object (can be repeated)")
}

// maxVarFile bounds a variable file.
const maxVarFile = 4 << 20

// given collects the variables: --var over --var-file over the environment. Files are read once, since one may be a pipe.
func (v *variableOptions) given() (map[string]plan.Given, error) {
	if v.read != nil {
		return v.read, nil
	}
	all := map[string]plan.Given{}
	for _, kv := range os.Environ() {
		if name, value, ok := strings.Cut(kv, "="); ok && strings.HasPrefix(name, varPrefix) {
			all[strings.TrimPrefix(name, varPrefix)] = plan.Given{Raw: value, From: name, Ambient: true}
		}
	}
	for _, file := range v.files {
		src, err := readBounded(file, maxVarFile)
		if err != nil {
			return nil, usagef("variable file: %v", err)
		}
		values, diags := plan.ParseVarFile(file, src)
		if diags.HasErrors() {
			return nil, &engine.PlanError{Diagnostics: diags}
		}
		for name, g := range values {
			all[name] = g
		}
	}
	for _, kv := range v.vars {
		name, value, ok := strings.Cut(kv, "=")
		if !ok || name == "" {
			return nil, usagef("--var %q: write it as name=value", name)
		}
		all[name] = plan.Given{Raw: value, From: fromFlag}
	}
	v.read = all
	return all, nil
}

// fromFlag is where a variable was given that was meant for this very command.
const fromFlag = "--var"

// tellKept says of which variables the run keeps what it was booted with.
func tellKept(stderr io.Writer, run state.Run, given map[string]plan.Given) {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if given[name].From == fromFlag && engine.Keeps(run, name) {
			fmt.Fprintf(stderr, "launch: --var %[1]s makes no difference: run %[2]s keeps the variables that it was booted with; `launch reload %[2]s PLAN --var %[1]s=VALUE` changes them\n", name, run.Name)
		}
	}
}

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, path, limit)
}

func readAll(r io.Reader, name string, limit int64) ([]byte, error) {
	src, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(src)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return src, nil
}

// runName is what a run may be called: it stands in file names, tags and messages.
var runName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$`)

// checkRunName refuses names that would be trouble elsewhere.
func checkRunName(name string) error {
	if !runName.MatchString(name) {
		return usagef("run name %q: use at most 63 letters, digits, dots, dashes and underscores, beginning with a letter or digit", name)
	}
	return nil
}
