package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A process that dies time and again does not push out the output of the others; the
// oldest of too many is removed, unless it lives again.
func TestDirectoriesOfEndedProcessesAreKept(t *testing.T) {
	dirs := endedDirs{root: t.TempDir()}
	end := func(id string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dirs.root, id), 0o700); err != nil {
			t.Fatal(err)
		}
		dirs.add(id, func(id string) bool { return id == "lives" })
	}
	end("lives")
	end("oldest")
	end("kept")
	for range 2 * keptDirs {
		end("dies")
	}
	for i := range keptDirs - 2 {
		end(fmt.Sprint(i))
	}
	for id, want := range map[string]bool{"lives": true, "oldest": false, "kept": true, "dies": true, "0": true} {
		if _, err := os.Stat(filepath.Join(dirs.root, id)); (err == nil) != want {
			t.Errorf("the directory of %s: %v", id, err)
		}
	}
}
