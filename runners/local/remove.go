package local

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
)

// removeFiles removes what a service has in the work directories of all users;
// without a service, all that the run has.
func (h *host) removeFiles(ctx context.Context, service string) error {
	h.runner.removing <- struct{}{}
	defer func() { <-h.runner.removing }()
	var errs []error
	remove := func(files placer, dir string) {
		if err := files.remove(ctx, dir); err != nil {
			errs = append(errs, fmt.Errorf("remove what is left of %s: %w", orTheRun(service), err))
		}
	}
	remove(h.files(""), filepath.Join("work", service))
	if service == "" {
		remove(h.files(""), "payload")
	}
	guests, err := h.runner.guests.find(h.runner.env.RunID)
	if err != nil {
		errs = append(errs, err)
	}
	for _, user := range guests {
		files := h.files(user)
		if service == "" {
			remove(files, "")
		} else {
			remove(files, filepath.Join("work", service))
		}
	}
	return errors.Join(errs...)
}

// guests are the other users that have work directories of a run here. To look for them is to read the whole of a
// folder that everybody uses, so it is not done for each service.
type guests struct {
	mu    sync.Mutex
	known bool
	names []string
}

// find returns the users' names as they stand in the names of their folders.
func (g *guests) find(run string) ([]string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.known {
		return g.names, nil
	}
	prefix := guestRoot(run, "")
	roots, err := filepath.Glob(prefix + "*")
	if err != nil {
		return nil, err
	}
	g.known, g.names = true, nil
	for _, root := range roots {
		g.names = append(g.names, strings.TrimPrefix(root, prefix))
	}
	return g.names, nil
}

// changed has them looked for again.
func (g *guests) changed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.known = false
}

// guestRoot is where another user's programs of a run have their files.
func guestRoot(run, name string) string { return filepath.Join(sharedTemp, "launch-"+run+"-") + name }
