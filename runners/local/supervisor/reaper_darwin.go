package supervisor

import (
	"errors"
	"syscall"
)

func (r *reaper) start() error { return nil }

// fork starts p's process. A goroutine waits for it; orphans of our programs are the system's.
func (r *reaper) fork(p *program, path string, argv []string, attr *syscall.ProcAttr) (int, error) {
	pid, err := syscall.ForkExec(path, argv, attr)
	if err != nil {
		return 0, err
	}
	r.mu.Lock()
	r.children[pid] = p
	r.mu.Unlock()
	go func() {
		var status syscall.WaitStatus
		var err error
		for {
			if _, err = syscall.Wait4(pid, &status, 0, nil); !errors.Is(err, syscall.EINTR) {
				break
			}
		}
		r.reaped(pid, func() (syscall.WaitStatus, bool) { return status, err == nil })
	}()
	return pid, nil
}

// endWithSupervisor is not possible on this system.
func endWithSupervisor(*syscall.SysProcAttr) {}
