package service

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// An Entry is a service in the registry.
type Entry struct {
	ID      string `json:"id"`
	Address string `json:"address"`
}

// Entries are the services of a kind, and the revision by which to ask for the next change.
type Entries struct {
	Revision uint64  `json:"revision"`
	Services []Entry `json:"services"`
}

const (
	// Lease is how long an entry holds without being renewed: a service that was killed is
	// forgotten after it.
	Lease = 3 * time.Second
	renew = Lease / 3
	again = 200 * time.Millisecond // after a registry that did not answer
)

// Announce enters a service into all the registries, keeps it there until ctx ends, and
// takes it out. It returns when one registry has it; stop waits for the rest.
func Announce(ctx context.Context, registries []string, kind string, e Entry) (stop func(), err error) {
	var work sync.WaitGroup
	entered := make(chan struct{}, len(registries))
	for _, registry := range registries {
		work.Go(func() { keepEntered(ctx, registry, kind, e, entered) })
	}
	if len(registries) == 0 {
		return work.Wait, nil
	}
	select {
	case <-entered:
		return work.Wait, nil
	case <-ctx.Done():
		work.Wait()
		return work.Wait, fmt.Errorf("enter %s %s into a registry: %w", kind, e.ID, context.Cause(ctx))
	}
}

func keepEntered(ctx context.Context, registry, kind string, e Entry, entered chan<- struct{}) {
	url := fmt.Sprintf("http://%s/services/%s/%s", registry, kind, e.ID)
	for first := true; ; {
		wait := renew
		if err := Ask(ctx, http.MethodPut, url, "", e, nil); err != nil {
			wait = again
		} else if first {
			first = false
			entered <- struct{}{}
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAnswers/4)
			defer cancel()
			Ask(last, http.MethodDelete, url, "", nil, nil) // else the lease ends by itself
			return
		case <-time.After(wait):
		}
	}
}

// A Finder knows the services of a kind, as the registries tell them.
type Finder struct {
	first chan struct{} // closed when a registry has answered

	mu    sync.Mutex
	found []Entry
}

// NewFinder returns a finder that knows nothing until it watches.
func NewFinder() *Finder { return &Finder{first: make(chan struct{})} }

// Found are the services that there are now.
func (f *Finder) Found() []Entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.found
}

// Await returns when a registry has answered for the first time, or ctx ends.
func (f *Finder) Await(ctx context.Context) error {
	select {
	case <-f.first:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for a registry to answer: %w", context.Cause(ctx))
	}
}

func (f *Finder) learn(entries []Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.found == nil {
		close(f.first)
	}
	f.found = append([]Entry{}, entries...)
}

// Watch keeps the finder up to date until ctx ends. It asks one registry, and the next one where
// that does not answer.
func (f *Finder) Watch(ctx context.Context, registries []string, kind string) {
	var known uint64
	for i := 0; ctx.Err() == nil; {
		var found Entries
		url := fmt.Sprintf("http://%s/services/%s", registries[i%len(registries)], kind)
		if err := Follow(ctx, url, known, &found); err != nil {
			i, known = i+1, 0
			select {
			case <-ctx.Done():
			case <-time.After(again):
			}
			continue
		}
		known = found.Revision
		f.learn(found.Services)
	}
}
