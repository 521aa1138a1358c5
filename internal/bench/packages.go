package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// A benchmark is one of another package that is part of the table: run from here, so that one command tells all.
type benchmark struct {
	pkg, pattern, time string
	metrics            []metric
}

// A metric is a figure that the benchmark reports.
type metric struct {
	bench, unit string
	goal        float64
	atLeast     bool // the goal is a minimum; ratios are turned round
	note        string
}

func benchmarks() []benchmark {
	return []benchmark{
		{"plan", "Validate/.*-10000$", "3x", []metric{
			{"Validate/instances-10000", "ns/service", 100e3, false, "a second for 10,000"},
			{"Validate/blocks-10000", "ns/service", 100e3, false, "a second for 10,000"},
		}},
		{"plan", "Prepare", "10000x", []metric{
			{"Prepare", "ns/op", 0, false, "a service's programs, evaluated"},
		}},
		{"state", "Transitions/writers=(1|100)$|Open/existing", "300x", []metric{
			{"Transitions/writers=1", "transitions/s", 0, true, "each waits for its own commit"},
			{"Transitions/writers=100", "transitions/s", 0, true, "shared commits"},
			{"Open/existing", "ns/op", 0, false, "what a command pays before it can read"},
		}},
		{"runners/local", "Raw|Durable|Check", "1000x", []metric{
			{"Raw", "ns/op", 0, false, "a program started by os/exec"},
			{"Durable", "ns/op", 0, false, "a durable program"},
			{"Check", "ns/op", 0, false, "a check"},
		}},
		{"runners/ssh", "FiftyHosts", "1x", []metric{
			{"FiftyHosts", "launch/raw", 1.3, false, "50 hosts, against the raw library"},
		}},
		{"harness", "Dispatch", "1x", []metric{
			{"Dispatch", "ratio", 0.5, true, "the machine's own start rate"},
		}},
	}
}

// packages runs the benchmarks of other packages.
func packages(ctx context.Context, b *bench) error {
	for _, m := range benchmarks() {
		figures, err := runBenchmark(ctx, m)
		if err != nil {
			b.report.skip(m.pkg, lastLines(err.Error()))
			continue
		}
		for _, x := range m.metrics {
			name := fmt.Sprintf("%s %s, %s", m.pkg, x.bench, x.unit)
			value, ok := figures[x.bench+" "+x.unit]
			if !ok {
				b.report.skip(name, "the package has no such benchmark")
				continue
			}
			r := row{name: name, figure: fmt.Sprintf("%.4g %s", value, x.unit), against: x.note, alone: x.goal == 0}
			if x.goal > 0 {
				r.ratio, r.goal = value/x.goal, 1
				if x.atLeast {
					r.ratio = x.goal / value
				}
				if strings.HasPrefix(x.unit, "ns/") {
					r.pace = b.report.pace
				}
				r.against += fmt.Sprintf(" (%g)", x.goal)
			}
			b.report.add(r)
		}
	}
	return nil
}

func runBenchmark(ctx context.Context, m benchmark) (map[string]float64, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", m.pattern, "-benchtime", m.time, "./"+m.pkg)
	cmd.Env = append(os.Environ(), "GOFLAGS=-count=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return parseBenchmarks(string(out)), nil
}

// parseBenchmarks reads lines such as "BenchmarkOpen/new-2  300  1234 ns/op  5 commits/level".
func parseBenchmarks(out string) map[string]float64 {
	processors := fmt.Sprintf("-%d", runtime.GOMAXPROCS(0)) // what `go test` adds to a name
	figures := map[string]float64{}
	for line := range strings.SplitSeq(out, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := strings.TrimSuffix(strings.TrimPrefix(fields[0], "Benchmark"), processors)
		for i := 2; i+1 < len(fields); i += 2 {
			if value, err := strconv.ParseFloat(fields[i], 64); err == nil {
				figures[name+" "+fields[i+1]] = value
			}
		}
	}
	return figures
}
