package cloudinitd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
)

// Bounds on what an import reads. A run keeps at most 64 MiB of its plan, so that more
// could be imported but never booted.
const (
	maxFile  = 32 << 20
	maxTotal = 64 << 20
)

// sources reads the old plan's files, each one once.
type sources struct {
	home  string
	total int
	read  map[string][]byte
}

// bytes returns a regular file's content. A device, a pipe or a folder is an error: nothing
// that is read here can block or be endless.
func (s *sources) bytes(path string, max int) ([]byte, error) {
	if data, ok := s.read[path]; ok {
		return data, nil
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, sayWhy(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, sayWhy(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	max = min(max, maxTotal-s.total)
	data, err := io.ReadAll(io.LimitReader(f, int64(max)+1))
	if err != nil {
		return nil, sayWhy(err)
	}
	if len(data) > max {
		return nil, fmt.Errorf("it is too long: a file may have %d MiB, the whole plan %d MiB", maxFile>>20, maxTotal>>20)
	}
	s.total += len(data)
	s.read[path] = data
	return data, nil
}

// sayWhy is the reason alone: the path stands in the message around it.
func sayWhy(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("it does not exist")
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// path is where a setting of a file in dir points to: `~` is a home directory, and what is not absolute is relative to dir.
func (s *sources) path(dir, value string) string {
	value = s.expandUser(value)
	if !filepath.IsAbs(value) {
		value = filepath.Join(dir, value)
	}
	return filepath.Clean(value)
}

// absolute is path for what the new plan refers to where it is: it says so from every directory.
func (s *sources) absolute(dir, value string) string {
	path := s.path(dir, value)
	if absolute, err := filepath.Abs(path); err == nil {
		return absolute
	}
	return path
}

func (s *sources) expandUser(value string) string {
	if !strings.HasPrefix(value, "~") {
		return value
	}
	name, rest, _ := strings.Cut(value[1:], "/")
	home := s.home
	if name != "" {
		who, err := user.Lookup(name)
		if err != nil {
			return value // as Python does: the path begins with a tilde then
		}
		home = who.HomeDir
	}
	return filepath.Join(home, rest)
}
