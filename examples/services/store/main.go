// Store keeps values by key, in memory. The newest version of a value wins, so copies of it can
// be written to several stores in any order. What was written only to others, while it was not
// there or not in the registry yet, it takes from them.
//
//	PUT /values/KEY    {"text": "...", "version": N}      takes the token
//	GET /values/KEY
//	GET /values        {"revision": N, "values": {...}}   ?known=N waits for another revision
//	GET /healthz
package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/launchplan/launch/examples/services/internal/service"
)

// Limits of what a store takes.
const (
	maxValues = 10_000
	maxBytes  = 16 << 20
)

// pause is between two looks at another store, so that many changes are taken at once.
const pause = 500 * time.Millisecond

func main() { service.Main("store", run) }

func run(ctx context.Context) error {
	var config service.Config
	if err := service.Load(&config); err != nil {
		return err
	}
	ln, err := config.Open(ctx, "store")
	if err != nil {
		return err
	}
	s := newStore(config.Token)
	if err := s.catchUp(ctx, config.Registries, ln.ID); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	if len(config.Registries) > 0 {
		others := service.NewFinder()
		work.Go(func() { others.Watch(ctx, config.Registries, "store") })
		work.Go(func() { s.follow(ctx, others, ln.ID) })
	}
	leave, err := service.Announce(ctx, config.Registries, "store", service.Entry{ID: ln.ID, Address: ln.Addr().String()})
	defer leave()
	defer cancel()
	if err != nil {
		return err
	}
	return ln.Serve(ctx, s.handler(ln))
}

type store struct {
	token string
	board *service.Board

	mu     sync.Mutex
	values map[string]service.Value
	bytes  int
}

func newStore(token string) *store {
	return &store{token: token, board: service.NewBoard(), values: map[string]service.Value{}}
}

// catchUp takes over what another store has, where there is one.
func (s *store) catchUp(ctx context.Context, registries []string, self string) error {
	for _, registry := range registries {
		var found service.Entries
		if err := service.Ask(ctx, http.MethodGet, "http://"+registry+"/services/store", "", nil, &found); err != nil {
			continue // Announce waits until one answers
		}
		for _, other := range found.Services {
			var theirs service.Values
			if other.ID == self || service.Ask(ctx, http.MethodGet, "http://"+other.Address+"/values", "", nil, &theirs) != nil {
				continue
			}
			s.take(theirs)
			fmt.Printf("took %d values from %s\n", len(theirs.Values), other.ID)
			return nil
		}
	}
	return context.Cause(ctx)
}

// follow takes over, after every change, what another store has and this one does not. Each
// store follows the next one, so what one has comes to all of them.
func (s *store) follow(ctx context.Context, stores *service.Finder, self string) {
	known := map[string]uint64{} // revisions, by address
	for ctx.Err() == nil {
		for _, other := range after(stores.Found(), self) {
			var theirs service.Values
			if service.Follow(ctx, "http://"+other.Address+"/values", known[other.Address], &theirs) == nil {
				known[other.Address] = theirs.Revision
				s.take(theirs)
				break // where this one does not answer, the one after it is followed
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// after are the other stores, in the order of their ids, from the one after this store on.
func after(stores []service.Entry, self string) []service.Entry {
	var first, rest []service.Entry
	for _, e := range stores {
		switch cmp.Compare(e.ID, self) {
		case 1:
			first = append(first, e)
		case -1:
			rest = append(rest, e)
		}
	}
	return append(first, rest...)
}

func (s *store) take(theirs service.Values) {
	for k, v := range theirs.Values {
		s.put(k, v)
	}
}

func (s *store) handler(ln *service.Listener) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { ln.Healthy(w) })
	mux.HandleFunc("GET /values", func(w http.ResponseWriter, r *http.Request) {
		s.board.Hold(r)
		service.Answer(w, s.all())
	})
	mux.HandleFunc("GET /values/{key}", func(w http.ResponseWriter, r *http.Request) {
		v, ok := s.get(r.PathValue("key"))
		if !ok {
			http.Error(w, "no such value", http.StatusNotFound)
			return
		}
		service.Answer(w, v)
	})
	mux.HandleFunc("PUT /values/{key}", s.receive)
	return mux
}

func (s *store) receive(w http.ResponseWriter, r *http.Request) {
	if !service.Allowed(w, r, s.token) {
		return
	}
	var v service.Value
	if !service.Receive(w, r, &v) {
		return
	}
	key := r.PathValue("key")
	if !service.GoodName(key) {
		http.Error(w, "a key has letters, digits and . _ - , 128 at most", http.StatusBadRequest)
		return
	}
	if !s.put(key, v) {
		http.Error(w, "the store is full", http.StatusInsufficientStorage)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *store) get(key string) (service.Value, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.values[key]
	return v, ok
}

func (s *store) all() service.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return service.Values{Revision: s.board.Revision(), Values: maps.Clone(s.values)}
}

// put keeps the newer one of two values; it is false where there is no room.
func (s *store) put(key string, v service.Value) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, known := s.values[key]
	if known && !v.Newer(old) {
		return true
	}
	grows := len(v.Text) - len(old.Text)
	if !known && len(s.values) >= maxValues || s.bytes+grows > maxBytes {
		return false
	}
	s.values[key] = v
	s.bytes += grows
	s.board.Change()
	return true
}
