package local

import (
	"os"
	"path/filepath"
)

// shortPath names a socket in dir by a path that fits the 104 bytes of an
// address, however deep dir is: through a link in a private folder.
func shortPath(dir, name string) (path string, done func(), err error) {
	private, err := os.MkdirTemp("/tmp", "launch-")
	if err != nil {
		return "", nil, err
	}
	link := filepath.Join(private, "d")
	if err := os.Symlink(dir, link); err != nil {
		os.Remove(private)
		return "", nil, err
	}
	return filepath.Join(link, name), func() { os.RemoveAll(private) }, nil
}
