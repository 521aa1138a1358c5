package supervisor

import "syscall"

// closingPipe makes a pipe that is closed where a program begins.
func closingPipe() (fds [2]int, err error) {
	syscall.ForkLock.RLock() // no fork between the pipe and its flags
	defer syscall.ForkLock.RUnlock()
	if err := syscall.Pipe(fds[:]); err != nil {
		return fds, err
	}
	for _, fd := range fds {
		syscall.CloseOnExec(fd)
	}
	return fds, nil
}
