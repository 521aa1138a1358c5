package state

import (
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// Processes that drive one run in spite of its lock never both make a transition.
func TestProcessesRaceForOneRun(t *testing.T) {
	const n = 100
	dir := t.TempDir()
	db := openIn(t, dir)
	create1(t, db, n)
	children := []*child{play(t, "race", dir, runID), play(t, "race", dir, runID), play(t, "race", dir, runID)}
	for _, c := range children {
		c.in.Close()
	}
	total := 0
	for _, c := range children {
		won, err := strconv.Atoi(c.line(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("won %d", won)
		total += won
	}
	if total != n {
		t.Errorf("%d transitions were made of %d services", total, n)
	}
	checkJournal(t, db, n+1)
}

// Processes that drive different runs share the file.
func TestProcessesWriteTheirOwnRuns(t *testing.T) {
	const n = 100
	dir := t.TempDir()
	db := openIn(t, dir)
	var children []*child
	for i := range 3 {
		id := fmt.Sprintf("R%d", i)
		if err := db.CreateRun(t.Context(), aRun(id, id, n)); err != nil {
			t.Fatal(err)
		}
		children = append(children, play(t, "race", dir, id))
	}
	for _, c := range children {
		c.in.Close()
	}
	for i, c := range children {
		if won := c.line(t); won != strconv.Itoa(n) {
			t.Errorf("process %d made %s transitions, want %d", i, won, n)
		}
	}
}

// Two first commands at once make one store between them.
func TestFirstCommandsTogether(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			db, err := Open(t.Context(), dir)
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			if err := db.CreateRun(t.Context(), aRun(fmt.Sprint(i), fmt.Sprint(i), 5)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if runs, err := openIn(t, dir).Runs(t.Context()); err != nil || len(runs) != 8 {
		t.Errorf("%d runs, %v", len(runs), err)
	}
}

// What was acknowledged before a kill -9 is there after it, whatever the process was doing.
func TestKilledProcessLosesNothing(t *testing.T) {
	dir := closedStore(t)
	written := 0
	for round := range 8 {
		c := play(t, "count", dir)
		acknowledged := 0
		for range 1 + 13*round {
			n, err := strconv.Atoi(c.line(t))
			if err != nil {
				t.Fatal(err)
			}
			acknowledged = n
		}
		if said := c.kill(t); len(said) > 0 {
			acknowledged, _ = strconv.Atoi(said[len(said)-1])
		}
		db, err := Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		notes := len(journal(t, db, runID)) - 1 - written
		if notes != acknowledged && notes != acknowledged+1 {
			t.Errorf("round %d: %d notes are there, %d were acknowledged", round, notes, acknowledged)
		}
		written += notes
		db.Close()
	}
}
