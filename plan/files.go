package plan

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"sync"
)

const (
	maxFile       = MaxSnapshot // a larger file could not be kept with the run
	maxFileValue  = 4 << 20     // of a file that an expression reads as a value
	maxDirEntries = 10_000
)

// diskSource opens plan directories on this machine.
func diskSource(dir string) (fs.FS, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &diskFS{FS: root.FS(), dir: dir}, nil
}

// A diskFS is a directory out of which no link leads. Of links that go by way of outside, absolute ones and those like
// "../plan/x", the root says that they lead out before it knows where they end: those are looked up by where that is.
type diskFS struct {
	fs.FS // of an os.Root: what it opens is in the directory, whatever happens to links meanwhile
	dir   string
}

// Open implements fs.FS.
func (d *diskFS) Open(name string) (fs.File, error) {
	file, err := d.FS.Open(name)
	if end, within := d.linkEnd(name, err); within {
		return d.FS.Open(end)
	}
	return file, err
}

// Stat implements fs.StatFS.
func (d *diskFS) Stat(name string) (fs.FileInfo, error) {
	info, err := fs.Stat(d.FS, name)
	if end, within := d.linkEnd(name, err); within {
		return fs.Stat(d.FS, end)
	}
	return info, err
}

// linkEnd is the path within the directory at which links end that were taken for leading out, and whether they do not.
func (d *diskFS) linkEnd(name string, err error) (end string, within bool) {
	if !leadsOut(err) {
		return "", false
	}
	dir, dirErr := filepath.EvalSymlinks(d.dir)
	end, endErr := filepath.EvalSymlinks(filepath.Join(d.dir, name))
	if dirErr != nil || endErr != nil {
		return "", false
	}
	end, err = filepath.Rel(dir, end)
	return filepath.ToSlash(end), err == nil && filepath.IsLocal(end)
}

// leadsOut says whether an os.Root refused a path.
func leadsOut(err error) bool {
	var pathErr *fs.PathError
	return errors.As(err, &pathErr) && strings.Contains(pathErr.Err.Error(), "escapes")
}

// planFiles reads the files of one plan directory. What was read once is kept:
// it is the same for every service, and the run's snapshot is made of it.
type planFiles struct {
	dir  string
	fsys fs.FS

	mu   sync.Mutex
	read map[string]*planFile
	size int64
}

// A planFile is a file as it was when it was first read.
type planFile struct {
	content []byte
	mode    fs.FileMode
}

func openPlanFiles(source Source, dir string) (*planFiles, error) {
	if source == nil {
		source = diskSource
	}
	fsys, err := source(dir)
	if err != nil {
		return nil, err
	}
	return &planFiles{dir: dir, fsys: fsys, read: map[string]*planFile{}}, nil
}

// locate turns a path as a plan writes it into one within the plan's directory.
func (f *planFiles) locate(name string) (string, error) {
	if name == "" {
		return "", errors.New("the path is empty")
	}
	if strings.ContainsRune(name, 0) {
		return "", errors.New("the path contains a NUL byte")
	}
	name = filepath.ToSlash(name)
	if path.IsAbs(name) {
		rel, err := filepath.Rel(f.dir, name)
		if err != nil {
			return "", errors.New("it lies outside of the plan's directory")
		}
		name = filepath.ToSlash(rel)
	}
	name = path.Clean(name)
	if !fs.ValidPath(name) {
		return "", errors.New("it lies outside of the plan's directory")
	}
	return name, nil
}

// stat looks at a file or directory within the plan.
func (f *planFiles) stat(name string) (fs.FileInfo, error) {
	name, err := f.locate(name)
	if err != nil {
		return nil, err
	}
	info, err := fs.Stat(f.fsys, name)
	if err != nil {
		return nil, plainPathError(err)
	}
	return info, nil
}

// file reads a regular file within the plan.
func (f *planFiles) file(name string) (*planFile, error) {
	name, err := f.locate(name)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if file := f.read[name]; file != nil {
		return file, nil
	}
	// Opening a FIFO would wait for its writer, hence the look before.
	info, err := fs.Stat(f.fsys, name)
	if err != nil {
		return nil, plainPathError(err)
	}
	if info.IsDir() {
		return nil, errors.New("it is a directory")
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	if info.Size()+f.size > maxFile {
		return nil, fmt.Errorf("with it the plan's files would be larger than the %d MiB that a run keeps", maxFile>>20)
	}
	content, err := readBounded(f.fsys, name, maxFile-f.size)
	if err != nil {
		return nil, err
	}
	file := &planFile{content: content, mode: info.Mode().Perm()}
	f.read[name] = file
	f.size += int64(len(content))
	return file, nil
}

func readBounded(fsys fs.FS, name string, limit int64) ([]byte, error) {
	file, err := fsys.Open(name)
	if err != nil {
		return nil, plainPathError(err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, plainPathError(err)
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("it is larger than %d MiB", limit>>20)
	}
	return content, nil
}

// walk lists the regular files below a directory, as paths relative to it, in
// the order of their names. Anything that is neither file nor directory is an error.
func (f *planFiles) walk(name string) ([]string, error) {
	top, err := f.locate(name)
	if err != nil {
		return nil, err
	}
	var names []string
	err = fs.WalkDir(f.fsys, top, func(p string, entry fs.DirEntry, err error) error {
		if err != nil {
			return plainPathError(err)
		}
		if entry.IsDir() {
			return nil
		}
		if len(names) == maxDirEntries {
			return fmt.Errorf("it holds more than %d files", maxDirEntries)
		}
		rel := p
		if top != "." {
			rel = strings.TrimPrefix(p, top+"/")
		}
		names = append(names, rel)
		return nil
	})
	if err != nil {
		return nil, err
	}
	sort.Strings(names)
	return names, nil
}

var errNoFile = errors.New("it does not exist")

// plainPathError leaves out the operation and the path, which the message around it gives.
func plainPathError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errNoFile
	case errors.Is(err, fs.ErrPermission):
		return errors.New("it may not be read")
	}
	if leadsOut(err) {
		return errors.New("it leads out of the plan's directory")
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
