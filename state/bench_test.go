package state

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkTransitions measures chains of transitions, each of which waits for the one before.
func BenchmarkTransitions(b *testing.B) {
	for _, writers := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			db := openStore(b)
			w := create1(b, db, writers)
			services, err := db.Services(b.Context(), runID)
			if err != nil {
				b.Fatal(err)
			}
			turns := make(chan struct{}, writers)
			b.ResetTimer()
			var wg sync.WaitGroup
			for i := range services {
				wg.Go(func() {
					s := services[i]
					for range turns {
						next := Booting
						if s.Status == Booting {
							next = Verifying
						} else if s.Status == Verifying {
							next = Failed
						}
						c := move(s, next)
						if err := w.Write(b.Context(), c); err != nil {
							b.Error(err)
							return
						}
						s = *c.Service
					}
				})
			}
			for range b.N {
				turns <- struct{}{}
			}
			close(turns)
			wg.Wait()
			stats := w.Stats()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "transitions/s")
			b.ReportMetric(float64(stats.Changes)/float64(stats.Commits), "per-commit")
			b.ReportMetric(float64(stats.Longest.Microseconds())/1000, "longest-ms")
		})
	}
}

// BenchmarkLevel is a level of 1,000 services with three transitions each, two programs at a time of 1.3 ms each.
func BenchmarkLevel(b *testing.B) {
	const services, slots, program = 1000, 2, 1300 * time.Microsecond
	for range b.N {
		db := openStore(b)
		w := create1(b, db, services)
		all, err := db.Services(b.Context(), runID)
		if err != nil {
			b.Fatal(err)
		}
		before := db.Commits()
		starting := make(chan struct{}, slots)
		waited := make([]time.Duration, services) // for the commit of an outcome
		var wg sync.WaitGroup
		for i := range all {
			wg.Go(func() {
				s := all[i]
				for _, to := range []Status{Booting, Verifying, Ready} {
					c, came := move(s, to), time.Now()
					if err := w.Write(b.Context(), c); err != nil {
						b.Error(err)
					}
					s = *c.Service
					if to != Booting {
						waited[i] = max(waited[i], time.Since(came))
					}
					if to != Ready {
						starting <- struct{}{}
						time.Sleep(program)
						<-starting
					}
				}
			})
		}
		wg.Wait()
		b.ReportMetric(float64(db.Commits()-before), "commits/level")
		b.ReportMetric(float64(slices.Max(waited).Microseconds())/1000, "longest-outcome-ms")
	}
}

// BenchmarkCreateRun measures a run of 100,000 services and what the store takes for each.
func BenchmarkCreateRun(b *testing.B) {
	const services = 100_000
	run := aRun(runID, "alpha", services)
	for range b.N {
		b.StopTimer()
		dir := b.TempDir()
		db, err := Open(b.Context(), dir)
		if err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		b.StartTimer()
		if err := db.CreateRun(b.Context(), run); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		db.Close()
		info, err := os.Stat(filepath.Join(dir, storeName))
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/services, "bytes/service")
	}
}

// BenchmarkOpen measures what a command pays before it can read: a store that exists, and a new one.
func BenchmarkOpen(b *testing.B) {
	b.Run("existing", func(b *testing.B) {
		dir := b.TempDir()
		db, err := Open(b.Context(), dir)
		if err != nil {
			b.Fatal(err)
		}
		create1(b, db, 100)
		db.Close()
		for b.Loop() {
			db, err := OpenExisting(context.Background(), dir)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := db.Services(context.Background(), runID); err != nil {
				b.Fatal(err)
			}
			db.Close()
		}
	})
	b.Run("new", func(b *testing.B) {
		dir := b.TempDir()
		for i := 0; b.Loop(); i++ {
			db, err := Open(context.Background(), filepath.Join(dir, fmt.Sprint(i)))
			if err != nil {
				b.Fatal(err)
			}
			db.Close()
		}
	})
}
