// Store keeps values by key, in memory. The newest version of a value wins, so copies of it can
// be written to several stores in any order; a store that starts takes what the others have.
//
//	PUT /values/KEY    {"text": "...", "version": N}      takes the token
//	GET /values/KEY
//	GET /values        {"revision": N, "values": {...}}   ?known=N waits for another revision
//	GET /healthz
package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"sync"

	"github.com/launchplan/launch/examples/services/internal/service"
)

// Limits of what a store takes.
const (
	maxValues = 10_000
	maxBytes  = 16 << 20
)

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
			for k, v := range theirs.Values {
				s.put(k, v)
			}
			fmt.Printf("took %d values from %s\n", len(theirs.Values), other.ID)
			return nil
		}
	}
	return context.Cause(ctx)
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
