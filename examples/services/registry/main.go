// Registry knows which services there are: they enter themselves with a lease, and whoever
// looks for services of a kind asks, or waits for a change.
//
//	PUT    /services/KIND/ID    {"id": ID, "address": "HOST:PORT"}   enter, or renew the lease
//	DELETE /services/KIND/ID                                         leave
//	GET    /services/KIND       {"revision": N, "services": [...]}   ?known=N waits for another revision
//	GET    /healthz
//
// Several registries know nothing of each other: services enter themselves into all of them.
package main

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/launchplan/launch/examples/services/internal/service"
)

// maxEntries bounds what strangers can make the registry remember.
const maxEntries = 10_000

func main() { service.Main("registry", run) }

func run(ctx context.Context) error {
	var config service.Config
	if err := service.Load(&config); err != nil {
		return err
	}
	ln, err := config.Open(ctx, "registry")
	if err != nil {
		return err
	}
	r := newRegistry()
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { r.expire(ctx) })
	defer work.Wait()
	defer cancel()
	return ln.Serve(ctx, r.handler(ln))
}

type key struct{ kind, id string }

type entry struct {
	address string
	until   time.Time
}

type registry struct {
	board *service.Board

	mu      sync.Mutex
	entries map[key]entry
}

func newRegistry() *registry {
	return &registry{board: service.NewBoard(), entries: map[key]entry{}}
}

func (r *registry) handler(ln *service.Listener) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { ln.Healthy(w) })
	mux.HandleFunc("GET /services/{kind}", r.list)
	mux.HandleFunc("PUT /services/{kind}/{id}", r.enter)
	mux.HandleFunc("DELETE /services/{kind}/{id}", r.leave)
	return mux
}

func (r *registry) enter(w http.ResponseWriter, req *http.Request) {
	k := key{req.PathValue("kind"), req.PathValue("id")}
	var e service.Entry
	if !service.Receive(w, req, &e) {
		return
	}
	if _, _, err := net.SplitHostPort(e.Address); err != nil || len(e.Address) > 256 || !service.GoodName(k.kind) || !service.GoodName(k.id) {
		http.Error(w, "an entry has a kind and an id of letters, digits and . _ - and an address HOST:PORT", http.StatusBadRequest)
		return
	}
	if !r.put(k, e.Address, time.Now().Add(service.Lease)) {
		http.Error(w, "the registry is full", http.StatusInsufficientStorage)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// put enters or renews; only what others can see counts as a change.
func (r *registry) put(k key, address string, until time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	old, known := r.entries[k]
	if !known && len(r.entries) >= maxEntries {
		return false
	}
	r.entries[k] = entry{address, until}
	if !known || old.address != address {
		r.board.Change()
	}
	return true
}

func (r *registry) leave(w http.ResponseWriter, req *http.Request) {
	k := key{req.PathValue("kind"), req.PathValue("id")}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.entries[k]; known {
		delete(r.entries, k)
		r.board.Change()
	}
	w.WriteHeader(http.StatusNoContent)
}

func (r *registry) list(w http.ResponseWriter, req *http.Request) {
	r.board.Hold(req)
	service.Answer(w, r.of(req.PathValue("kind")))
}

func (r *registry) of(kind string) service.Entries {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := service.Entries{Revision: r.board.Revision(), Services: []service.Entry{}}
	for k, e := range r.entries {
		if k.kind == kind {
			found.Services = append(found.Services, service.Entry{ID: k.id, Address: e.address})
		}
	}
	slices.SortFunc(found.Services, func(a, b service.Entry) int { return cmp.Compare(a.ID, b.ID) })
	return found
}

// expire forgets services that no longer renew their leases.
func (r *registry) expire(ctx context.Context) {
	tick := time.NewTicker(service.Lease / 6)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			r.forget(now)
		}
	}
}

func (r *registry) forget(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, e := range r.entries {
		if now.After(e.until) {
			delete(r.entries, k)
			r.board.Change()
		}
	}
}
