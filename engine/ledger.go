package engine

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/state"
)

// ledger keeps the runners' resources in the run's journal, and in memory for reading.
type ledger struct {
	writer *state.Writer

	mu  sync.Mutex
	all map[[2]string]runners.Resource // by kind and key
}

func newLedger(w *state.Writer) *ledger {
	return &ledger{writer: w, all: map[[2]string]runners.Resource{}}
}

// restore takes in what an earlier command recorded.
func (l *ledger) restore(resources []state.Resource) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range resources {
		l.all[[2]string{r.Kind, r.Key}] = runners.Resource{
			Kind: r.Kind, Key: r.Key, ID: r.ID, Service: r.Service, Status: r.Status, Data: r.Data,
		}
	}
}

// Put implements runners.Ledger.
func (l *ledger) Put(ctx context.Context, resources ...runners.Resource) error {
	if len(resources) == 0 {
		return nil
	}
	rows := make([]state.Resource, len(resources))
	for i, r := range resources {
		rows[i] = state.Resource{Kind: r.Kind, Key: r.Key, ID: r.ID, Service: r.Service, Status: r.Status, Data: r.Data}
	}
	event := state.Event{Kind: "resource", To: resources[0].Status, Cause: resources[0].Kind + " " + resources[0].Key}
	if len(resources) == 1 {
		event.Service = resources[0].Service
	}
	if err := l.writer.Write(ctx, state.Change{Event: event, Resources: rows}); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range resources {
		l.all[[2]string{r.Kind, r.Key}] = r
	}
	return nil
}

// List implements runners.Ledger.
func (l *ledger) List(kind string) []runners.Resource {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []runners.Resource
	for id, r := range l.all {
		if id[0] == kind {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b runners.Resource) int { return cmp.Compare(a.Key, b.Key) })
	return found
}
