// Counter follows a store, which it finds through the registry, and counts the notes and their
// words whenever something changes.
//
//	GET /count     {"notes": N, "words": N}
//	GET /healthz   well while it follows a store
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/launchplan/launch/examples/services/internal/service"
)

// pause is between two attempts to find a store that answers.
const pause = 200 * time.Millisecond

func main() { service.Main("counter", run) }

func run(ctx context.Context) error {
	var config service.Config
	if err := service.Load(&config); err != nil {
		return err
	}
	ln, err := config.Open(ctx, "counter")
	if err != nil {
		return err
	}
	if len(config.Registries) == 0 {
		return errors.New("no registries are configured: there is nobody to ask for the stores")
	}
	c := &counter{stores: service.NewFinder()}
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	work.Go(func() { c.stores.Watch(ctx, config.Registries, "store") })
	if err := c.stores.Await(ctx); err != nil {
		return err
	}
	work.Go(func() { c.follow(ctx) })
	return ln.Serve(ctx, c.handler(ln))
}

// Count is what the counter tells.
type Count struct {
	Notes int `json:"notes"`
	Words int `json:"words"`
}

type counter struct {
	stores *service.Finder

	mu        sync.Mutex
	count     Count
	following bool
}

// follow counts after every change of a store; where that store does not answer, it follows the next.
func (c *counter) follow(ctx context.Context) {
	var known uint64
	for i := 0; ctx.Err() == nil; {
		stores := c.stores.Found()
		var values service.Values
		if len(stores) > 0 && service.Follow(ctx, "http://"+stores[i%len(stores)].Address+"/values", known, &values) == nil {
			known = values.Revision
			c.set(countOf(values), true)
			continue
		}
		i, known = i+1, 0
		c.set(Count{}, false)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func (c *counter) set(count Count, following bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.following = following
	if following {
		c.count = count
	}
}

func countOf(values service.Values) Count {
	count := Count{Notes: len(values.Values)}
	for _, v := range values.Values {
		count.Words += len(strings.Fields(v.Text))
	}
	return count
}

func (c *counter) handler(ln *service.Listener) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /count", func(w http.ResponseWriter, _ *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		service.Answer(w, c.count)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.following {
			http.Error(w, fmt.Sprintf("none of %d stores answers", len(c.stores.Found())), http.StatusServiceUnavailable)
			return
		}
		ln.Healthy(w)
	})
	return mux
}
