package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/launchplan/launch/state"
)

// A run that another command purges between being found and being locked is told by its name, and leaves no lock behind.
func TestOpenOfAPurgedRun(t *testing.T) {
	dir := t.TempDir()
	db, err := state.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = Open(t.Context(), Options{DB: db, Dir: dir, Command: "status"}, state.Run{ID: NewID(), Name: "shop"}, nil)
	if !errors.Is(err, state.ErrNoRun) || !strings.Contains(err.Error(), "run shop was purged meanwhile") {
		t.Errorf("Open = %v", err)
	}
	locks, err := os.ReadDir(filepath.Join(dir, "locks"))
	if err != nil || len(locks) > 0 {
		t.Errorf("the locks are %v, %v", locks, err)
	}
}
