package supervisor

import "syscall"

// closingPipe makes a pipe that is closed where a program begins.
func closingPipe() (fds [2]int, err error) {
	err = syscall.Pipe2(fds[:], syscall.O_CLOEXEC)
	return fds, err
}
