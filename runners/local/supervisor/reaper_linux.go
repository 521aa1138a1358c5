package supervisor

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// start makes orphans of our programs our children, and begins to wait for all
// of them with one goroutine, however many run.
func (r *reaper) start() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl PR_SET_CHILD_SUBREAPER", err)
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	go r.reap(ended) // for as long as the process lives: there may always be another end
	return nil
}

// reap waits for the end of any child. The child is looked up before it is
// taken: until then it is a zombie, and its pid cannot be another's. It sleeps until
// a signal tells of an end: a goroutine that slept in the system call would keep a
// processor from the others until the runtime took it away.
func (r *reaper) reap(ended <-chan os.Signal) {
	for {
		pid := endedChild()
		if pid == 0 {
			<-ended
			continue
		}
		r.reaped(pid, func() (status syscall.WaitStatus, ok bool) {
			taken, err := wait4(pid, &status)
			return status, err == nil && taken == pid
		})
	}
}

// endedChild returns the pid of a child that has ended, 0 where there is none.
func endedChild() int {
	// The pid stands in siginfo_t after three ints, aligned to a pointer.
	const header, pointer = 12, unsafe.Sizeof(uintptr(0))
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil); err != nil {
		return 0 // ECHILD: there is no child
	}
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), (header+pointer-1)/pointer*pointer)))
}

func wait4(pid int, status *syscall.WaitStatus) (int, error) {
	for {
		taken, err := syscall.Wait4(pid, status, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			return taken, err
		}
	}
}

// fork starts p's process.
func (r *reaper) fork(p *program, path string, argv []string, attr *syscall.ProcAttr) (int, error) {
	r.forking.RLock()
	defer r.forking.RUnlock()
	pid, err := syscall.ForkExec(path, argv, attr)
	if err != nil {
		return 0, err
	}
	r.mu.Lock()
	r.children[pid] = p
	r.mu.Unlock()
	return pid, nil
}

// endWithSupervisor has a check killed with us: nobody would wait for it.
func endWithSupervisor(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
