package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/launchplan/launch/examples/services/internal/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNewestWinsInAnyOrder(t *testing.T) {
	values := []service.Value{{Text: "a", Version: 1}, {Text: "c", Version: 2}, {Text: "b", Version: 2}}
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}} {
		s := newStore("")
		for _, i := range order {
			s.put("k", values[i])
		}
		if v, _ := s.get("k"); v.Text != "c" {
			t.Errorf("written in order %v, %q holds", order, v.Text)
		}
	}
}

func TestBounded(t *testing.T) {
	s := newStore("")
	if !s.put("a", service.Value{Text: strings.Repeat("x", maxBytes), Version: 1}) {
		t.Fatal("it does not take what fits")
	}
	if s.put("b", service.Value{Text: "x", Version: 1}) {
		t.Error("it takes more bytes than its limit")
	}
	if !s.put("a", service.Value{Text: "small", Version: 2}) || !s.put("b", service.Value{Text: "x", Version: 1}) {
		t.Error("what is replaced still counts")
	}
}

// What is written only to another store after this one has caught up, as by a web server that
// does not know of it yet, comes to this one, too.
func TestTakesWhatItMissed(t *testing.T) {
	other := newStore("")
	theirs := httptest.NewServer(other.handler(&service.Listener{ID: "a", Kind: "store"}))
	defer theirs.Close()
	entered := make(chan service.Entry, 1)
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var e service.Entry
		switch {
		case r.Method == http.MethodGet && r.URL.Query().Get("known") == "7":
			<-r.Context().Done() // nothing changes
		case r.Method == http.MethodGet:
			service.Answer(w, service.Entries{Revision: 7, Services: []service.Entry{{ID: "a", Address: strings.TrimPrefix(theirs.URL, "http://")}}})
		case r.Method == http.MethodPut && service.Receive(w, r, &e):
			select {
			case entered <- e:
			default:
			}
		}
	}))
	defer registry.Close()
	defer http.DefaultClient.CloseIdleConnections()

	config := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(config, fmt.Appendf(nil, `{"id": "b", "registries": [%q]}`, strings.TrimPrefix(registry.URL, "http://")), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PROCESS_CONFIG", config)
	t.Setenv("EPU_PROCESS_ID", "")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // only ends a test that hangs
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	select {
	case e := <-entered:
		note := service.Value{Text: "written meanwhile", Version: 1}
		other.put("k", note)
		var have service.Values
		for have.Values["k"] != note {
			if err := service.Follow(ctx, "http://"+e.Address+"/values", have.Revision, &have); err != nil {
				t.Error(err)
				break
			}
		}
		cancel()
		<-ended
	case err := <-ended:
		t.Fatal(err)
	}
}

func TestHTTP(t *testing.T) {
	server := httptest.NewServer(newStore("secret").handler(&service.Listener{ID: "s", Kind: "store"}))
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()
	put := func(path, token string, body any) error {
		return service.Ask(t.Context(), http.MethodPut, server.URL+path, token, body, nil)
	}
	value := service.Value{Text: "text", Version: 1}
	if err := put("/values/k", "secret", value); err != nil {
		t.Error(err)
	}
	for _, refused := range []struct{ path, token, status string }{
		{"/values/k", "", "401"}, {"/values/k", "Secret", "401"}, {"/values/%2e%2e", "secret", "400"}, {"/values/a%2Fb", "secret", "400"},
	} {
		if err := put(refused.path, refused.token, value); err == nil || !strings.Contains(err.Error(), refused.status) {
			t.Errorf("PUT %s: %v, not %s", refused.path, err, refused.status)
		}
	}
	if err := put("/values/k", "secret", strings.Repeat("x", 100<<10)); err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("a body that is too large: %v", err)
	}
	var all service.Values
	if err := service.Ask(t.Context(), http.MethodGet, server.URL+"/values", "", nil, &all); err != nil || len(all.Values) != 1 || all.Values["k"] != value {
		t.Errorf("the store has %v, %v", all, err)
	}
	if err := service.Ask(t.Context(), http.MethodGet, server.URL+"/values/other", "", nil, nil); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("of a value that is not there: %v", err)
	}
}
