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
	processes := len(proc.All())
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
