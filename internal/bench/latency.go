package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	chain = 50 // levels of one service each
	ports = 8
	// shortProbe is the interval at which a probe is first repeated; it grows by half each time, and the ports open
	// within the first two.
	shortProbe = 100 * time.Millisecond
)

// latency measures how soon launch acts on what happens.
func latency(ctx context.Context, b *bench) error {
	if err := b.chained(ctx); err != nil {
		return err
	}
	return b.portOpens(ctx)
}

// chained measures the time from a program's end to its dependants' start, as the programs themselves tell it, and
// the same where a loop starts the next program as soon as it has waited for the last.
func (b *bench) chained(ctx context.Context) error {
	var ours, bare []time.Duration
	for range b.rounds {
		stamps, err := b.fresh("stamps")
		if err != nil {
			return err
		}
		var text strings.Builder
		for i := range chain {
			fmt.Fprintf(&text, "level \"l%d\" {\n  service \"s%d\" {\n    boot { command = [%q, %q] }\n  }\n}\n", i, i, b.stamp, stampOf(stamps, i))
		}
		plan, err := b.planOf(text.String())
		if err != nil {
			return err
		}
		run, err := b.boot(ctx, plan)
		if err != nil {
			return err
		}
		if _, err := b.end(ctx, run); err != nil {
			return err
		}
		gaps, err := readGaps(stamps)
		if err != nil {
			return err
		}
		ours = append(ours, gaps...)

		for i := range chain {
			if _, err := command(ctx, b.dir, b.stamp, stampOf(stamps, i)); err != nil {
				return err
			}
		}
		if gaps, err = readGaps(stamps); err != nil {
			return err
		}
		bare = append(bare, gaps...)
	}
	b.report.compare("end to dependants' start, median", quantile(ours, 0.5), "a bare loop", quantile(bare, 0.5), 0)
	b.report.budget("end to dependants' start, median, budget", quantile(ours, 0.5), 3*time.Millisecond)
	b.report.budget("end to dependants' start, p99, budget", quantile(ours, 0.99), 10*time.Millisecond)
	return nil
}

func stampOf(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("%d", i)) }

// readGaps are the times between one program's end and the next one's beginning.
func readGaps(dir string) ([]time.Duration, error) {
	var gaps []time.Duration
	var last int64
	for i := range chain {
		content, err := os.ReadFile(stampOf(dir, i))
		if err != nil {
			return nil, err
		}
		var began, ended int64
		if _, err := fmt.Sscan(string(content), &began, &ended); err != nil {
			return nil, fmt.Errorf("stamp %d: %w", i, err)
		}
		if i > 0 {
			gaps = append(gaps, time.Duration(began-last))
		}
		last = ended
	}
	return gaps, nil
}

// portOpens measures the time from a port's opening to the record that the service is ready.
func (b *bench) portOpens(ctx context.Context) error {
	stamps, err := b.fresh("stamps")
	if err != nil {
		return err
	}
	var text strings.Builder
	text.WriteString("level \"ports\" {\n")
	for i := range ports {
		port, err := freePort()
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, `  service "s%d" {
    process { command = [%q, %q, "127.0.0.1:%d", "%dms"] }
    ready { tcp = "127.0.0.1:%d" }
  }
`, i, b.opener, stampOf(stamps, i), port, 20+25*i, port)
	}
	text.WriteString("}\n")
	plan, err := b.planOf(text.String())
	if err != nil {
		return err
	}
	run, err := b.boot(ctx, plan)
	if err != nil {
		return err
	}
	u, err := b.on(ctx, run, "history", "-o", "json")
	if err != nil {
		return err
	}
	if _, err := b.end(ctx, run); err != nil {
		return err
	}
	var events []struct {
		At          time.Time
		Service, To string
	}
	if err := json.Unmarshal(u.out, &events); err != nil {
		return fmt.Errorf("read the history: %w", err)
	}
	var waits []time.Duration
	for _, e := range events {
		var i int
		if _, err := fmt.Sscanf(e.Service, "ports.s%d", &i); err != nil || e.To != "ready" {
			continue
		}
		content, err := os.ReadFile(stampOf(stamps, i))
		if err != nil {
			return err
		}
		var opened int64
		fmt.Sscan(string(content), &opened)
		waits = append(waits, e.At.Sub(time.Unix(0, opened)))
	}
	if len(waits) != ports {
		return fmt.Errorf("%d of %d services are ready in the history", len(waits), ports)
	}
	b.report.interval("port opens to ready, median", quantile(waits, 0.5), shortProbe)
	b.report.interval("port opens to ready, longest", quantile(waits, 1), 2*shortProbe) // the second interval, and some work
	return nil
}

// freePort finds a port that nobody listens on; it is free again when this returns.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
