package supervisor

import "syscall"

// openPipe makes a pipe that no program inherits by accident. Reading from it does not block, writing does.
func openPipe() (from, to int, err error) {
	var fds [2]int
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := syscall.Pipe(fds[:]); err != nil {
		return -1, -1, err
	}
	for _, fd := range fds {
		syscall.CloseOnExec(fd)
	}
	return fds[0], fds[1], syscall.SetNonblock(fds[0], true)
}
