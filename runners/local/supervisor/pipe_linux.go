package supervisor

import "golang.org/x/sys/unix"

// openPipe makes a pipe that no program inherits by accident. Reading from it does not block, writing does.
func openPipe() (from, to int, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return -1, -1, err
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return -1, -1, err
	}
	return fds[0], fds[1], nil
}
