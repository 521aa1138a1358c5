package topdir

import (
	"os"

	"golang.org/x/sys/unix"
)

// topOfTree is FS_TOPDIR_FL (chattr +T): "each folder in here is the top of a tree of its own".
const topOfTree = 0x00020000

// KeepApart has ext4 place each folder in dir, with what is in it, in another part
// of the disk. By default it keeps what lies in one folder together, and before it
// hands out an inode there it looks at each that was freed in the last minutes:
// those of what was removed a moment ago, a thousand times over. Other file systems
// refuse the flag, or have no use for it.
func KeepApart(dir string) {
	f, err := os.Open(dir)
	if err != nil {
		return
	}
	defer f.Close()
	if flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS); err == nil {
		unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags|topOfTree)
	}
}
