package plan

import (
	"bytes"
	"io"
	"io/fs"
	"path"
	"time"
)

// A keptFS shows the files of a snapshot as a file system.
type keptFS struct {
	files map[string]SnapshotFile
	dirs  map[string]map[string]bool // the names in each directory
}

func newKeptFS() *keptFS {
	return &keptFS{files: map[string]SnapshotFile{}, dirs: map[string]map[string]bool{".": {}}}
}

func (k *keptFS) add(file SnapshotFile) {
	k.files[file.Path] = file
	for child := file.Path; child != "."; child = path.Dir(child) {
		dir := path.Dir(child)
		if k.dirs[dir] == nil {
			k.dirs[dir] = map[string]bool{}
		}
		k.dirs[dir][path.Base(child)] = true
	}
}

// Open implements fs.FS.
func (k *keptFS) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if file, ok := k.files[name]; ok {
		return &keptFile{info: keptInfo{file}, Reader: bytes.NewReader(file.Content)}, nil
	}
	if names, ok := k.dirs[name]; ok {
		return &keptDir{info: dirInfo(path.Base(name)), entries: k.entries(name, names)}, nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (k *keptFS) entries(dir string, names map[string]bool) []fs.DirEntry {
	var entries []fs.DirEntry
	for _, name := range keys(names) {
		if file, ok := k.files[path.Join(dir, name)]; ok {
			entries = append(entries, fs.FileInfoToDirEntry(keptInfo{file}))
		} else {
			entries = append(entries, fs.FileInfoToDirEntry(dirInfo(name)))
		}
	}
	return entries
}

type keptFile struct {
	*bytes.Reader
	info keptInfo
}

func (f *keptFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *keptFile) Close() error               { return nil }

type keptInfo struct{ file SnapshotFile }

func (i keptInfo) Name() string       { return path.Base(i.file.Path) }
func (i keptInfo) Size() int64        { return int64(len(i.file.Content)) }
func (i keptInfo) Mode() fs.FileMode  { return i.file.Mode.Perm() }
func (i keptInfo) ModTime() time.Time { return time.Time{} }
func (i keptInfo) IsDir() bool        { return false }
func (i keptInfo) Sys() any           { return nil }

type keptDir struct {
	info    dirInfo
	entries []fs.DirEntry
}

func (d *keptDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *keptDir) Read([]byte) (int, error)   { return 0, fs.ErrInvalid }
func (d *keptDir) Close() error               { return nil }

// ReadDir implements fs.ReadDirFile.
func (d *keptDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 || n >= len(d.entries) {
		rest := d.entries
		d.entries = nil
		if n > 0 && len(rest) == 0 {
			return nil, io.EOF
		}
		return rest, nil
	}
	some := d.entries[:n]
	d.entries = d.entries[n:]
	return some, nil
}

type dirInfo string

func (i dirInfo) Name() string       { return string(i) }
func (i dirInfo) Size() int64        { return 0 }
func (i dirInfo) Mode() fs.FileMode  { return fs.ModeDir | 0o700 }
func (i dirInfo) ModTime() time.Time { return time.Time{} }
func (i dirInfo) IsDir() bool        { return true }
func (i dirInfo) Sys() any           { return nil }
