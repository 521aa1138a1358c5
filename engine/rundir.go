package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

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
