package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/launchplan/launch/examples/services/internal/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// values is a store as the web server sees one.
type values struct {
	mu   sync.Mutex
	have map[string]service.Value
}

func (v *values) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	key, one := strings.CutPrefix(r.URL.Path, "/values/")
	switch {
	case r.Method == http.MethodPut:
		var value service.Value
		json.NewDecoder(r.Body).Decode(&value)
		v.have[key] = value
	case one && v.have[key] == service.Value{}:
		http.NotFound(w, r)
	case one:
		service.Answer(w, v.have[key])
	default:
		service.Answer(w, service.Values{Values: v.have})
	}
}

// front is a web server with two stores, and a registry that knows them; down takes a store away.
func front(t *testing.T) (url string, down func()) {
	t.Helper()
	one, two := httptest.NewServer(&values{have: map[string]service.Value{}}), httptest.NewServer(&values{have: map[string]service.Value{}})
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("known") == "7" {
			<-r.Context().Done() // nothing changes
			return
		}
		service.Answer(w, service.Entries{Revision: 7, Services: []service.Entry{
			{ID: "one", Address: strings.TrimPrefix(one.URL, "http://")}, {ID: "two", Address: strings.TrimPrefix(two.URL, "http://")},
		}})
	}))
	s := &web{token: "secret", enough: 1, self: "w", stores: service.NewFinder()}
	var watching sync.WaitGroup
	watching.Go(func() { s.stores.Watch(t.Context(), []string{strings.TrimPrefix(registry.URL, "http://")}, "store") })
	if err := s.stores.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.handler(&service.Listener{ID: "w", Kind: "web"}))
	t.Cleanup(func() {
		watching.Wait()
		http.DefaultClient.CloseIdleConnections()
		for _, s := range []*httptest.Server{server, registry, one, two} {
			s.Close()
		}
	})
	return server.URL, two.Close
}

func TestNotes(t *testing.T) {
	url, down := front(t)
	note := Note{"<script>alert(1)</script>"}
	if err := service.Ask(t.Context(), http.MethodPut, url+"/notes/a", "wrong", note, nil); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("with a wrong token: %v", err)
	}
	if err := service.Ask(t.Context(), http.MethodPut, url+"/notes/a", "secret", note, nil); err != nil {
		t.Fatal(err)
	}
	down()
	var got Note
	if err := service.Ask(t.Context(), http.MethodGet, url+"/notes/a", "", nil, &got); err != nil || got != note {
		t.Errorf("with one of two stores: %v, %v", got, err)
	}
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil || strings.Contains(string(page), "<script>") || !strings.Contains(string(page), "&lt;script&gt;") {
		t.Errorf("the page is %s, %v", page, err)
	}
}

func TestTooFewStores(t *testing.T) {
	s := &web{enough: 1, stores: service.NewFinder()}
	w := httptest.NewRecorder()
	s.handler(&service.Listener{}).ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "0 of 1 stores") {
		t.Errorf("without stores: %d %s", w.Code, w.Body)
	}
}
