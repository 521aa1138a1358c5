package plan

import (
	"fmt"
	"io/fs"
)

// Snapshot returns every file that the plan and the tree refer to, MaxSnapshot bytes at most.
func (t *Tree) Snapshot() ([]SnapshotFile, error) {
	var files []SnapshotFile
	size := int64(0)
	for _, m := range values(t.plan.loader.modules) {
		m.files.mu.Lock()
		for _, name := range keys(m.files.read) {
			file := m.files.read[name]
			size += int64(len(file.content))
			files = append(files, SnapshotFile{Dir: m.dir, Path: name, Mode: file.mode, Content: file.content})
		}
		m.files.mu.Unlock()
	}
	if size > MaxSnapshot {
		return nil, fmt.Errorf("the files that the plan refers to have %d MiB; a run keeps %d MiB at most", size>>20, MaxSnapshot>>20)
	}
	return files, nil
}

// A SnapshotFile is a file of a plan directory, as a run keeps it.
type SnapshotFile struct {
	Dir     string // the plan directory's absolute path
	Path    string // slash-separated, within it
	Mode    fs.FileMode
	Content []byte
}

// SnapshotSource opens plan directories from a snapshot.
func SnapshotSource(files []SnapshotFile) Source {
	return func(dir string) (fs.FS, error) {
		kept := newKeptFS()
		for _, file := range files {
			if file.Dir == dir {
				kept.add(file)
			}
		}
		if len(kept.files) == 0 {
			return nil, fmt.Errorf("the run keeps no files of %s", dir)
		}
		return kept, nil
	}
}
