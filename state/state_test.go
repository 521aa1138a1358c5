package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if play := os.Getenv(playVariable); play != "" {
		os.Exit(playPart(play))
	}
	goleak.VerifyTestMain(m)
}

// openStore opens a new store in a folder of its own.
func openStore(t testing.TB) *DB {
	t.Helper()
	return openIn(t, t.TempDir())
}

func openIn(t testing.TB, dir string) *DB {
	t.Helper()
	db, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

const runID = "01K3ZV4N7Q8R9S0T1V2W3X4Y5Z"

var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// aRun has n pending services in two levels and a group.
func aRun(id, name string, n int) NewRun {
	run := NewRun{
		Run: Run{
			ID: id, Name: name, Plan: "/plans/" + name, Status: RunBooting, Created: noon, Since: noon, Generation: 1,
			Captured: []byte(`{"env":{}}`), Options: []byte(`{}`), Key: []byte{0, 1, 2, 0xff}, Outputs: nil,
		},
		Levels: []Level{{Name: "dispatch.core", Position: 0}, {Name: "dispatch", Position: 1, Group: true}, {Name: "web", Position: 2}},
		Files: []File{
			{Dir: "/plans/" + name, Path: "plan.hcl", Mode: 0o644, Content: []byte("level \"web\" {}\n")},
			{Dir: "/plans/" + name, Path: "run.sh", Mode: 0o755},
		},
	}
	for i := range n {
		level := "dispatch.core"
		if i >= n/2 {
			level = "web"
		}
		run.Services = append(run.Services, Service{
			Address: fmt.Sprintf("%s.web[%d]", level, i), Level: level, Position: i, Status: Pending, Runner: "local", Since: noon,
		})
	}
	return run
}

func create1(t testing.TB, db *DB, n int) *Writer {
	t.Helper()
	if err := db.CreateRun(t.Context(), aRun(runID, "alpha", n)); err != nil {
		t.Fatal(err)
	}
	return db.Writer(runID)
}

// move is a transition of a service.
func move(s Service, to Status) Change {
	from := s.Status
	s.Status, s.Since = to, time.Time{}
	return Change{Event: Event{Kind: "service", From: string(from), To: string(to), At: noon.Add(time.Second)}, Service: &s}
}

func TestCreateAndReadBack(t *testing.T) {
	db := openStore(t)
	want := aRun(runID, "alpha", 25)
	if err := db.CreateRun(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	var got NewRun
	var err error
	if got.Run, err = db.FindRun(t.Context(), "alpha"); err != nil {
		t.Fatal(err)
	}
	if got.Levels, err = db.Levels(t.Context(), runID); err != nil {
		t.Fatal(err)
	}
	if got.Services, err = db.Services(t.Context(), runID); err != nil {
		t.Fatal(err)
	}
	if got.Files, err = db.Files(t.Context(), runID, 1); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Event{{Seq: 1, At: noon, Kind: "run", To: "booting"}}, journal(t, db, runID)); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
}

func journal(t testing.TB, db *DB, run string) []Event {
	t.Helper()
	var events []Event
	for event, err := range db.Journal(t.Context(), run, 0) {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, event)
	}
	return events
}

func TestNameIsTakenUntilTerminated(t *testing.T) {
	db := openStore(t)
	w := create1(t, db, 0)
	if err := db.CreateRun(t.Context(), aRun("R2", "alpha", 0)); !errors.Is(err, ErrNameTaken) {
		t.Fatalf("CreateRun with a name in use = %v, want ErrNameTaken", err)
	}
	run, _ := db.FindRun(t.Context(), "alpha")
	for _, to := range []RunStatus{RunTerminating, RunTerminated} {
		from := run.Status
		run.Status, run.Since = to, time.Time{}
		if err := w.Write(t.Context(), Change{Event: Event{Kind: "run", From: string(from), To: string(to)}, Run: &run}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.CreateRun(t.Context(), aRun("R2", "alpha", 0)); err != nil {
		t.Fatal(err)
	}
	if found, err := db.FindRun(t.Context(), "alpha"); err != nil || found.ID != "R2" {
		t.Errorf("FindRun = %v, %v, want the newest", found.ID, err)
	}
	if found, err := db.FindRun(t.Context(), runID); err != nil || found.Status != RunTerminated {
		t.Errorf("FindRun = %v, %v, want the terminated one by its ID", found.Status, err)
	}
	if _, err := db.FindRun(t.Context(), "beta"); !errors.Is(err, ErrNoRun) {
		t.Errorf("FindRun = %v, want ErrNoRun", err)
	}
}

func TestTransition(t *testing.T) {
	db := openStore(t)
	w := create1(t, db, 2)
	services, _ := db.Services(t.Context(), runID)
	s := services[0]
	for _, to := range []Status{Connecting, Booting, Verifying, Ready} {
		c := move(s, to)
		c.Service.Attributes, c.Service.Withheld, c.Service.Attempt = []byte(`{"port":5432}`), []string{"token"}, 1
		if err := w.Write(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		s = *c.Service
	}
	s.Since = noon.Add(time.Second)
	got, err := db.Services(t.Context(), runID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Service{s, services[1]}, got); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	want := []string{"run >booting", "service pending>connecting", "service connecting>booting", "service booting>verifying", "service verifying>ready"}
	var have []string
	for _, e := range journal(t, db, runID) {
		have = append(have, e.Kind+" "+e.From+">"+e.To)
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
}

func TestConflictConcernsOneChangeAlone(t *testing.T) {
	db := openStore(t)
	w := create1(t, db, 4)
	s, _ := db.Services(t.Context(), runID)
	stale := s[1]
	stale.Status = Ready
	tickets := []Ticket{
		w.Submit(move(s[0], Booting)),
		w.Submit(move(stale, Verifying)), // it is pending
		w.Submit(move(s[2], Ready)),      // pending cannot become ready
		w.Submit(move(Service{Address: "nowhere", Status: Pending}, Booting)),
		w.Submit(Change{Add: &NewRun{Levels: []Level{{Position: 1}, {Position: 1}}}, Resources: []Resource{{Kind: "k", Key: "left over?"}}}),
		w.Submit(move(s[2], Booting)),
	}
	for i, conflict := range []bool{false, true, true, true, true, false} {
		if err := tickets[i].Wait(); (err != nil) != conflict || i != 4 && errors.Is(err, ErrConflict) != conflict {
			t.Errorf("change %d: %v, conflict wanted: %v", i, err, conflict)
		}
	}
	if events := journal(t, db, runID); len(events) != 3 {
		t.Errorf("journal has %d events, want 3: %v", len(events), events)
	}
	if left, err := db.Resources(t.Context(), runID); err != nil || left != nil {
		t.Errorf("resources of a refused change: %v, %v", left, err)
	}
	if got := w.Stats(); got.Changes != 2 || got.Conflicts != 4 {
		t.Errorf("Stats = %+v", got)
	}
}

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	db := openIn(t, dir)
	create1(t, db, 1)
	lock, _, err := db.Lock(runID, "boot")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Last words are written although the context has ended.
func TestWriteAfterTheEndOfTheContext(t *testing.T) {
	db := openStore(t)
	w := create1(t, db, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Write(ctx, Change{Event: Event{Kind: "note", Cause: "interrupted"}}); err != nil {
		t.Fatal(err)
	}
	if events := journal(t, db, runID); events[len(events)-1].Cause != "interrupted" {
		t.Errorf("the journal ends with %v", events[len(events)-1])
	}
}

func TestCloseEndsTheWriters(t *testing.T) {
	db, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ticket := create1(t, db, 1).Submit(Change{Event: Event{Kind: "note"}})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := ticket.Wait(); err != nil {
		t.Errorf("what was queued before Close: %v", err)
	}
	if err := db.Writer(runID).Write(t.Context(), Change{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Write after Close = %v, want ErrClosed", err)
	}
}

func TestJournalGoesOnAfterASequenceNumber(t *testing.T) {
	db := openStore(t)
	w := create1(t, db, 0)
	const n = 2*journalChunk + 7
	var last Ticket
	for i := range n {
		last = w.Submit(Change{Event: Event{Kind: "note", Attempt: i}})
	}
	if err := last.Wait(); err != nil {
		t.Fatal(err)
	}
	if events := journal(t, db, runID); len(events) != n+1 || events[n].Attempt != n-1 {
		t.Errorf("%d events, the last one %v", len(events), events[len(events)-1])
	}
	seen := 0
	for event, err := range db.Journal(t.Context(), runID, n-4) {
		if err != nil || event.Seq <= n-4 {
			t.Fatal(event, err)
		}
		if seen++; seen == 3 {
			break
		}
	}
	if seen != 3 {
		t.Errorf("%d events after %d", seen, n-4)
	}
}
