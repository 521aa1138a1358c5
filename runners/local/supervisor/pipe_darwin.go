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
	if err := syscall.SetNonblock(fds[0], true); err != nil {
		syscall.Close(fds[0])
		syscall.Close(fds[1])
		return -1, -1, err
	}
	return fds[0], fds[1], nil
}
