package state

import (
	"fmt"
	"syscall"
)

func hasMounts() bool { return true }

// mountSmall puts a file system of a few bytes onto dir.
func mountSmall(dir string, bytes int) error {
	return syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes))
}

func unmount(dir string) { syscall.Unmount(dir, syscall.MNT_DETACH) }
