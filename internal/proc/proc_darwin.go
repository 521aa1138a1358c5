package proc

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// BootID names this boot of the machine. The time of the boot does so only where there is
// no better: it is moved each time that the clock is set, as after a sleep.
var BootID = sync.OnceValue(func() string {
	if id, err := unix.Sysctl("kern.bootsessionuuid"); err == nil && id != "" {
		return id
	}
	at, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%d.%06d", at.Sec, at.Usec)
})

// SSTOP and SZOMB of sys/proc.h.
const (
	frozen = 4
	zombie = 5
)

// Find returns the process that has pid now.
func Find(pid int) (Process, error) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err == unix.EIO { // what x/sys makes of an answer without a process
		err = unix.ESRCH
	}
	if err != nil {
		return Process{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return process(info), nil
}

func process(info *unix.KinfoProc) Process {
	at := info.Proc.P_starttime
	return Process{
		PID:     int(info.Proc.P_pid),
		Parent:  int(info.Eproc.Ppid),
		Group:   int(info.Eproc.Pgid),
		Session: int(info.Eproc.Pgid), // the system does not tell it; every program leads its own session
		Start:   uint64(at.Sec)*1e6 + uint64(at.Usec),
		Zombie:  info.Proc.P_stat == zombie,
		Frozen:  info.Proc.P_stat == frozen,
	}
}

// All returns every process that can be seen.
func All() ([]Process, error) {
	infos, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil, err
	}
	all := make([]Process, len(infos))
	for i := range infos {
		all[i] = process(&infos[i])
	}
	return all, nil
}

// CanFindVariables says that HasVariables can know.
const CanFindVariables = false

// HasVariables cannot be known on this system.
func HasVariables(int, ...string) (has, known bool) { return false, false }

// Variable cannot be known on this system.
func Variable(int, string) (value string, known bool) { return "", false }

// Wait returns when the process, which need not be a child, has ended.
func (id Identity) Wait(ctx context.Context) error { return pollUntilGone(ctx, id) }

// Age is how long ago the process began.
func (id Identity) Age() time.Duration {
	if id.Start == 0 {
		return 0
	}
	return max(0, time.Since(time.UnixMicro(int64(id.Start))))
}
