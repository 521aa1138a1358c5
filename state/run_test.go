package state

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// terminate takes the run to its end.
func terminate(t testing.TB, db *DB, w *Writer) {
	t.Helper()
	run, err := db.FindRun(t.Context(), runID)
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []RunStatus{RunTerminating, RunTerminated} {
		from := run.Status
		run.Status, run.Since = to, time.Time{}
		if err := w.Write(t.Context(), Change{Event: Event{Kind: "run", From: string(from), To: string(to)}, Run: &run}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPurge(t *testing.T) {
	db := openStore(t)
	w := create1(t, db, 10)
	if err := db.CreateRun(t.Context(), aRun("R2", "beta", 3)); err != nil {
		t.Fatal(err)
	}
	if err := db.Purge(t.Context(), runID); err == nil {
		t.Fatal("purged a run that is booting")
	}
	if err := db.Purge(t.Context(), "R3"); !errors.Is(err, ErrNoRun) {
		t.Errorf("Purge of no run = %v", err)
	}
	if err := w.Write(t.Context(), Change{Resources: []Resource{{Kind: "instance", Key: "a"}}}); err != nil {
		t.Fatal(err)
	}
	terminate(t, db, w)
	if err := db.Purge(t.Context(), runID); err != nil {
		t.Fatal(err)
	}
	for table, want := range map[string]int{"runs": 1, "levels": 3, "services": 3, "journal": 1, "resources": 0, "files": 2, "contents": 2} {
		var n int
		if err := db.sql.QueryRow("SELECT count(*) FROM " + table).Scan(&n); err != nil || n != want {
			t.Errorf("%s has %d rows, want %d, those of the other run (%v)", table, n, want, err)
		}
	}
	if err := w.Write(t.Context(), Change{Event: Event{Kind: "note"}}); err == nil {
		t.Error("wrote to the journal of a run that was purged")
	}
}

func TestReload(t *testing.T) {
	db := openStore(t)
	w := create1(t, db, 2)
	run, _ := db.FindRun(t.Context(), runID)
	run.Generation, run.Plan, run.Since = 2, "/plans/changed", noon
	kept := Service{Address: "dispatch.core.web[0]", Level: "new", Position: 1, Status: Ready, Host: "not taken"}
	added := Service{Address: "new.db", Level: "new", Position: 0, Status: Pending, Runner: "local", Since: noon}
	files := []File{{Dir: "/plans/changed", Path: "plan.hcl", Mode: 0o600, Content: []byte("# changed")}}
	levels := []Level{{Name: "new", Position: 0}}
	services, _ := db.Services(t.Context(), runID)
	err := w.Write(t.Context(), Change{
		Event: Event{From: string(run.Status), At: noon}, Run: &run,
		Add: &NewRun{Levels: levels, Services: []Service{added, kept}, Files: files},
	})
	if err != nil {
		t.Fatal(err)
	}
	services[0].Level, services[0].Position = "new", 1
	got, _ := db.Services(t.Context(), runID)
	if diff := cmp.Diff([]Service{added, services[0], services[1]}, got); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	gotLevels, _ := db.Levels(t.Context(), runID)
	if diff := cmp.Diff(levels, gotLevels); diff != "" {
		t.Errorf("levels (-want +got):\n%s", diff)
	}
	gotFiles, _ := db.Files(t.Context(), runID, 2)
	if diff := cmp.Diff(files, gotFiles); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	gotRun, _ := db.FindRun(t.Context(), runID)
	if diff := cmp.Diff(run, gotRun); diff != "" {
		t.Errorf("run (-want +got):\n%s", diff)
	}
	if before, _ := db.Files(t.Context(), runID, 1); len(before) != 2 {
		t.Errorf("the first generation has %d files, want the 2 it had", len(before))
	}
}
