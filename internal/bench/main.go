// Command bench measures launch against what the machine can do by itself, and against other programs that do
// the same, and prints one table. Every figure that is judged is a ratio of two measured in the same run, in
// turns, since machines differ and are noisy. docs/performance.md tells what each line means.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// A section measures one subject.
type section struct {
	name    string
	measure func(context.Context, *bench) error
}

func sections() []section {
	return []section{
		{"start-up", startUp},
		{"boot", boots},
		{"latency", latency},
		{"store", store},
		{"growth", growth},
		{"lightweight", lightweight},
		{"fleet", fleet},
		{"packages", packages},
	}
}

// bench is what the sections share.
type bench struct {
	launch string // the binary under test
	stamp  string // a small program that writes down when it began and ended
	opener string // one that opens a port, and writes down when
	root   string // of the repository
	dir    string // everything is made in here, and removed at the end
	rounds int
	long   bool
	report *report
}

func run(ctx context.Context) error {
	b := &bench{report: &report{out: os.Stdout}}
	check := flag.String("check", "", "fail where a ratio is worse than in this `file` by more than a third")
	write := flag.String("write", "", "keep the ratios in this `file`")
	only := flag.String("only", "", "measure these `sections` only, separated by commas: "+sectionNames())
	flag.StringVar(&b.launch, "launch", "bin/launch", "the `binary` to measure")
	flag.IntVar(&b.rounds, "rounds", 5, "how often each comparison is made; medians count")
	flag.BoolVar(&b.long, "long", false, "grow to 100,000 services")
	flag.Parse()

	var err error
	if b.launch, err = filepath.Abs(b.launch); err != nil {
		return err
	}
	if _, err := os.Stat(b.launch); err != nil {
		return fmt.Errorf("%w: run `make build` first", err)
	}
	if b.root, err = os.Getwd(); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "launch-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if err := b.isolate(); err != nil {
		return err
	}
	b.stamp, b.opener = filepath.Join(b.dir, "stamp"), filepath.Join(b.dir, "opener")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", b.dir+"/", "./internal/bench/stamp", "./internal/bench/opener").CombinedOutput(); err != nil {
		return fmt.Errorf("build the programs to measure with: %w\n%s", err, out)
	}

	began := time.Now()
	for _, s := range sections() {
		if *only != "" && !strings.Contains(","+*only+",", ","+s.name+",") {
			continue
		}
		pace, err := b.pace(ctx)
		if err != nil {
			return err
		}
		b.report.pace = pace
		b.report.section(s.name)
		if err := s.measure(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	fmt.Printf("\n%d lines in %s\n", len(b.report.rows), time.Since(began).Round(time.Second))
	if *write != "" {
		return writeBaseline(*write, b.report.rows)
	}
	if *check != "" {
		return checkBaseline(*check, b.report.rows, os.Stdout)
	}
	return nil
}

func sectionNames() string {
	var names []string
	for _, s := range sections() {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

// isolate keeps what is measured away from the user's own runs and settings.
func (b *bench) isolate() error {
	home := filepath.Join(b.dir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	for _, name := range []string{"LAUNCH_STATE", "EPUHARNESS_STATE", "XDG_STATE_HOME"} {
		os.Unsetenv(name)
	}
	// The Go commands of the packages section would otherwise fill new caches.
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			return fmt.Errorf("go env %s: %w", name, err)
		}
		os.Setenv(name, strings.TrimSpace(string(value)))
	}
	return os.Setenv("HOME", home)
}

// fresh makes a new private folder.
func (b *bench) fresh(name string) (string, error) {
	dir, err := os.MkdirTemp(b.dir, name+"-")
	if err != nil {
		return "", fmt.Errorf("make a folder for %s: %w", name, err)
	}
	return dir, nil
}
