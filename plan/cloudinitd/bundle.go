package cloudinitd

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/hashicorp/hcl/v2"
)

// A File of the imported plan. Path is relative and slash-separated.
type File struct {
	Path    string
	Mode    fs.FileMode
	Content []byte
}

// A bundle is the files of the new plan: copies of the old one's where they were, and what is made anew.
type bundle struct {
	*sources
	say   *report
	root  string // of the old plan
	files map[string]*File
	dirs  map[string]bool   // that files lie in
	from  map[string]string // old path and use -> new path
	notes []string          // what came from elsewhere
}

// outsideDir takes what lies outside of the old plan's directory.
const outsideDir = "outside"

// program copies a program, executable, and returns where it is in the new plan.
func (b *bundle) program(old string, rng hcl.Range, what string) (string, bool) {
	return b.copy(old, "", 0o700, rng, what, func(src []byte) ([]byte, bool) { return src, true })
}

// template copies a bootconf as a template for templatefile.
func (b *bundle) template(old string, rng hcl.Range, change func(src []byte) ([]byte, bool)) (string, bool) {
	return b.copy(old, ".tmpl", 0o600, rng, "bootconf", change)
}

// plain copies a file as it is.
func (b *bundle) plain(old string, rng hcl.Range) (string, bool) {
	return b.copy(old, "", 0o600, rng, "bootconf", func(src []byte) ([]byte, bool) { return src, true })
}

func (b *bundle) copy(old, suffix string, mode fs.FileMode, rng hcl.Range, what string, change func([]byte) ([]byte, bool)) (string, bool) {
	if name, ok := b.from[old+"\x00"+suffix]; ok {
		b.files[name].Mode |= mode
		return name, true
	}
	src, err := b.bytes(old, maxFile)
	if err != nil {
		hint := ""
		if reference.MatchString(old) {
			hint = " References are not expanded in a path before cloudinit.d looks for the file."
		}
		b.say.failOnce(rng, "File cannot be read", "The %s %s: %v.%s", what, old, err, hint)
		return "", false
	}
	content, ok := change(src)
	if !ok {
		return "", false
	}
	name := b.place(old, suffix, rng)
	b.from[old+"\x00"+suffix] = name
	b.files[name] = &File{Path: name, Mode: mode, Content: content}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		b.dirs[dir] = true
	}
	return name, true
}

// place chooses where a file goes: where it was, relative to the plan; what was outside of it goes into a folder of its own.
func (b *bundle) place(old, suffix string, rng hcl.Range) string {
	name, inside := b.relative(old)
	if !inside {
		name = path.Join(outsideDir, filepath.Base(old))
		b.outside(old, rng)
	} else if real, err := filepath.EvalSymlinks(old); err == nil {
		if _, inside := b.relative(real); !inside {
			b.outside(real, rng)
		}
	}
	name = strings.ToValidUTF8(name, "_")
	if !strings.Contains(name, "/") && strings.HasSuffix(name, ".hcl") {
		name += ".file" // it would be read as a part of the plan
	}
	unique := name + suffix
	for i := 2; b.files[unique] != nil || b.inTheWay(unique); i++ {
		unique = path.Join(fmt.Sprintf("copy%d", i), name+suffix)
	}
	return unique
}

func (b *bundle) outside(path string, rng hcl.Range) {
	b.say.warn(rng, "File outside of the plan", "%s is not below %s. A copy of it goes into the imported plan.", path, b.root)
	b.notes = append(b.notes, path)
}

// relative is a path as seen from the plan's directory, also where that is reached by a link.
func (b *bundle) relative(old string) (string, bool) {
	roots := []string{b.root}
	if real, err := filepath.EvalSymlinks(b.root); err == nil {
		roots = append(roots, real)
	}
	for _, root := range roots {
		if rel, err := filepath.Rel(root, old); err == nil && filepath.IsLocal(rel) {
			return filepath.ToSlash(rel), true
		}
	}
	return "", false
}

// inTheWay says whether a file of this name would have to be a folder of others, or one of them a folder of it.
func (b *bundle) inTheWay(name string) bool {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if b.files[dir] != nil {
			return true
		}
	}
	return b.dirs[name]
}

func (b *bundle) addFile(name string, mode fs.FileMode, content string) {
	b.files[name] = &File{Path: name, Mode: mode, Content: []byte(content)}
}

func (b *bundle) list() []File {
	var files []File
	for _, f := range b.files {
		files = append(files, *f)
	}
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	return files
}

// ErrNotEmpty refuses a directory that has something in it.
var ErrNotEmpty = errors.New("an import makes a new directory, or fills an empty one")

// Write makes the plan in dir, which must not exist or be empty (else ErrNotEmpty). It is there completely or not at all.
func (im *Imported) Write(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("write the imported plan: %w", err)
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	entries, err := os.ReadDir(dir)
	switch {
	case err == nil && len(entries) > 0:
		return fmt.Errorf("%s is not empty: %w", dir, ErrNotEmpty)
	case err != nil && !os.IsNotExist(err):
		return fmt.Errorf("write the imported plan: %w", err)
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return fmt.Errorf("write the imported plan: %w", err)
	}
	temp, err := os.MkdirTemp(parent, ".launch-import-*") // 0700, beside dir: a rename is one step
	if err != nil {
		return fmt.Errorf("write the imported plan: %w", err)
	}
	defer os.RemoveAll(temp) // gone by then where all went well
	for _, f := range im.Files {
		name := filepath.Join(temp, filepath.FromSlash(f.Path))
		if err := writeFile(name, f); err != nil {
			return fmt.Errorf("write the imported plan: %w", err)
		}
	}
	if err := syscall.Rename(temp, dir); err != nil { // os.Rename refuses to replace an empty directory
		return fmt.Errorf("write the imported plan: rename %s to %s: %w", temp, dir, err)
	}
	return nil
}

func writeFile(name string, f File) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.Mode)
	if err != nil {
		return err
	}
	if _, err := file.Write(f.Content); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
