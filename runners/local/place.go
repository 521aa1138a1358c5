package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/launchplan/launch/runners"
)

// A placer handles the files of one user's programs.
type placer interface {
	// place makes the service's work directory and writes files into it.
	place(ctx context.Context, service string, files []runners.File) error
	// payload puts a payload in place unless it is there.
	payload(ctx context.Context, payload *runners.Payload) error
	// read returns a file of a work directory; fs.ErrNotExist where there is none.
	read(ctx context.Context, dir, name string, max int) ([]byte, error)
	// remove removes a folder below the user's root; all of the root where it is empty.
	remove(ctx context.Context, dir string) error
}

// oncePlaced does something until it works once.
type oncePlaced struct {
	mu   sync.Mutex
	done bool
}

func (o *oncePlaced) do(place func() error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.done {
		return nil
	}
	err := place()
	o.done = err == nil
	return err
}

// ours places files as the user that launch runs as, and as root for another
// user. Programs of that user own the folders and may put links there: nothing
// that is opened here leaves the root.
type ours struct {
	root string
	as   *account // nil: ourselves
}

// temporary tells files apart that are written at the same time.
var temporary atomic.Uint64

func (o ours) open(parts ...string) (*os.Root, error) {
	if o.as != nil {
		if err := o.as.own(o.root); err != nil {
			return nil, err
		}
	}
	root, err := os.OpenRoot(o.root)
	if err != nil {
		return nil, err
	}
	dir := ""
	for _, part := range parts {
		dir = path.Join(dir, part)
		if err := o.mkdir(root, dir, 0o700); err != nil {
			root.Close()
			return nil, err
		}
	}
	return root, nil
}

// mkdir makes a folder where there is none.
func (o ours) mkdir(root *os.Root, dir string, mode fs.FileMode) error {
	err := root.Mkdir(dir, mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil && o.as != nil {
		err = root.Lchown(dir, int(o.as.UID), int(o.as.GID))
	}
	return err
}

func (o ours) place(_ context.Context, service string, files []runners.File) error {
	if len(files) == 0 && o.as == nil {
		return nil // the folder is there already
	}
	work, err := o.openWork(service)
	if err != nil {
		return fmt.Errorf("open the work directory: %w", err)
	}
	defer work.Close()
	for _, file := range files {
		if err := o.write(work, "", file); err != nil {
			return fmt.Errorf("write %s: %w", file.Path, err)
		}
	}
	return nil
}

// placeFresh writes files into a folder that was made a moment ago: nobody else knows of it.
func placeFresh(dir string, files []runners.File) error {
	for _, file := range files {
		if err := createFresh(dir, file); err != nil {
			return fmt.Errorf("write %s: %w", file.Path, err)
		}
	}
	return nil
}

func createFresh(dir string, file runners.File) error {
	if !filepath.IsLocal(file.Path) {
		return fmt.Errorf("%q is not a path below the folder", file.Path)
	}
	name := filepath.Join(dir, filepath.FromSlash(file.Path))
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(name), 0o700); err == nil {
			f, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		}
	}
	if err != nil {
		return err
	}
	return fill(f, fs.FileMode(file.Mode&0o777), file.Content, nil)
}

// fill writes the content of a new file and closes it.
func fill(f *os.File, mode fs.FileMode, content []byte, owner *account) error {
	defer f.Close()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if owner != nil {
		if err := f.Chown(int(owner.UID), int(owner.GID)); err != nil {
			return err
		}
	}
	if mode != 0o600 {
		return f.Chmod(mode)
	}
	return nil
}

// openWork opens a service's work directory. Files are named from there, since each step of a path costs a system
// call or two for each thing that is done with a file.
func (o ours) openWork(service string) (*os.Root, error) {
	if o.as == nil {
		return os.OpenRoot(filepath.Join(o.root, "work", service)) // it is made before anything is placed there
	}
	root, err := o.open("work", service)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.OpenRoot(path.Join("work", service))
}

// write puts a file in place in one step, unless it is there as it should be. Where there is none, nobody can be
// reading it yet, and a half of it that a crash leaves is replaced before its program starts.
func (o ours) write(root *os.Root, dir string, file runners.File) error {
	if !filepath.IsLocal(file.Path) {
		return fmt.Errorf("%q is not a path below the folder", file.Path)
	}
	name, mode := path.Join(dir, file.Path), fs.FileMode(file.Mode&0o777)
	there, same := isSame(root, name, mode, file.Content)
	if same && o.as == nil {
		return nil
	}
	fresh := name
	if there {
		fresh += ".new-" + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatUint(temporary.Add(1), 36)
	}
	err := o.create(root, fresh, mode, file.Content)
	if errors.Is(err, fs.ErrNotExist) {
		if err = o.mkdirs(root, path.Dir(name)); err == nil {
			err = o.create(root, fresh, mode, file.Content)
		}
	}
	if err == nil && there {
		err = root.Rename(fresh, name)
	}
	if err != nil {
		root.Remove(fresh)
	}
	return err
}

// mkdirs makes a folder and those that it is in.
func (o ours) mkdirs(root *os.Root, dir string) error {
	for i, c := range dir + "/" {
		if c == '/' {
			if err := o.mkdir(root, dir[:i], 0o700); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o ours) create(root *os.Root, name string, mode fs.FileMode, content []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return fill(f, mode, content, o.as)
}

// isSame tells whether something has the name, and whether it is the file as it should be.
func isSame(root *os.Root, name string, mode fs.FileMode, content []byte) (there, same bool) {
	info, err := root.Lstat(name)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist), false
	}
	if info.Mode() != mode || info.Size() != int64(len(content)) {
		return true, false
	}
	data, err := root.ReadFile(name)
	return true, err == nil && bytes.Equal(data, content)
}

func (o ours) payload(_ context.Context, payload *runners.Payload) error {
	root, err := o.open("payload")
	if err != nil {
		return fmt.Errorf("make the folder of its program: %w", err)
	}
	defer root.Close()
	dir := path.Join("payload", payload.Hash)
	if _, err := root.Lstat(dir); err == nil {
		return nil // it got its name when it was whole
	}
	fresh := dir + ".new-" + clock()
	err = o.mkdir(root, fresh, 0o700)
	for _, file := range payload.Files {
		if err == nil {
			err = o.write(root, fresh, file)
		}
	}
	if err == nil {
		err = root.Rename(fresh, dir)
	}
	if err != nil {
		root.RemoveAll(fresh)
		if _, there := root.Lstat(dir); there == nil {
			return nil // another launch process was faster
		}
		return fmt.Errorf("put the program in place: %w", err)
	}
	return nil
}

func (o ours) read(_ context.Context, dir, name string, max int) ([]byte, error) {
	named, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return nil, err // mostly it is not there
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.OpenFile(filepath.FromSlash(name), os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not keep us waiting
	if err != nil && named.Mode()&fs.ModeSymlink != 0 {
		return nil, fmt.Errorf("%s is a link that is not followed: it has to be relative, and to stay in the work directory", name)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(max)+1))
	if err == nil && len(data) > max {
		return nil, tooLong(name, max)
	}
	return data, err
}

func tooLong(name string, max int) error {
	return fmt.Errorf("%s is longer than the %d bytes that are taken", name, max)
}

func (o ours) remove(ctx context.Context, dir string) error {
	if dir == "" {
		err := errors.Join(o.remove(ctx, "work"), o.remove(ctx, "payload"))
		return errors.Join(err, os.RemoveAll(o.root))
	}
	root, err := os.OpenRoot(o.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	err = root.RemoveAll(dir)
	if errors.Is(err, fs.ErrPermission) {
		openUp(root, dir)
		err = root.RemoveAll(dir)
	}
	return err
}

// openUp makes read-only folders writable, so that their content can be removed.
func openUp(root *os.Root, dir string) {
	root.Chmod(dir, 0o700)
	f, err := root.Open(dir)
	if err != nil {
		return
	}
	entries, _ := f.ReadDir(-1)
	f.Close()
	for _, entry := range entries {
		if entry.IsDir() {
			openUp(root, path.Join(dir, entry.Name()))
		}
	}
}
