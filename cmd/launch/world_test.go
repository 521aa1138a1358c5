//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen. It is no measure of anything: it only ends a test that hangs,
// and is longer than launch's own longest wait, two minutes for instances that a cloud may not show yet.
const patience = 3 * time.Minute

// A world is a state directory with the real program, and the processes that come of it.
type world struct {
	t     *testing.T
	dir   string
	state string
	env   []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	w.state = filepath.Join(w.dir, "state")
	w.env = append(os.Environ(), "LAUNCH_STATE="+w.state, "HOME="+w.dir, "WORLD="+w.dir, "NO_COLOR=1")
	t.Cleanup(w.mop)
	return w
}

// plan writes a plan and returns its folder.
func (w *world) plan(name, content string) string {
	w.t.Helper()
	dir := filepath.Join(w.dir, name)
	w.must(os.MkdirAll(dir, 0o700))
	w.must(os.WriteFile(filepath.Join(dir, "plan.hcl"), []byte(content), 0o600))
	return dir
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// path is a file that programs know as $WORLD/name.
func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// content of such a file, "" where it is not there.
func (w *world) content(name string) string {
	content, err := os.ReadFile(w.path(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Fatal(err)
	}
	return string(content)
}

// A result is how a command ended.
type result struct {
	t              *testing.T
	line           string
	status         int
	stdout, stderr string
}

// launch runs the program to its end.
func (w *world) launch(args ...string) result {
	w.t.Helper()
	return w.begin(args...).end()
}

// sh runs a shell line in which launch is on PATH.
func (w *world) sh(line string) result {
	w.t.Helper()
	return w.start(exec.Command("sh", "-c", line)).end()
}

// begin starts the program and goes on.
func (w *world) begin(args ...string) *running {
	w.t.Helper()
	return w.start(exec.Command(filepath.Join(binaries, "launch"), args...))
}

func (w *world) start(cmd *exec.Cmd) *running {
	w.t.Helper()
	r := &running{w: w, cmd: cmd}
	cmd.Dir, cmd.Env = w.dir, append(w.env, "PATH="+binaries+":"+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = &r.stdout, &r.stderr
	cmd.WaitDelay = patience
	w.must(cmd.Start())
	return r
}

// A running command.
type running struct {
	w              *world
	cmd            *exec.Cmd
	stdout, stderr safeBuffer
}

func (r *running) signal(s syscall.Signal) {
	r.w.t.Helper()
	r.w.must(r.cmd.Process.Signal(s))
}

// end waits for the command's end.
func (r *running) end() result {
	r.w.t.Helper()
	hung := time.AfterFunc(patience, func() { r.cmd.Process.Signal(syscall.SIGABRT) }) // with all its goroutines
	defer hung.Stop()
	err := r.cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		r.w.t.Fatalf("%v: %v", r.cmd.Args, err)
	}
	return result{
		t: r.w.t, line: strings.Join(r.cmd.Args[1:], " "), status: r.cmd.ProcessState.ExitCode(),
		stdout: r.stdout.String(), stderr: r.stderr.String(),
	}
}

// want checks the exit status and that the output has all of these texts.
func (r result) want(status int, texts ...string) result {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("launch %s ended with %d, not %d\nstdout:\n%s\nstderr:\n%s", r.line, r.status, status, r.stdout, r.stderr)
	}
	for _, text := range texts {
		if !strings.Contains(r.stdout+r.stderr, text) {
			r.t.Errorf("launch %s does not say %q\nstdout:\n%s\nstderr:\n%s", r.line, text, r.stdout, r.stderr)
		}
	}
	return r
}

// not checks that the output does not have a text.
func (r result) not(text string) result {
	r.t.Helper()
	if strings.Contains(r.stdout+r.stderr, text) {
		r.t.Errorf("launch %s says %q\nstdout:\n%s\nstderr:\n%s", r.line, text, r.stdout, r.stderr)
	}
	return r
}

// A gate is a FIFO at which programs of a plan and the test meet.
type gate struct {
	w    *world
	file *os.File
	r    *bufio.Reader
}

// gate makes the FIFO $WORLD/name. The test holds both of its ends, so that nobody's open blocks.
func (w *world) gate(name string) *gate {
	w.t.Helper()
	w.must(syscall.Mkfifo(w.path(name), 0o600))
	f, err := os.OpenFile(w.path(name), os.O_RDWR|syscall.O_NONBLOCK, 0)
	w.must(err)
	w.t.Cleanup(func() { f.Close() })
	return &gate{w: w, file: f, r: bufio.NewReader(f)}
}

// await returns the next line that a program writes.
func (g *gate) await() string {
	g.w.t.Helper()
	g.w.must(g.file.SetReadDeadline(time.Now().Add(patience)))
	line, err := g.r.ReadString('\n')
	if err != nil {
		g.w.t.Fatalf("nothing came to %s: %v", g.file.Name(), err)
	}
	return strings.TrimSpace(line)
}

// open lets one program pass that reads a line.
func (g *gate) open() {
	g.w.t.Helper()
	_, err := g.file.WriteString("go\n")
	g.w.must(err)
}

// run finds out how a run stands, from what is recorded.
func (w *world) status(run string) statusView {
	w.t.Helper()
	r := w.launch("status", run, "--cached", "-o", "json")
	var v statusView
	if err := json.Unmarshal([]byte(r.stdout), &v); err != nil {
		w.t.Fatalf("status -o json: %v\n%s%s", err, r.stdout, r.stderr)
	}
	return v
}

// services are their statuses by address.
func (v statusView) services() map[string]string {
	all := map[string]string{}
	for _, lv := range v.Levels {
		for _, svc := range lv.Services {
			all[svc.Address] = string(svc.Status)
		}
	}
	return all
}

// processes finds what this world's commands started: everything that inherited its environment. Supervisors are found only when asked for.
func (w *world) processes(has string) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		w.t.Skip("there is no /proc to find processes in")
	}
	var found []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		environ, _ := os.ReadFile("/proc/" + e.Name() + "/environ")
		cmdline, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if bytes.Contains(environ, []byte("WORLD="+w.dir+"\x00")) && len(cmdline) > 0 &&
			strings.Contains(strings.ReplaceAll(string(cmdline), "\x00", " "), has) {
			found = append(found, pid)
		}
	}
	return found
}

// wantNothingLeft ends the run and checks that no process and no work directory of it is left.
func (w *world) wantNothingLeft(run string) {
	w.t.Helper()
	w.launch("terminate", run).want(exitOK, "is terminated")
	w.wantNoProcess()
	if work, _ := filepath.Glob(filepath.Join(w.state, "runs", "*", "work", "*")); len(work) > 0 {
		w.t.Errorf("work directories are left: %q", work)
	}
}

// wantNoProcess checks that nothing runs any more. A supervisor that adopted programs of one that was killed looks now and
// then whether they are gone, so it may leave a little later.
func (w *world) wantNoProcess() {
	w.t.Helper()
	for _, pid := range w.processes(" " + superviseArg + " ") {
		awaitEnd(w.t, pid)
	}
	for _, pid := range w.processes("") {
		cmdline, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		w.t.Errorf("process %d is left: %q", pid, cmdline)
	}
}

// mop ends what a failed test left.
func (w *world) mop() {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		return
	}
	for _, pid := range w.processes("") {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// supervisors of this world's runs.
func (w *world) supervisors() []int {
	w.t.Helper()
	found := w.processes(" " + superviseArg + " ")
	if len(found) == 0 {
		w.t.Fatal("no supervisor is found")
	}
	return found
}

// gone waits until a process is no more.
func (w *world) gone(pid int) {
	w.t.Helper()
	awaitEnd(w.t, pid)
}

// awaitEnd asks until a process is no more: there is no event for a process that is not a child.
func awaitEnd(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(patience); syscall.Kill(pid, 0) == nil; {
		if time.Now().After(end) {
			t.Fatalf("process %d goes on", pid)
		}
		syscall.Select(0, nil, nil, nil, &syscall.Timeval{Usec: 5000})
	}
}

// safeBuffer is written by a command while a test reads it.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
