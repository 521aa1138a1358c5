package harness_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/launchplan/launch/harness/wire"
)

// BenchmarkDispatch schedules 1,000 processes on 10 agents and waits until all run. Its
// ratio is the rate against the machine's own for starting, waiting and reaping a
// program, measured in the same run.
func BenchmarkDispatch(b *testing.B) {
	const count = 1000
	for b.Loop() {
		b.StopTimer()
		r := newRig(b, agents(10, count/10))
		r.define("sleeper", "sleep", "3600")
		machine := startRate(b, count)
		ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
		running := make(chan error, 1)
		go func() {
			_, err := r.records(ctx, func(all map[string]wire.Process) bool { return inState(all, wire.Running) == count })
			running <- err
		}()
		b.StartTimer()
		began := time.Now()
		if err := r.scheduleMany(ctx, "p", count, wire.Parameters{Definition: "sleeper"}); err != nil {
			b.Fatal(err)
		}
		scheduled := time.Since(began)
		if err := <-running; err != nil {
			b.Fatal(err)
		}
		rate := count / time.Since(began).Seconds()
		b.StopTimer()
		cancel()
		machine = (machine + startRate(b, count)) / 2 // the machine is rarely alone
		b.ReportMetric(rate, "processes/s")
		b.ReportMetric(machine, "machine/s")
		b.ReportMetric(rate/machine, "ratio")
		b.ReportMetric(float64(scheduled.Milliseconds()), "schedule-ms")
		if err := r.h.Kill(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func inState(all map[string]wire.Process, s wire.State) int {
	n := 0
	for _, p := range all {
		if p.State == s {
			n++
		}
	}
	return n
}

// startRate is how many programs a second the machine starts, waits for and reaps,
// four at a time.
func startRate(b *testing.B, count int) float64 {
	log, err := os.Create(b.TempDir() + "/log")
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	var group errgroup.Group
	group.SetLimit(4)
	began := time.Now()
	for range count {
		group.Go(func() error {
			cmd := exec.Command("/bin/true")
			cmd.Stdout, cmd.Stderr = log, log
			return cmd.Run()
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	return float64(count) / time.Since(began).Seconds()
}

// BenchmarkKnown has the dispatcher know 10,000 processes, of which an agent's slots
// run few, and tells what memory each of the two then takes.
func BenchmarkKnown(b *testing.B) {
	const count = 10000
	for b.Loop() {
		r := newRig(b, agents(1, 50))
		r.define("sleeper", "sleep", "3600")
		ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
		began := time.Now()
		if err := r.scheduleMany(ctx, "p", count, wire.Parameters{Definition: "sleeper"}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(count/time.Since(began).Seconds(), "scheduled/s")
		if _, err := r.records(ctx, func(all map[string]wire.Process) bool { return inState(all, wire.Running) == 50 }); err != nil {
			b.Fatal(err)
		}
		st, err := r.h.Status(ctx)
		if err != nil {
			b.Fatal(err)
		}
		for _, d := range st.Daemons {
			b.ReportMetric(residentMiB(b, d.PID), d.Kind+"-MiB")
		}
		cancel()
		if err := r.h.Kill(); err != nil {
			b.Fatal(err)
		}
	}
}

func residentMiB(b *testing.B, pid int) float64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0 // no /proc on this system
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		var kib float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kib); err == nil {
			return kib / 1024
		}
	}
	return 0
}
