// Web shows and takes notes. It finds the stores through the registry, writes every note to all
// of them, and answers when at least half of them have it: what the others missed, they catch up
// when they are back.
//
//	GET /            the notes, for people
//	GET /notes/KEY   {"text": "..."}
//	PUT /notes/KEY   {"text": "..."}   takes the token
//	GET /healthz     well while at least half of the stores are
package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/launchplan/launch/examples/services/internal/service"
)

func main() { service.Main("web", run) }

// Config is what the web server can be told.
type Config struct {
	service.Config
	Stores int `json:"stores"` // how many stores there are to be
}

func run(ctx context.Context) error {
	config := Config{Stores: 1}
	if err := service.Load(&config); err != nil {
		return err
	}
	ln, err := config.Open(ctx, "web")
	if err != nil {
		return err
	}
	if len(config.Registries) == 0 {
		return errors.New("no registries are configured: there is nobody to ask for the stores")
	}
	web := &web{token: config.Token, enough: (config.Stores + 1) / 2, self: ln.ID, stores: service.NewFinder()}
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	work.Go(func() { web.stores.Watch(ctx, config.Registries, "store") })
	if err := web.stores.Await(ctx); err != nil {
		return err
	}
	leave, err := service.Announce(ctx, config.Registries, "web", service.Entry{ID: ln.ID, Address: ln.Addr().String()})
	defer leave()
	defer cancel()
	if err != nil {
		return err
	}
	return ln.Serve(ctx, web.handler(ln))
}

type web struct {
	token  string
	enough int
	self   string
	stores *service.Finder
}

func (s *web) handler(ln *service.Listener) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /notes/{key}", s.get)
	mux.HandleFunc("PUT /notes/{key}", s.put)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		err := s.onEnough(r.Context(), func(ctx context.Context, store string) error {
			return service.Ask(ctx, http.MethodGet, store+"/healthz", "", nil, nil)
		})
		if err != nil {
			unavailable(w, err)
			return
		}
		ln.Healthy(w)
	})
	return mux
}

// onEnough does the same to all the stores at once, and fails where less than half of
// them did it.
func (s *web) onEnough(ctx context.Context, do func(ctx context.Context, store string) error) error {
	stores := s.stores.Found()
	errs := make([]error, len(stores))
	var wg sync.WaitGroup
	for i, e := range stores {
		wg.Go(func() { errs[i] = do(ctx, "http://"+e.Address) })
	}
	wg.Wait()
	done := 0
	var last error
	for _, err := range errs {
		if err == nil {
			done++
		} else {
			last = err
		}
	}
	switch {
	case done >= s.enough:
		return nil
	case last != nil:
		return fmt.Errorf("%d of %d stores that are needed answer: %w", done, s.enough, last)
	}
	return fmt.Errorf("%d of %d stores that are needed are in the registry", done, s.enough)
}

func unavailable(w http.ResponseWriter, err error) {
	http.Error(w, err.Error(), http.StatusServiceUnavailable)
}

// Note is a note as clients send and get it.
type Note struct {
	Text string `json:"text"`
}

func (s *web) put(w http.ResponseWriter, r *http.Request) {
	if !service.Allowed(w, r, s.token) {
		return
	}
	var note Note
	if !service.Receive(w, r, &note) {
		return
	}
	key := r.PathValue("key")
	if !service.GoodName(key) {
		http.Error(w, "a key has letters, digits and . _ - , 128 at most", http.StatusBadRequest)
		return
	}
	value := service.Value{Text: note.Text, Version: now()}
	err := s.onEnough(r.Context(), func(ctx context.Context, store string) error {
		return service.Ask(ctx, http.MethodPut, store+"/values/"+key, s.token, value, nil)
	})
	if err != nil {
		unavailable(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *web) get(w http.ResponseWriter, r *http.Request) {
	key := r.PathValue("key")
	if !service.GoodName(key) {
		http.Error(w, "no such note", http.StatusNotFound)
		return
	}
	newest, found, err := s.newest(r.Context(), key)
	switch {
	case err != nil:
		unavailable(w, err)
	case !found:
		http.Error(w, "no such note", http.StatusNotFound)
	default:
		service.Answer(w, Note{newest.Text})
	}
}

// page shows all the notes to people.
func (s *web) page(w http.ResponseWriter, r *http.Request) {
	notes, err := s.all(r.Context())
	if err != nil {
		unavailable(w, err)
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<!doctype html><meta charset=utf-8><title>Notes</title>\n<h1>Notes</h1>\n<dl>\n")
	for _, key := range slices.Sorted(maps.Keys(notes)) {
		fmt.Fprintf(&b, "<dt>%s</dt><dd>%s</dd>\n", html.EscapeString(key), html.EscapeString(notes[key].Text))
	}
	fmt.Fprintf(&b, "</dl>\n<p>%d notes, shown by %s</p>\n", len(notes), html.EscapeString(s.self))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	w.Write([]byte(b.String()))
}
