package proc

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

// zombie is SZOMB of sys/proc.h.
const zombie = 5

func startOf(pid int) (string, bool) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || int(info.Proc.P_pid) != pid || info.Proc.P_stat == zombie {
		return "", false
	}
	t := info.Proc.P_starttime
	return fmt.Sprintf("%d.%06d", t.Sec, t.Usec), true
}

// WithEnv finds nothing: other processes' environments cannot be read here, and
// the records of daemons and agents have to do.
func WithEnv(...string) []ID { return nil }

// Env knows nothing, for the same reason.
func Env(int, string) (string, bool) { return "", false }

// InSessions returns the living processes of the groups that some sessions began with.
func InSessions(sids map[int]bool) []ID {
	var found []ID
	for sid := range sids {
		all, err := unix.SysctlKinfoProcSlice("kern.proc.pgrp", sid)
		if err != nil {
			continue
		}
		for _, info := range all {
			if id, alive := Of(int(info.Proc.P_pid)); alive {
				found = append(found, id)
			}
		}
	}
	return found
}

// Wait returns when the process, which need not be a child, has ended.
func (id ID) Wait(ctx context.Context) error { return pollUntilGone(ctx, id) }
