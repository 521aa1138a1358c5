// Package proc tells processes of this machine apart, over the reuse of their ids.
package proc

import (
	"errors"
	"syscall"
)

// ID is a process by its pid and start time, so that another process that got the
// same pid later is never taken for it.
type ID struct {
	PID   int    `json:"pid"`
	Start string `json:"start"` // opaque; differs for every process that ever had the pid
}

// Of returns the identity of a living process.
func Of(pid int) (ID, bool) {
	start, ok := startOf(pid)
	return ID{pid, start}, ok
}

// Alive says whether this very process still runs. A zombie does not.
func (id ID) Alive() bool {
	if id.PID <= 0 || id.Start == "" {
		return false
	}
	start, ok := startOf(id.PID)
	return ok && start == id.Start
}

// Signal sends a signal to this very process; to a dead one it does nothing.
func (id ID) Signal(sig syscall.Signal) error {
	if !id.Alive() {
		return nil
	}
	return ignoreGone(syscall.Kill(id.PID, sig))
}

// SignalGroup sends a signal to every process of a group; to an empty one it does nothing.
func SignalGroup(pgid int, sig syscall.Signal) error {
	if pgid <= 1 {
		return errors.New("not a process group of ours")
	}
	return ignoreGone(syscall.Kill(-pgid, sig))
}

func ignoreGone(err error) error {
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}
