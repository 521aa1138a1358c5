package local

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/launchplan/launch/internal/proc"
	"github.com/launchplan/launch/runners"
)

// patience bounds each test: what takes longer hangs.
const patience = time.Minute

// A stage is a run with one launch process, that tests do bad things to.
type stage struct {
	*host
	t   testing.TB
	ctx context.Context
	env runners.Env
}

func testEnv(t testing.TB) runners.Env {
	return runners.Env{
		Run:     "test",
		RunID:   fmt.Sprintf("TEST%d%d", os.Getpid(), time.Now().UnixNano()),
		Plan:    t.TempDir(),
		Dir:     t.TempDir(),
		Turn:    "first",
		Environ: os.Environ(),
		Note:    func(service, text string) { t.Logf("note for %q: %s", service, text) },
	}
}

func newStage(t testing.TB) *stage { return newStageIn(t, testEnv(t)) }

func newStageIn(t testing.TB, env runners.Env) *stage {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	s := &stage{t: t, ctx: ctx, env: env}
	s.host = &host{runner: newRunner(t, env)}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if s.runner.supervisor.closed {
			s.host = &host{runner: newRunner(t, env)}
		}
		if err := s.Remove(ctx, ""); err != nil && !t.Failed() {
			t.Logf("Remove everything: %v", err)
		}
		s.runner.Close()
	})
	return s
}

// again is what a later launch process has.
func (s *stage) again() {
	s.runner.Close()
	s.host = &host{runner: newRunner(s.t, s.env)}
}

func name(id string) runners.ID { return runners.ID{Service: "service", Name: id} }

func sh(id, script string, args ...string) *runners.Program {
	return &runners.Program{
		ID: name(id), Kind: runners.Durable,
		Argv: append([]string{"sh", "-c", script, "sh"}, args...),
		Stop: runners.Stop{Signal: "SIGTERM", Grace: 5 * time.Second},
	}
}

// fifo makes a named pipe by which a program tells that it is up: its path is the
// program's argument.
func (s *stage) fifo() string {
	path := filepath.Join(s.t.TempDir(), "up")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// wait returns what a program wrote to a fifo, when it did.
func (s *stage) wait(fifo string) string {
	s.t.Helper()
	word, err := os.ReadFile(fifo)
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(string(word))
}

func (s *stage) pid(fifo string) int {
	s.t.Helper()
	pid, err := strconv.Atoi(s.wait(fifo))
	if err != nil {
		s.t.Fatal(err)
	}
	return pid
}

// outcome is what Run returned.
type outcome struct {
	runners.Result
	err error
	out string
}

// begin runs p in the background; the function it returns waits for the end.
func (s *stage) begin(p *runners.Program) func() outcome {
	var o outcome
	var out bytes.Buffer
	p.Output = &out
	var wg sync.WaitGroup
	h := s.host
	wg.Go(func() { o.Result, o.err = h.Run(s.ctx, p) })
	return func() outcome { wg.Wait(); o.out = out.String(); return o }
}

func (s *stage) run(p *runners.Program) outcome { return s.begin(p)() }

// killSupervisor ends the supervisor as the kernel does when memory runs out.
func (s *stage) killSupervisor() {
	s.t.Helper()
	conn := s.runner.supervisor.running(s.ctx)
	if conn == nil {
		s.t.Fatal("there is no supervisor")
	}
	if err := syscall.Kill(conn.pid, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	<-conn.ended
}

func alive(pid int) bool {
	p, err := proc.Find(pid)
	return err == nil && !p.Zombie
}

func (s *stage) want(o outcome, want runners.Outcome, status int) {
	s.t.Helper()
	if o.err != nil || o.Outcome != want || o.Status != status {
		s.t.Errorf("Run = %+v, %v; want outcome %d, status %d", o.Result, o.err, want, status)
	}
}

// actAsLaunch is a launch process: it runs a program in the run whose folder is
// dir, and says so when it has started.
func actAsLaunch(dir string) {
	env := runners.Env{RunID: filepath.Base(filepath.Dir(dir)), Dir: dir, Environ: os.Environ(), Note: func(string, string) {}}
	r, err := New(context.Background(), Config{Supervisor: []string{os.Args[0], supervise}}, env)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	script, err := io.ReadAll(os.Stdin)
	if err != nil {
		os.Exit(1)
	}
	p := sh("boot", string(script))
	p.Timeout = 30 * time.Second
	p.Started = func() { fmt.Println("started") }
	h := &host{runner: r.(*runner)}
	fmt.Println(h.Run(context.Background(), p))
	os.Exit(0)
}

// launch starts such a process, and returns when its program runs.
func (s *stage) launch(script string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command(os.Args[0], launchProcess, s.env.Dir)
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	line := make([]byte, len("started\n"))
	if _, err := io.ReadFull(out, line); err != nil || string(line) != "started\n" {
		s.t.Fatalf("the launch process said %q, %v", line, err)
	}
	return cmd
}
