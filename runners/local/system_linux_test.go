package local

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/launchplan/launch/internal/proc"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/local/supervisor"
)

// reads is how often a process has called read.
func reads(t *testing.T, pid int) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		t.Skip(err)
	}
	for line := range strings.Lines(string(data)) {
		if number, ok := strings.CutPrefix(line, "syscr: "); ok {
			n, err := strconv.Atoi(strings.TrimSpace(number))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Skip("the system does not count reads")
	return 0
}

// The supervisor once looked at every process of the machine for each daemon that
// boot programs had left, once a second, and twice more for each that it ended.
func TestManyDaemons(t *testing.T) {
	s := newStage(t)
	const daemons = 60
	var wg sync.WaitGroup
	for i := range daemons {
		wg.Go(func() {
			s.want(s.run(sh(fmt.Sprintf("boot-%d", i), "sleep 600 >/dev/null 2>&1 &")), runners.Exited, 0)
		})
	}
	wg.Wait()
	pid := s.runner.supervisor.running(s.ctx).pid
	all, err := proc.All()
	if err != nil {
		t.Fatal(err)
	}
	processes := len(all)
	before := reads(t, pid)
	s.awaitTick()
	s.awaitTick()
	if n := reads(t, pid) - before; n > 2*processes {
		t.Errorf("%d calls of read in two ticks, with %d processes on this machine", n, processes)
	}
	before = reads(t, pid)
	if err := s.Remove(s.ctx, ""); err != nil {
		t.Fatal(err)
	}
	if n := reads(t, pid) - before; n > daemons*processes {
		t.Errorf("%d calls of read to end %d daemons, with %d processes on this machine", n, daemons, processes)
	}
}

// awaitTick returns when the supervisor has looked at what no event tells: at its socket, for one.
func (s *stage) awaitTick() {
	s.t.Helper()
	socket := filepath.Join(s.env.Dir, "supervisor", supervisor.Socket)
	if err := os.Remove(socket); err != nil {
		s.t.Fatal(err)
	}
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for range look.C {
		if _, err := os.Lstat(socket); err == nil {
			return
		}
		if s.ctx.Err() != nil {
			s.t.Fatal("the socket does not come back")
		}
	}
}

// Out of file descriptors, the supervisor serves those that are connected, and
// neither fills its log nor a processor.
func TestOutOfFileDescriptors(t *testing.T) {
	s := newStage(t)
	s.want(s.run(sh("boot", "exit 3")), runners.Exited, 3)
	pid := s.runner.supervisor.running(s.ctx).pid
	var limit unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: 1 << 10}, &limit); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(s.env.Dir, "supervisor", supervisor.Log)
	complaints := func() int {
		data, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(data), "accept a client")
	}
	later := &host{runner: newRunner(t, s.env)}
	defer later.runner.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		if state, err := later.Look(s.ctx, name("boot")); err != nil || state.Result.Status != 3 {
			t.Errorf("Look of another launch process = %+v, %v", state, err)
		}
	})
	for complaints() == 0 {
		if s.ctx.Err() != nil {
			t.Fatal("it does not run out of file descriptors")
		}
	}
	for range 100 {
		if state, err := s.Look(s.ctx, name("boot")); err != nil || state.Result.Status != 3 {
			t.Fatalf("Look = %+v, %v", state, err)
		}
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1 << 10, Max: 1 << 10}, nil); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if n := complaints(); n > 20 {
		t.Errorf("it complained %d times", n)
	}
}

// What the supervisor cannot look at is not told to be ended.
func TestOutOfFileDescriptorsAtTheEnd(t *testing.T) {
	s := newStage(t)
	up := s.fifo()
	s.want(s.run(sh("boot", "(echo $(sh -c 'echo $PPID') >$1; exec sleep 600) >/dev/null 2>&1 &", up)), runners.Exited, 0)
	daemon := s.pid(up)
	pid := s.runner.supervisor.running(s.ctx).pid
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: 1 << 10}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(s.ctx, name("boot"), runners.Stop{Grace: time.Second}); err == nil || !strings.Contains(err.Error(), "too many open files") {
		t.Errorf("Stop: %v, want it to say that there are too many open files", err)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1 << 10, Max: 1 << 10}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(s.ctx, name("boot"), runners.Stop{Grace: time.Second}); err != nil || alive(daemon) {
		t.Errorf("Stop: %v; the daemon is alive: %v", err, alive(daemon))
	}
}

// A later supervisor that may open fewer files than there are programs ends them all the same.
func TestMoreProgramsThanFileDescriptors(t *testing.T) {
	env := testEnv(t)
	few := func() *host {
		r, err := New(t.Context(), Config{Supervisor: []string{"/bin/sh", "-c", "ulimit -n 40; exec \"$@\"", "sh", os.Args[0], supervise}}, env)
		if err != nil {
			t.Fatal(err)
		}
		return &host{runner: r.(*runner)}
	}
	s := newStageIn(t, env)
	s.host = few()
	const programs = 60
	for i := range programs {
		p := sh(fmt.Sprintf("process-%d", i), "echo $$ >>pids; exec sleep 600")
		p.Kind = runners.Process
		if err := s.Start(s.ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	var pids []string
	for len(pids) < programs && s.ctx.Err() == nil {
		data, _ := s.ReadFile(s.ctx, "service", "", "pids", 1<<10)
		pids = strings.Fields(string(data))
	}
	s.killSupervisor()
	s.runner.Close()
	s.host = few()
	if err := s.Remove(s.ctx, ""); err != nil {
		t.Errorf("Remove: %v", err)
	}
	for _, text := range pids {
		if pid, err := strconv.Atoi(text); err != nil || alive(pid) {
			t.Errorf("%s is alive after Remove", text)
		}
	}
}

// The supervisor begins its threads before there are programs, which may leave it none.
func TestThreadsAreThereBefore(t *testing.T) {
	s := newStage(t)
	conn, err := s.runner.supervisor.connect(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	threads := func() int {
		list, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", conn.pid))
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := threads()
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() { s.want(s.run(sh(fmt.Sprintf("boot-%d", i), "sleep 0.1 & wait")), runners.Exited, 0) })
	}
	wg.Wait()
	if after := threads(); after > before {
		t.Errorf("it had %d threads before its programs, and %d after", before, after)
	}
}
