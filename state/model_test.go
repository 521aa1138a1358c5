package state

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var allStatuses = []Status{Pending, Provisioning, Connecting, Booting, Verifying, Ready, Failed, Terminating, Terminated, Skipped}

var allRunStatuses = []RunStatus{RunBooting, RunReady, RunFailed, RunInterrupted, RunTerminating, RunTerminated}

// A model is what a run should look like, kept by the simplest means.
type model struct {
	run       Run
	services  map[string]Service
	resources map[string]Resource
	events    int
}

// TestWriterAgainstAModel submits random changes, good and bad ones, many at a time, and compares everything with a model that takes
// them one by one. Then it replays the journal, which must lead to the same rows by ways of the table alone.
func TestWriterAgainstAModel(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			db := openStore(t)
			w := create1(t, db, 20)
			m := newModel(t, db)
			for range 30 {
				var tickets []Ticket
				var wanted []bool
				for range 1 + random.IntN(40) {
					c := randomChange(random, m)
					wanted = append(wanted, m.take(c))
					tickets = append(tickets, w.Submit(c))
				}
				for i, ticket := range tickets {
					err := ticket.Wait()
					if err != nil && !errors.Is(err, ErrConflict) || (err == nil) != wanted[i] {
						t.Fatalf("change %d: %v, want it to be taken: %v", i, err, wanted[i])
					}
				}
			}
			if diff := cmp.Diff(m.flat(), newModel(t, db).flat()); diff != "" {
				t.Errorf("rows (-model +store):\n%s", diff)
			}
			checkJournal(t, db, m.events)
		})
	}
}

func newModel(t *testing.T, db *DB) *model {
	t.Helper()
	m := &model{services: map[string]Service{}, resources: map[string]Resource{}, events: 1}
	run, err := db.FindRun(t.Context(), runID)
	if err != nil {
		t.Fatal(err)
	}
	m.run = run
	services, err := db.Services(t.Context(), runID)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range services {
		m.services[s.Address] = s
	}
	resources, err := db.Resources(t.Context(), runID)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range resources {
		m.resources[r.Kind+r.Key] = r
	}
	return m
}

// flat is what is compared.
func (m *model) flat() []any { return []any{m.run, m.services, m.resources} }

// take applies a change to the model, or says that it must be refused.
func (m *model) take(c Change) bool {
	if c.Run != nil {
		if from := RunStatus(c.Event.From); m.run.Status != from || !from.CanBecome(c.Run.Status) {
			return false
		}
	}
	if c.Service != nil {
		if from := Status(c.Event.From); m.services[c.Service.Address].Status != from || !from.CanBecome(c.Service.Status) {
			return false
		}
	}
	if c.Run != nil {
		m.run = *c.Run
	}
	if c.Service != nil {
		m.services[c.Service.Address] = *c.Service
	}
	for _, r := range c.Resources {
		m.resources[r.Kind+r.Key] = r
	}
	m.events++
	return true
}

// randomChange is mostly good, seen from the model as it stands.
func randomChange(random *rand.Rand, m *model) Change {
	at := noon.Add(time.Duration(m.events) * time.Second)
	addresses := make([]string, 0, len(m.services))
	for address := range m.services {
		addresses = append(addresses, address)
	}
	slices.Sort(addresses)
	s := m.services[addresses[random.IntN(len(addresses))]]
	switch pick := random.IntN(20); {
	case pick == 0: // the run
		run := m.run
		run.Status, run.Since = pickOne(random, allRunStatuses[:4]), at
		run.Error, run.Outputs = pickText(random), []byte(`{"n":`+strconv.Itoa(m.events)+`}`)
		return Change{Event: Event{Kind: "run", At: at, From: string(m.run.Status), To: string(run.Status)}, Run: &run}
	case pick == 1: // resources with nothing else
		return Change{Event: Event{Kind: "resource", At: at}, Resources: []Resource{
			{Kind: "instance", Key: pickText(random), ID: pickText(random), Since: at, Status: "wanted"},
			{Kind: "key-pair", Key: "k", Data: strconv.Itoa(m.events), Since: at},
		}}
	case pick == 2: // a transition, with an effect that must not stay behind where it is refused
		s.Status, s.Since = pickOne(random, allStatuses), at
		return Change{Event: Event{At: at, From: string(pickOne(random, allStatuses))}, Service: &s,
			Resources: []Resource{{Kind: "left", Key: s.Address, Since: at}}}
	case pick == 3: // from a status that it may not be in
		from := pickOne(random, allStatuses)
		s.Status, s.Since = pickOne(random, allStatuses), at
		return Change{Event: Event{Kind: "service", At: at, From: string(from), To: string(s.Status)}, Service: &s}
	}
	from := s.Status
	s.Status, s.Since, s.Attempt = pickOne(random, from.next()), at, s.Attempt+1
	s.Error, s.Withheld, s.Attributes = pickText(random), []string{pickText(random)}, []byte(`{}`)
	return Change{Event: Event{Kind: "service", At: at, From: string(from), To: string(s.Status), Cause: pickText(random)}, Service: &s}
}

func pickOne[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }

// pickText is what programs and people come up with.
func pickText(random *rand.Rand) string {
	return pickOne(random, []string{"", "x", "a'b\"c;--", "line\nline", "zero\x00byte", "日本語", strings.Repeat("long ", 500)})
}

// checkJournal replays the journal of a run that aRun made.
func checkJournal(t *testing.T, db *DB, length int) {
	t.Helper()
	events := journal(t, db, runID)
	if len(events) != length {
		t.Errorf("the journal has %d events, want %d", len(events), length)
	}
	run := RunStatus("")
	replayed := map[string]Status{}
	for i, e := range events {
		if e.Seq != int64(i+1) {
			t.Fatalf("event %d has the number %d", i+1, e.Seq)
		}
		switch e.Kind {
		case "run":
			if string(run) != e.From || run != "" && !run.CanBecome(RunStatus(e.To)) {
				t.Errorf("event %d: run from %s to %s, it was %s", e.Seq, e.From, e.To, run)
			}
			run = RunStatus(e.To)
		case "service":
			from := replayed[e.Service]
			if from == "" {
				from = Pending
			}
			if string(from) != e.From || !from.CanBecome(Status(e.To)) {
				t.Errorf("event %d: %s from %s to %s, it was %s", e.Seq, e.Service, e.From, e.To, from)
			}
			replayed[e.Service] = Status(e.To)
		}
	}
	services, err := db.Services(t.Context(), runID)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range services {
		if want := replayed[s.Address]; want != s.Status && !(want == "" && s.Status == Pending) {
			t.Errorf("%s is %s, by the journal %s", s.Address, s.Status, want)
		}
	}
	if row, err := db.FindRun(t.Context(), runID); err != nil || row.Status != run {
		t.Errorf("the run is %s, by the journal %s (%v)", row.Status, run, err)
	}
}

// Every status can be told from any other text, can end, and those can be said again in which a later command begins anew.
func TestTransitionTable(t *testing.T) {
	for _, s := range allStatuses {
		if !s.Valid() || !reaches(s, Terminated, map[Status]bool{}) {
			t.Errorf("%s is not a status, or cannot end", s)
		}
		again := slices.Contains([]Status{Connecting, Booting, Failed, Terminating}, s)
		if s.CanBecome(s) != again {
			t.Errorf("%s can follow itself: %v", s, !again)
		}
		for _, next := range s.next() {
			if !slices.Contains(allStatuses, next) {
				t.Errorf("%s leads to %s, which is none", s, next)
			}
			if next == Ready && s != Verifying {
				t.Errorf("%s becomes ready without being verified", s)
			}
		}
	}
	for _, s := range []Status{Verifying, Ready, Failed} { // where a pool may stand that a reload changes
		if !s.CanBecome(Booting) {
			t.Errorf("a pool that is %s cannot be adjusted in place", s)
		}
	}
	for _, s := range allRunStatuses {
		if !s.Valid() || s != RunTerminated && !s.CanBecome(RunTerminating) {
			t.Errorf("%s is not a run's status, or cannot be terminated", s)
		}
		if RunTerminating.CanBecome(s) && s != RunTerminating && s != RunTerminated {
			t.Errorf("a run that is being terminated becomes %s", s)
		}
	}
	if Status("").Valid() || RunStatus("").Valid() || Status("booted").CanBecome(Ready) || RunTerminated.CanBecome(RunBooting) {
		t.Error("what is no status counts as one")
	}
}

func reaches(from, to Status, seen map[Status]bool) bool {
	if from == to {
		return true
	}
	seen[from] = true
	return slices.ContainsFunc(from.next(), func(next Status) bool { return !seen[next] && reaches(next, to, seen) })
}
