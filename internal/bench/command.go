package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// usage is what a command took, with the processes that it waited for.
type usage struct {
	wall time.Duration
	cpu  time.Duration
	peak int64 // bytes: for launch, of itself and its supervisor together
	out  []byte
}

// sampled is how often memory is looked at. The kernel keeps each process's own maximum, so that little is missed.
const sampled = 20 * time.Millisecond

// command runs a program to its end, in dir.
func command(ctx context.Context, dir, name string, args ...string) (usage, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return usage{}, err
	}
	stop := make(chan struct{})
	highest := make(chan int64, 1)
	go func() { highest <- watchMemory(cmd.Process.Pid, stop) }()
	err := cmd.Wait()
	u := usage{wall: time.Since(began), out: out.Bytes()}
	close(stop)
	u.peak = <-highest
	if err != nil {
		return u, fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, lastLines(problems.String()))
	}
	u.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if u.wall < 10*sampled || u.peak == 0 {
		// It may have ended between two looks. What the system tells at the end counts this program too, of which the
		// process was a copy before it became another: where the test endpoint is in here, that is hundreds of megabytes.
		u.peak = max(u.peak, maxRSS(cmd.ProcessState))
	}
	return u, nil
}

func lastLines(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// watchMemory returns the sum of the most that a process and its supervisor ever held. What both have of the same
// binary is in memory once, and counted once.
func watchMemory(pid int, stop chan struct{}) int64 {
	ticker := time.NewTicker(sampled)
	defer ticker.Stop()
	most := map[int]int64{}
	for {
		for _, p := range family(pid) {
			held := memory(p, "VmHWM")
			if p != pid {
				held -= memory(p, "RssFile")
			}
			most[p] = max(most[p], held)
		}
		select {
		case <-ticker.C:
		case <-stop:
			var sum int64
			for _, m := range most {
				sum += m
			}
			return sum
		}
	}
}

// family are a process and its children that run the same program. Where there is no /proc, it has none.
func family(pid int) []int {
	own, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return nil
	}
	all := []int{pid}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		content, _ := os.ReadFile(list)
		for _, field := range strings.Fields(string(content)) {
			var child int
			fmt.Sscan(field, &child)
			// A child that was forked a moment ago is still a copy of its parent: wait until it leads its own session.
			if exe, _ := os.Readlink("/proc/" + field + "/exe"); exe == own && isSupervisor(field) {
				all = append(all, child)
			}
		}
	}
	return all
}

func isSupervisor(pid string) bool {
	line, _ := os.ReadFile("/proc/" + pid + "/cmdline")
	return bytes.Contains(line, []byte("\x00supervise\x00"))
}

// memory is a figure of /proc/PID/status.
func memory(pid int, name string) int64 {
	content, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.SplitSeq(string(content), "\n") {
		var kib int64
		if _, err := fmt.Sscanf(line, name+": %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	return 0
}

// median is the middle one by a measure.
func median[T any, M cmp.Ordered](all []T, measure func(T) M) M {
	values := make([]M, len(all))
	for i, x := range all {
		values[i] = measure(x)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func wall(u usage) time.Duration { return u.wall }
func cpu(u usage) time.Duration  { return u.cpu }
func peak(u usage) int64         { return u.peak }

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// quantile is the value below which a part of all are.
func quantile(all []time.Duration, part float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(part*float64(len(sorted))))]
}
