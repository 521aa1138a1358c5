package ssh

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/launchplan/launch/internal/sshtest"
	"github.com/launchplan/launch/runners"
)

// A notebook is a ledger, and what the operator was told.
type notebook struct {
	mu    sync.Mutex
	all   map[string]runners.Resource
	notes []string
}

func (n *notebook) Put(_ context.Context, resources ...runners.Resource) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range resources {
		n.all[r.Kind+" "+r.Key] = r
	}
	return nil
}

func (n *notebook) List(kind string) []runners.Resource {
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []runners.Resource
	for _, r := range n.all {
		if r.Kind == kind {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b runners.Resource) int { return strings.Compare(a.Key, b.Key) })
	return list
}

func (n *notebook) note(_, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.notes = append(n.notes, text)
}

// envFor is the Env of a run of its own, with an empty home. Its folders elsewhere, as those
// of other users are, go with the test.
func envFor(t testing.TB) runners.Env {
	id := make([]byte, 13)
	rand.Read(id)
	runID := strings.ToUpper(hex.EncodeToString(id))
	t.Cleanup(func() {
		folders, _ := filepath.Glob("/var/tmp/launch-" + runID + "*") // the pattern is well-formed
		for _, folder := range folders {
			if err := os.RemoveAll(folder); err != nil {
				t.Error(err)
			}
		}
	})
	book := &notebook{all: make(map[string]runners.Resource)}
	return runners.Env{
		Run: "test", RunID: runID, Plan: t.TempDir(), Dir: t.TempDir(), Turn: "first",
		Environ: []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "USER=" + os.Getenv("USER")},
		Ledger:  book, Note: book.note,
	}
}

// runnerFor makes a runner that is closed when the test ends.
func runnerFor(t testing.TB, c Config, env runners.Env) *Runner {
	t.Helper()
	r, err := New(t.Context(), c, env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func connect(t testing.TB, s *sshtest.Server, env runners.Env, address string) runners.Host {
	t.Helper()
	return connectWith(t, configFor(s), env, address)
}

func connectWith(t testing.TB, c Config, env runners.Env, address string) runners.Host {
	t.Helper()
	h, err := runnerFor(t, c, env).Connect(t.Context(), runners.Target{Service: "web", Host: address})
	if err != nil {
		t.Fatal(err)
	}
	return h
}
