package minder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/launchplan/launch/harness/wire"
)

// identityEnv marks a process so that it can be found whatever else was lost.
func identityEnv(dir string, t wire.Target) []string {
	return []string{"EPU_AGENT_DIR=" + dir, "EPU_PROCESS_ID=" + t.ID, "EPU_ROUND=" + strconv.Itoa(t.Round)}
}

// spawn starts a process in a session of its own. It uses ForkExec itself: os/exec
// would take a thread per process to wait for it. Null is what all of them read.
func spawn(dir string, null *os.File, st *Start) (pid int, err error) {
	env := environment(append(st.Env, identityEnv(dir, st.Target)...))
	path, err := lookPath(st.Argv[0], st.Dir, env)
	if err != nil {
		return 0, err
	}
	log, err := os.OpenFile(st.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, fmt.Errorf("open its log: %w", err)
	}
	defer log.Close()
	pid, err = syscall.ForkExec(path, st.Argv, &syscall.ProcAttr{
		Dir: st.Dir, Env: env,
		Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		if info, statErr := os.Stat(st.Dir); statErr != nil || !info.IsDir() {
			return 0, fmt.Errorf("its working directory %s is no directory: %w", st.Dir, err)
		}
		return 0, &fs.PathError{Op: "exec", Path: path, Err: err}
	}
	return pid, nil
}

// environment is the minder's own without what is only for the harness, then the
// process's; the last value of a name counts.
func environment(own []string) []string {
	last := make(map[string]string, len(own))
	for _, entry := range own {
		if name, _, ok := strings.Cut(entry, "="); ok {
			last[name] = entry
		}
	}
	var env []string
	for _, entry := range os.Environ() {
		name, _, ok := strings.Cut(entry, "=")
		if _, replaced := last[name]; ok && !replaced && !onlyHarness(name) {
			env = append(env, entry)
		}
	}
	for _, entry := range own {
		name, _, _ := strings.Cut(entry, "=")
		if last[name] == entry && !onlyHarness(name) {
			env = append(env, entry)
			delete(last, name)
		}
	}
	return env
}

// onlyHarness says that a variable is for the harness's own daemons.
func onlyHarness(name string) bool {
	return strings.HasPrefix(name, "EPUHARNESS_") || name == "EPU_READY_FD"
}

// lookPath finds the program as the process itself would: by its own PATH, or, with
// a slash in it, from its working directory.
func lookPath(program, dir string, env []string) (string, error) {
	if strings.Contains(program, "/") {
		if !filepath.IsAbs(program) {
			program = filepath.Join(dir, program)
		}
		if err := executable(program); err != nil {
			return "", fmt.Errorf("its program cannot be run: %w", err)
		}
		return program, nil
	}
	for _, entry := range env {
		list, ok := strings.CutPrefix(entry, "PATH=")
		if !ok {
			continue
		}
		for _, d := range filepath.SplitList(list) {
			if path := filepath.Join(d, program); filepath.IsAbs(d) && executable(path) == nil {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("program %q is not on the agent's PATH: %w", program, fs.ErrNotExist)
}

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return &fs.PathError{Op: "exec", Path: path, Err: fs.ErrPermission}
	}
	return nil
}

// permanent says that starting the same again would fail the same way.
func permanent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOEXEC) ||
		errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.E2BIG) || errors.Is(err, syscall.EINVAL)
}

func signalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return "signal " + strconv.Itoa(int(sig))
}

// childSignals tells when a child has ended.
type childSignals struct{ C chan os.Signal }

func notifyChildren() childSignals {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGCHLD)
	return childSignals{c}
}

func (c childSignals) stop() { signal.Stop(c.C) }
