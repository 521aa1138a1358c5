package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A rival starts the programs of a shape in some other way than launch.
type rival struct {
	name string
	// goals are what launch's time may be of its own, by shape; without one it is told, not judged.
	goals map[shape]float64
	// prepare makes what the rival needs in dir. Its error says why it is left out.
	prepare func(ctx context.Context, dir string, s shape) error
	run     func(ctx context.Context, dir string, s shape) (usage, error)
}

// boots compares booting a shape with doing the same by other means.
func boots(ctx context.Context, b *bench) error {
	for _, s := range []shape{{10, 100}, {1, 1000}} {
		if err := b.compareBoot(ctx, s, b.rounds, rivals()); err != nil {
			return err
		}
	}
	// Ten times as many: one round of it tells enough.
	return b.compareBoot(ctx, shape{100, 100}, 1, rivals()[:2])
}

func (b *bench) compareBoot(ctx context.Context, s shape, rounds int, all []rival) error {
	plan, err := b.plan(s)
	if err != nil {
		return err
	}
	var able []rival
	dirs := map[string]string{}
	for _, r := range all {
		dir, err := b.fresh("rival")
		if err != nil {
			return err
		}
		if err := r.prepare(ctx, dir, s); err != nil {
			b.report.skip(fmt.Sprintf("boot %v against %s", s, r.name), err.Error())
			continue
		}
		able, dirs[r.name] = append(able, r), dir
	}

	var ours []usage
	theirs := map[string][]usage{}
	for range rounds {
		run, err := b.boot(ctx, plan)
		if err != nil {
			return err
		}
		ours = append(ours, run.boot)
		if _, err := b.end(ctx, run); err != nil {
			return err
		}
		for _, r := range able {
			u, err := r.run(ctx, dirs[r.name], s)
			if err != nil {
				b.report.skip(fmt.Sprintf("boot %v against %s", s, r.name), strings.ReplaceAll(err.Error(), "\n", "; "))
				continue
			}
			theirs[r.name] = append(theirs[r.name], u)
		}
	}
	for _, r := range able {
		if len(theirs[r.name]) == 0 {
			continue
		}
		b.report.compare(fmt.Sprintf("boot %v, wall against %s", s, r.name), median(ours, wall), r.name, median(theirs[r.name], wall), r.goals[s])
		if r.name == viaMake {
			b.report.compare(fmt.Sprintf("boot %v, CPU against %s", s, r.name), median(ours, cpu), r.name, median(theirs[r.name], cpu), 0)
		}
	}
	b.report.tell(fmt.Sprintf("boot %v, CPU per service", s), show(median(ours, cpu)/time.Duration(s.services())), "")
	if s.services() <= 1000 {
		b.report.amount(fmt.Sprintf("boot %v, memory with the supervisor", s), mib(median(ours, peak)), "MiB", 60)
	} else {
		b.report.tell(fmt.Sprintf("boot %v, memory with the supervisor", s), fmt.Sprintf("%.4g MiB", mib(median(ours, peak))), "")
	}
	return nil
}

const viaMake = "make -j2"

func rivals() []rival {
	nothing := func(context.Context, string, shape) error { return nil }
	ten, one, hundred := shape{10, 100}, shape{1, 1000}, shape{100, 100}
	return []rival{
		{viaMake, map[shape]float64{ten: 2, one: 2, hundred: 2}, prepareMake, func(ctx context.Context, dir string, _ shape) (usage, error) {
			return command(ctx, dir, "make", "-s", "-j2")
		}},
		{"a bare fork+exec loop", nil, nothing, bareLoop},
		{"xargs -P4", nil, onPath("xargs"), runXargs},
		{"process-compose", map[shape]float64{ten: 2.0 / 3, one: 2.0 / 3}, prepareProcessCompose, runProcessCompose},
		{"tofu", map[shape]float64{ten: 1.0 / 6}, prepareTofu, runTofu},
		{"docker compose", nil, func(context.Context, string, shape) error {
			return errors.New("it starts containers, which is another kind of work")
		}, nil},
	}
}

func onPath(name string) func(context.Context, string, shape) error {
	return func(context.Context, string, shape) error {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("%s is not installed", name)
		}
		return nil
	}
}

// bareLoop starts the programs level by level, as many at a time as is fastest, and keeps no record of them.
func bareLoop(_ context.Context, _ string, s shape) (usage, error) {
	before := childrenCPU()
	began := time.Now()
	var failed sync.Map
	for range s.levels {
		for range 2 { // boot, ready
			work := make(chan struct{})
			var wg sync.WaitGroup
			for range 2 * runtime.NumCPU() {
				wg.Go(func() {
					for range work {
						cmd := exec.Command("/bin/true")
						cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
						if err := cmd.Run(); err != nil {
							failed.Store("a program", err)
						}
					}
				})
			}
			for range s.width {
				work <- struct{}{}
			}
			close(work)
			wg.Wait()
		}
	}
	if err, ok := failed.Load("a program"); ok {
		return usage{}, err.(error)
	}
	return usage{wall: time.Since(began), cpu: childrenCPU() - before}, nil
}

// childrenCPU is what all processes that were waited for took.
func childrenCPU() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func prepareMake(ctx context.Context, dir string, s shape) error {
	if err := onPath("make")(ctx, dir, s); err != nil {
		return err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "all: l%d\n", s.levels-1)
	for i := range s.levels {
		before := ""
		if i > 0 {
			before = fmt.Sprintf("l%d", i-1)
		}
		fmt.Fprintf(&text, "l%d:", i)
		for k := range s.width {
			fmt.Fprintf(&text, " s%d_%d", i, k)
		}
		text.WriteString("\n")
		for k := range s.width {
			fmt.Fprintf(&text, "s%d_%d: %s\n\t@/bin/true\n\t@/bin/true\n", i, k, before)
		}
	}
	return os.WriteFile(filepath.Join(dir, "Makefile"), []byte(text.String()), 0o600)
}

func runXargs(ctx context.Context, dir string, s shape) (usage, error) {
	script := fmt.Sprintf(`for level in $(seq %d); do seq %d | xargs -P4 -n1 sh -c '/bin/true && /bin/true'; done`, s.levels, s.width)
	return command(ctx, dir, "sh", "-c", script)
}
