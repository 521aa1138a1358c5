package state

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"modernc.org/sqlite"
)

// In these tests time passes only where something waits for it.

// slowCommits gives commits the time that an fsync takes.
func slowCommits(t *testing.T, db *DB, fsync time.Duration) {
	t.Helper()
	db.sql.SetMaxOpenConns(1) // so that the writer gets this connection
	conn, err := db.sql.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Raw(func(driver any) error {
		driver.(sqlite.HookRegisterer).RegisterCommitHook(func() int32 { time.Sleep(fsync); return 0 })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// load submits changes to one service each, some time apart, and returns how long the slowest took.
func load(t *testing.T, w *Writer, services []Service, apart time.Duration) time.Duration {
	t.Helper()
	before := w.Stats()
	var tickets []Ticket
	for _, s := range services {
		tickets = append(tickets, w.Submit(move(s, Booting)))
		time.Sleep(apart)
	}
	for _, ticket := range tickets {
		if err := ticket.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.Stats().Changes - before.Changes; got != int64(len(services)) {
		t.Errorf("%d changes were written, want %d", got, len(services))
	}
	return w.Stats().Longest
}

// A level of 1,000 services makes some 3,000 changes in 1.3 s.
func TestLevelOfAThousandCostsFewCommits(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		const fsync = 650 * time.Microsecond
		db := openIn(t, dir)
		create1(t, db, 3000).Close()
		services, _ := db.Services(t.Context(), runID)
		slowCommits(t, db, fsync)
		w := db.Writer(runID)
		longest := load(t, w, services, 1300*time.Millisecond/3000)
		if commits := w.Stats().Commits; commits >= 200 {
			t.Errorf("%d commits, want fewer than 200", commits)
		}
		if longest > 10*time.Millisecond {
			t.Errorf("a change waited %v", longest)
		}
		t.Logf("%+v", w.Stats())
		w.Close()
		db.Close()
	})
}

// Changes that come one after the other, each when the one before is durable, wait for nobody: before any load, and
// again right after it but for the first.
func TestChainOfChangesIsNotHeldUp(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		db := openIn(t, dir)
		w := create1(t, db, 500)
		services, _ := db.Services(t.Context(), runID)
		chain := func(services []Service) (waited time.Duration) {
			for _, s := range services {
				start := time.Now()
				if err := w.Write(t.Context(), move(s, Booting)); err != nil {
					t.Fatal(err)
				}
				waited += time.Since(start)
			}
			return waited
		}
		if waited := chain(services[:50]); waited != 0 {
			t.Errorf("a chain without load waited %v", waited)
		}
		load(t, w, services[50:450], time.Millisecond/4)
		if waited := chain(services[450:]); waited > lingerQuiet {
			t.Errorf("a chain after the load waited %v", waited)
		}
		w.Close()
		db.Close()
	})
}

// Services that take turns fill each batch by themselves: there is no use in waiting for more of them. Where their
// turns overlap with a commit that is tried, less and less often.
func TestServicesInTurnsAreHardlyHeldUp(t *testing.T) {
	for _, together := range []int{2, 3, 10, 50} {
		t.Run(fmt.Sprint(together), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				db := openIn(t, dir)
				w := create1(t, db, together)
				services, _ := db.Services(t.Context(), runID)
				start := time.Now()
				const turns = 64
				for range turns {
					var tickets []Ticket
					for i, s := range services {
						next := Booting
						if s.Status == Booting {
							next = Verifying
						} else if s.Status == Verifying {
							next = Failed
						}
						tickets = append(tickets, w.Submit(move(s, next)))
						services[i].Status = next
					}
					for _, ticket := range tickets {
						if err := ticket.Wait(); err != nil {
							t.Fatal(err)
						}
					}
				}
				const tries = 9 // when each change had a commit of its own, and the rests between tries double
				if waited := time.Since(start); waited > tries*lingerQuiet {
					t.Errorf("%d turns waited %v", turns, waited)
				}
				w.Close()
				db.Close()
			})
		})
	}
}

func TestCloseWritesWhatIsQueued(t *testing.T) {
	db := openStore(t)
	w := create1(t, db, 1000)
	services, _ := db.Services(t.Context(), runID)
	var tickets []Ticket
	for _, s := range services {
		tickets = append(tickets, w.Submit(move(s, Booting)))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, ticket := range tickets {
		if err := ticket.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Write(t.Context(), move(services[0], Verifying)); err == nil {
		t.Error("a closed writer writes")
	}
	if err := db.Writer(runID).Write(t.Context(), Change{Event: Event{Kind: "note"}}); err != nil {
		t.Errorf("a new writer does not write: %v", err)
	}
}
