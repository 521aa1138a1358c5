package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/launchplan/launch/examples/services/internal/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T) (*registry, string) {
	t.Helper()
	r := newRegistry()
	server := httptest.NewServer(r.handler(&service.Listener{ID: "r", Kind: "registry"}))
	t.Cleanup(func() {
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return r, strings.TrimPrefix(server.URL, "http://")
}

func TestEnteredFoundAndLeft(t *testing.T) {
	r, address := serve(t)
	ctx, leave := context.WithCancel(t.Context())
	stop, err := service.Announce(ctx, []string{address}, "store", service.Entry{ID: "one", Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	finder := service.NewFinder()
	watching, end := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { finder.Watch(watching, []string{address}, "store"); close(done) }()
	if err := finder.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := finder.Found(); len(got) != 1 || got[0] != (service.Entry{ID: "one", Address: "127.0.0.1:1"}) {
		t.Errorf("found %v", got)
	}
	leave()
	stop()
	if got := r.of("store"); len(got.Services) != 0 {
		t.Errorf("after leaving: %v", got)
	}
	end()
	<-done
}

func TestLeaseEnds(t *testing.T) {
	r := newRegistry()
	now := time.Now()
	r.put(key{"store", "one"}, "127.0.0.1:1", now.Add(service.Lease))
	before := r.board.Revision()
	r.put(key{"store", "one"}, "127.0.0.1:1", now.Add(2*service.Lease))
	if r.board.Revision() != before {
		t.Error("renewing a lease counts as a change")
	}
	r.forget(now.Add(service.Lease + 1))
	if len(r.of("store").Services) != 1 {
		t.Error("forgotten before its lease had ended")
	}
	r.forget(now.Add(2*service.Lease + 1))
	if len(r.of("store").Services) != 0 || r.board.Revision() == before {
		t.Error("not forgotten after its lease had ended")
	}
}

func TestFull(t *testing.T) {
	r := newRegistry()
	for i := range maxEntries {
		r.entries[key{"x", string(rune(i))}] = entry{}
	}
	if r.put(key{"store", "one"}, "127.0.0.1:1", time.Now()) {
		t.Error("it takes more than its limit")
	}
}

// FuzzEnter sends the registry what strangers may send: it takes only what others can use.
func FuzzEnter(f *testing.F) {
	f.Add("store", "one", `{"address": "127.0.0.1:80"}`)
	f.Add("..", "a/b", `{"address": 7}`)
	f.Add("k", "i", `{"address": "`+strings.Repeat("a", 300)+`:1"}`)
	f.Fuzz(func(t *testing.T, kind, id, body string) {
		r := newRegistry()
		req := httptest.NewRequest("PUT", "/", strings.NewReader(body))
		req.SetPathValue("kind", kind)
		req.SetPathValue("id", id)
		w := httptest.NewRecorder()
		r.enter(w, req)
		if w.Code == http.StatusNoContent != (len(r.entries) == 1) {
			t.Fatalf("status %d with %d entries", w.Code, len(r.entries))
		}
		for k, e := range r.entries {
			if !service.GoodName(k.kind) || !service.GoodName(k.id) || !strings.Contains(e.address, ":") {
				t.Errorf("it took %v %v", k, e)
			}
		}
	})
}
