package minder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// maxSocketPath is the shortest limit on a socket's path among our systems, darwin's.
const maxSocketPath = 103

// withSocketPath calls use with a path of the socket that the kernel accepts: where
// the agent's directory is too long, one through a short-lived symbolic link.
func withSocketPath(dir string, use func(path string) error) error {
	path := filepath.Join(dir, socketName)
	if len(path) <= maxSocketPath {
		return use(path)
	}
	short, err := os.MkdirTemp("", "epu")
	if err != nil {
		return err
	}
	defer os.RemoveAll(short)
	link := filepath.Join(short, "d")
	if err := os.Symlink(dir, link); err != nil {
		return err
	}
	return use(filepath.Join(link, socketName))
}

// listen makes the socket anew. The caller holds the lock: nobody listens on an old one.
func listen(dir string) (net.Listener, error) {
	var listener *net.UnixListener
	err := withSocketPath(dir, func(path string) error {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			return err
		}
		l.SetUnlinkOnClose(false)
		listener = l
		return os.Chmod(path, 0o600)
	})
	if err != nil {
		return nil, fmt.Errorf("listen for the agent: %w", err)
	}
	return listener, nil
}

func dial(ctx context.Context, dir string) (conn net.Conn, err error) {
	err = withSocketPath(dir, func(path string) error {
		conn, err = new(net.Dialer).DialContext(ctx, "unix", path)
		return err
	})
	return conn, err
}
