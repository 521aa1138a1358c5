package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/local/supervisor"
)

func TestDeletedWorkDir(t *testing.T) {
	s := newStage(t)
	up, hold := s.fifo(), s.fifo()
	end := s.begin(sh("boot", fmt.Sprintf("echo one; echo $$ >%s; read x <%s; exit 3", up, hold)))
	s.wait(up)
	if err := os.RemoveAll(s.WorkDir("service", "")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hold, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	o := end()
	s.want(o, runners.Exited, 3)
	if !strings.Contains(o.out, "one") && !strings.Contains(o.out, "removed") {
		t.Errorf("output = %q, want a word on what became of it", o.out)
	}
	s.want(s.run(sh("boot-2", "echo two")), runners.Exited, 0)
}

func TestDeletedSocket(t *testing.T) {
	s := newStage(t)
	up, hold := s.fifo(), s.fifo()
	end := s.begin(sh("boot", fmt.Sprintf("echo $$ >%s; read x <%s; exit 3", up, hold)))
	s.wait(up)
	if err := os.Remove(filepath.Join(s.env.Dir, "supervisor", supervisor.Socket)); err != nil {
		t.Fatal(err)
	}
	later := newRunner(t, s.env)
	defer later.Close()
	h := &host{runner: later}
	conn, err := later.supervisor.connect(s.ctx)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	if conn.pid != s.runner.supervisor.running(s.ctx).pid {
		t.Error("there are two supervisors")
	}
	if err := os.WriteFile(hold, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	s.want(end(), runners.Exited, 3)
	if result, err := h.Wait(s.ctx, name("boot")); err != nil || result.Status != 3 {
		t.Errorf("Wait = %+v, %v", result, err)
	}
}

func TestDeepStateDirectory(t *testing.T) {
	env := testEnv(t)
	env.Dir = filepath.Join(env.Dir, strings.Repeat("deep", 40), strings.Repeat("er", 90))
	if err := os.MkdirAll(env.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := newStageIn(t, env)
	s.want(s.run(sh("boot", "exit 4")), runners.Exited, 4)
}

func TestSupervisorLeaves(t *testing.T) {
	s := newStage(t)
	s.want(s.run(sh("boot", "true")), runners.Exited, 0)
	pid := s.runner.supervisor.running(s.ctx).pid
	s.runner.Close()
	if syscall.Kill(pid, 0) == nil {
		t.Error("the supervisor is there after Close, with nothing to do")
	}
	s.again()
	// It stays for what a boot program left, and sees it end.
	fifo := s.fifo()
	s.want(s.run(sh("daemon", "(read x <$1) >/dev/null 2>&1 & ", fifo)), runners.Exited, 0)
	pid = s.runner.supervisor.running(s.ctx).pid
	s.runner.Close()
	if err := os.WriteFile(fifo, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, pid)
}

func TestManyRunnersOneSupervisor(t *testing.T) {
	s := newStage(t)
	pids := make([]int, 8)
	var wg sync.WaitGroup
	hosts := make([]*host, len(pids))
	for i := range pids {
		hosts[i] = &host{runner: newRunner(t, s.env)}
		wg.Go(func() {
			p := sh("boot", "echo x >>runs")
			if result, err := hosts[i].Run(s.ctx, p); err != nil || result.Status != 0 {
				t.Errorf("Run = %+v, %v", result, err)
			}
			pids[i] = hosts[i].runner.supervisor.running(s.ctx).pid
		})
	}
	wg.Wait()
	for i, pid := range pids {
		if pid != pids[0] {
			t.Errorf("supervisors %d and %d at the same time", pid, pids[0])
		}
		hosts[i].runner.Close()
	}
	if runs, err := s.ReadFile(s.ctx, "service", "", "runs", 100); err != nil || string(runs) != "x\n" {
		t.Errorf("runs = %q, %v; want one", runs, err)
	}
}

func TestManyAtOnce(t *testing.T) {
	s := newStage(t)
	const programs = 200
	fifo := s.fifo()
	hold, err := os.OpenFile(fifo, os.O_RDWR, 0) // readers block until it is closed
	if err != nil {
		t.Fatal(err)
	}
	var up, wg sync.WaitGroup
	up.Add(programs)
	for i := range programs {
		wg.Go(func() {
			p := sh(fmt.Sprintf("boot-%d", i), "read x <$1; exit $2", fifo, fmt.Sprint(i%100))
			p.Started = sync.OnceFunc(up.Done)
			if result, err := s.Run(s.ctx, p); err != nil || result.Status != i%100 {
				t.Errorf("program %d = %+v, %v", i, result, err)
			}
		})
	}
	up.Wait()
	if _, err := hold.WriteString(strings.Repeat("\n", programs)); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	hold.Close()
}

func TestCheckEndsWithItsLaunchProcess(t *testing.T) {
	s := newStage(t)
	up := s.fifo()
	p := sh("ready", "echo $$ >$1; sleep 600", up)
	p.Kind = runners.Check
	end := s.begin(p)
	pid := s.pid(up)
	s.runner.supervisor.current.conn.Close() // as when launch dies
	if o := end(); o.err != nil || o.Outcome != runners.Lost {
		t.Errorf("Run = %+v, %v; want lost", o.Result, o.err)
	}
	awaitGone(t, pid)
}

// Much output neither fills the disk nor the log: head and tail are kept.
func TestMuchOutput(t *testing.T) {
	if os.Getenv("LAUNCH_LONG") == "" {
		t.Skip("LAUNCH_LONG is not set: this writes 200 MB")
	}
	s := newStage(t)
	up, hold := s.fifo(), s.fifo()
	const size = 200 << 20
	var out counter
	p := sh("boot", "echo begin; head -c $1 /dev/zero | tr '\\0' x; echo $$ >$2; read x <$3; echo; echo end", fmt.Sprint(size), up, hold)
	p.Output = &out
	var wg sync.WaitGroup
	wg.Go(func() {
		if result, err := s.Run(s.ctx, p); err != nil || result.Status != 0 {
			t.Errorf("Run = %+v, %v", result, err)
		}
	})
	s.wait(up)
	file := s.outputFile(p.ID)
	if runtime.GOOS == "linux" {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for range tick.C { // until the supervisor has looked at it
			var stat unix.Stat_t
			if err := unix.Stat(file, &stat); err != nil {
				t.Fatal(err)
			}
			if stat.Blocks*512 <= runners.MaxOutput+1<<20 {
				break
			}
			if s.ctx.Err() != nil {
				t.Fatalf("the output takes %d bytes of the disk", stat.Blocks*512)
			}
		}
	}
	if err := os.WriteFile(hold, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	text := out.buf.String()
	if !strings.HasPrefix(text, "begin\nxxx") || !strings.HasSuffix(text, "xxx\nend\n") {
		t.Error("the output has lost its begin or its end")
	}
	if len(text) < runners.MaxOutput || len(text) > runners.MaxOutput+200 || !strings.Contains(text, "bytes of output were left out") || strings.ContainsRune(text, 0) {
		t.Errorf("the output has %d bytes", len(text))
	}
}

// Whoever reads long output is told where it goes on, also when it is trimmed meanwhile.
func TestOutputLeftOut(t *testing.T) {
	s := newStage(t)
	id := runners.ID{Service: "much", Name: "process-1"}
	const size = 2 * runners.MaxOutput
	const trimmed = size - 1<<20 // by the next tick of the supervisor
	path := s.outputFile(id)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, at := range []int64{0, supervisor.KeepHead - 4, trimmed, size - 4} {
		if _, err := file.WriteAt([]byte("text"), at); err != nil {
			t.Fatal(err)
		}
	}
	tail := int64(size - supervisor.KeepTail)
	next := tail
	if data, err := unix.Seek(int(file.Fd()), tail, unix.SEEK_DATA); err == nil {
		next = data
	}
	for _, c := range []struct {
		offset int64
		want   string
		next   int64
	}{
		{0, "text", 0},
		{supervisor.KeepHead - 4, "text", 0},
		{supervisor.KeepHead, "", tail},
		{tail - 1, "", tail},
		{tail, "", next},
		{trimmed, "text", 0},
		{-4, "text", 0},
		{size, "", 0},
	} {
		out, err := s.Output(s.ctx, id, c.offset, 8)
		got := int64(0)
		if gap, ok := errors.AsType[*runners.LeftOutError](err); ok {
			got, err = gap.Next, nil
		}
		if next == tail && c.offset == tail {
			continue // this file system knows no holes
		}
		if err != nil || got != c.next || string(bytes.TrimRight(out, "\x00")) != c.want {
			t.Errorf("Output at %d = %q, %v, or goes on at %d; want %q, %d", c.offset, out, err, got, c.want, c.next)
		}
	}
}

type counter struct{ buf bytes.Buffer }

func (c *counter) Write(p []byte) (int, error) { return c.buf.Write(p) }

func TestUnknownUser(t *testing.T) {
	for _, sudo := range []bool{false, true} {
		s := newStage(t)
		s.runner.sudo = sudo
		p := sh("boot", "true")
		p.User = "no-such-user"
		o := s.run(p)
		if o.err == nil || !strings.Contains(o.err.Error(), "no-such-user") {
			t.Errorf("Run as nobody there (sudo: %v) = %+v, %v", sudo, o.Result, o.err)
		}
	}
}

// A supervisor that is frozen answers nobody. That is told to all who ask, after the
// patience for one of them, and whoever gives up need not wait for it.
func TestFrozenSupervisor(t *testing.T) {
	s := newStage(t)
	up, hold := s.fifo(), s.fifo()
	end := s.begin(sh("boot", "echo $$ >$1; read x <$2; exit 3", up, hold))
	program := s.pid(up)
	pid := s.runner.supervisor.running(s.ctx).pid
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(pid, syscall.SIGCONT)
	later := &host{runner: newRunner(t, s.env)}
	defer later.runner.Close()

	// One after another, these once took ten seconds each.
	ctx, cancel := context.WithTimeout(s.ctx, 3*helloPatience)
	defer cancel()
	for range 10 {
		if state, err := later.Look(ctx, name("boot")); err != nil || state.PID != program {
			t.Fatalf("Look = %+v, %v; want %d running, as the records say", state, err, program)
		}
	}
	given, giveUp := context.WithCancel(s.ctx)
	giveUp()
	if err := later.Stop(given, name("boot"), runners.Stop{}); err == nil {
		t.Error("Stop of a program that a frozen supervisor has, given up, was done")
	}
	syscall.Kill(pid, syscall.SIGCONT)
	if err := os.WriteFile(hold, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	s.want(end(), runners.Exited, 3)
	if state, err := later.Look(s.ctx, name("boot")); err != nil || state.Result.Status != 3 {
		t.Errorf("Look = %+v, %v; want the status 3", state, err)
	}
}

// Programs begin without what launch happens to have: open files, and signals that are ignored.
func TestWhatLaunchHas(t *testing.T) {
	var pipe [2]int
	if err := syscall.Pipe(pipe[:]); err != nil { // as a shell leaves it open for launch
		t.Fatal(err)
	}
	defer syscall.Close(pipe[0])
	defer syscall.Close(pipe[1])
	signal.Ignore(syscall.SIGHUP) // nohup
	defer signal.Reset(syscall.SIGHUP)
	s := newStage(t)
	o := s.run(sh("files", "for fd; do [ ! -e /dev/fd/$fd ] || echo $fd; done", fmt.Sprint(pipe[0]), fmt.Sprint(pipe[1])))
	s.want(o, runners.Exited, 0)
	if o.out != "" {
		t.Errorf("it has the open files %q of launch", o.out)
	}
	if o := s.run(sh("signals", "kill -HUP $$")); o.Signal != "SIGHUP" {
		t.Errorf("Run = %+v, %v; want it ended by SIGHUP", o.Result, o.err)
	}
}

// A program that puts something else in the place of its output keeps nobody
// waiting, and has nobody read or write anything outside.
func TestOutputReplaced(t *testing.T) {
	for what, c := range map[string]struct{ replace, note string }{
		"a pipe": {"mkfifo $1", "is not the file that launch made"},
		"a link": {"ln -s $2 $1", "symbolic link"},
	} {
		t.Run(what, func(t *testing.T) {
			env := testEnv(t)
			var note string
			env.Note = func(_, text string) { note = text }
			s := newStageIn(t, env)
			outside := filepath.Join(t.TempDir(), "outside")
			if err := os.WriteFile(outside, []byte("untouched"), 0o600); err != nil {
				t.Fatal(err)
			}
			file := s.outputFile(name("boot"))
			o := s.run(sh("boot", "rm $1 && "+c.replace, file, outside))
			s.want(o, runners.Exited, 0)
			if o.out != "" || !strings.Contains(note, c.note) {
				t.Errorf("output = %q, with the note %q", o.out, note)
			}
			if out, err := s.Output(s.ctx, name("boot"), 0, 100); err == nil {
				t.Errorf("Output = %q", out)
			}
			if what == "a link" {
				next := s.outputFile(name("boot-2"))
				s.want(s.run(sh("boot-1", "ln -s $1 $2", outside, next)), runners.Exited, 0)
				if o := s.run(sh("boot-2", "echo written")); o.err == nil {
					t.Errorf("Run = %+v, with a link in the place of its output", o.Result)
				}
			}
			if text, err := os.ReadFile(outside); err != nil || string(text) != "untouched" {
				t.Errorf("the file outside holds %q, %v", text, err)
			}
		})
	}
}
