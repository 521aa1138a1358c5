package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/oklog/ulid/v2"

	"github.com/launchplan/launch/internal/topdir"
)

// runDir is where a run has its logs and its runners' files.
func runDir(dir, runID string) string { return filepath.Join(dir, "runs", runID) }

// makeRunDir makes the run's folder.
func makeRunDir(dir, runID string) error {
	run := runDir(dir, runID)
	err := os.Mkdir(run, 0o700)
	if errors.Is(err, fs.ErrNotExist) { // the first run of this state directory
		all := filepath.Dir(run)
		if err = os.MkdirAll(all, 0o700); err != nil {
			return err
		}
		topdir.KeepApart(all)
		err = os.Mkdir(run, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// Forget removes a run's private folder, when the store has forgotten the run.
func Forget(dir, runID string) error {
	if _, err := ulid.ParseStrict(runID); err != nil {
		return fmt.Errorf("run id %q: %w", runID, err)
	}
	return os.RemoveAll(runDir(dir, runID))
}
