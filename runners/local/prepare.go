package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/local/wire"
)

// marker is the variable by which a program's processes are found again.
const marker = "LAUNCH_PROGRAM_ID"

// prepare puts everything in place for p, and returns what the supervisor forks.
func (h *host) prepare(ctx context.Context, p *runners.Program) (*wire.Program, error) {
	if err := checkProgram(p); err != nil {
		return nil, err
	}
	if err := h.place(ctx, p); err != nil {
		return nil, &runners.StartError{Program: label(p), Err: err}
	}
	t := h.target(p)
	if t.path == "" {
		return nil, &runners.StartError{Program: label(p), Err: fmt.Errorf("%s was not found on PATH", t.argv[0])}
	}
	w := &wire.Program{
		Kind:    p.Kind,
		Label:   label(p),
		Path:    t.path,
		Argv:    wire.Pack(t.argv),
		Env:     wire.Pack(h.variables(p)),
		Marker:  marker + "=" + h.runner.env.RunID + "/" + p.ID.String(),
		Dir:     t.dir,
		Timeout: p.Timeout,
		Stop:    p.Stop,
	}
	if err := h.become(w, p, t); err != nil {
		return nil, &runners.StartError{Program: label(p), Err: err}
	}
	return w, nil
}

// checkProgram refuses what would be taken for something else on its way: these come from a plan.
func checkProgram(p *runners.Program) error {
	refuse := func(format string, args ...any) error {
		return &runners.StartError{Program: label(p), Err: fmt.Errorf(format, args...)}
	}
	if p.Payload == nil && (len(p.Argv) == 0 || p.Argv[0] == "") {
		return refuse("it names no program")
	}
	if p.Payload != nil && runners.DirName(p.Payload.Hash) != p.Payload.Hash {
		return refuse("the payload's hash %q is not one", p.Payload.Hash)
	}
	if slices.ContainsFunc(p.Argv, hasNUL) {
		return refuse("an argument holds a NUL byte")
	}
	for name, value := range p.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || hasNUL(value) {
			return refuse("the environment variable %q cannot be set: its name or its value has a character that none can have", name)
		}
	}
	if p.Stop.Signal != "" && unix.SignalNum(p.Stop.Signal) == 0 {
		return refuse("this machine knows no signal %q", p.Stop.Signal)
	}
	return nil
}

func hasNUL(s string) bool { return strings.ContainsRune(s, 0) }

// variables are what the program gets beside the environment of launch.
func (h *host) variables(p *runners.Program) []string {
	var env []string
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		env = append(env, name+"="+p.Env[name])
	}
	if p.Payload != nil {
		env = append(env, "LAUNCH_PROGRAM_DIR="+h.payloadDir(p))
	}
	return env
}

// A target is what exec is asked for. An empty path means that argv[0] was not found.
type target struct {
	path string
	argv []string
	dir  string
}

func (h *host) target(p *runners.Program) target {
	t := target{dir: h.programDir(p)}
	t.argv = p.Argv
	if p.Payload != nil {
		entry := filepath.Join(h.payloadDir(p), filepath.FromSlash(p.Payload.Entry))
		t.argv = slices.Concat(p.Payload.Interpreter, []string{entry}, p.Argv)
	}
	switch name := t.argv[0]; {
	case filepath.IsAbs(name):
		t.path = name
	case strings.ContainsRune(name, '/'):
		t.path = filepath.Join(t.dir, name)
	default:
		t.path = lookPath(name, h.searchPath(p), t.dir)
	}
	return t
}

// programDir is where the program runs.
func (h *host) programDir(p *runners.Program) string {
	work := filepath.Join(h.workRoot(p.User), p.ID.Service)
	switch {
	case p.Dir == "":
		return work
	case filepath.IsAbs(p.Dir):
		return p.Dir
	}
	return filepath.Join(work, p.Dir)
}

// searchPath is the PATH that the program itself will have.
func (h *host) searchPath(p *runners.Program) string {
	if path, ok := p.Env["PATH"]; ok {
		return path
	}
	for _, v := range slices.Backward(h.runner.env.Environ) {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			return path
		}
	}
	return "/usr/local/bin:/usr/bin:/bin"
}

// lookPath finds an executable file; relative folders of PATH are in dir, as the program would see them.
func lookPath(name, path, dir string) string {
	for _, folder := range filepath.SplitList(path) {
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(dir, folder)
		}
		file := filepath.Join(folder, name)
		if unix.Access(file, unix.X_OK) != nil { // mostly it is not there, which this tells at least cost
			continue
		}
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			return file
		}
	}
	return ""
}

// place makes the work directory, and puts the payload and the files in place.
func (h *host) place(ctx context.Context, p *runners.Program) error {
	work, us := filepath.Join(h.workRoot(""), p.ID.Service), h.isUs(p.User)
	fresh := false
	if us || p.Kind != runners.Check {
		// The output's file is ours, whoever the program runs as.
		var err error
		if fresh, err = makeWorkDir(work); err != nil {
			return fmt.Errorf("make the work directory: %w", err)
		}
	}
	files := h.files(p.User)
	if !us {
		defer h.runner.guests.changed()
	}
	if us && fresh {
		if err := placeFresh(work, p.Files); err != nil {
			return err
		}
	} else if err := files.place(ctx, p.ID.Service, p.Files); err != nil {
		return err
	}
	if p.Payload == nil {
		return nil
	}
	lock, _ := h.runner.payloads.LoadOrStore(p.User+"/"+p.Payload.Hash, &oncePlaced{})
	return lock.(*oncePlaced).do(func() error { return files.payload(ctx, p.Payload) })
}

// makeWorkDir makes the folder of a service, and tells whether there was none.
func makeWorkDir(work string) (fresh bool, err error) {
	err = os.Mkdir(work, 0o700)
	if errors.Is(err, fs.ErrNotExist) { // the first service of the run
		if err = os.Mkdir(filepath.Dir(work), 0o700); err == nil || errors.Is(err, fs.ErrExist) {
			err = os.Mkdir(work, 0o700)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

func (h *host) payloadDir(p *runners.Program) string {
	return filepath.Join(h.root(p.User), "payload", p.Payload.Hash)
}

func (h *host) workRoot(user string) string { return filepath.Join(h.root(user), "work") }

// clock is when a file was placed, for names that nobody else uses at this time.
func clock() string { return fmt.Sprintf("%d-%x", os.Getpid(), time.Now().UnixNano()) }
