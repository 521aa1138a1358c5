// Package proc tells processes of this machine apart: a pid alone may be reused,
// a pid with the time at which its process began in one boot of the machine may not.
package proc

import (
	"cmp"
	"errors"
	"io/fs"
	"iter"
	"slices"
	"syscall"
)

// An Identity names one process for ever.
type Identity struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // when it began, in the system's own unit; 0: not known
	Boot  string `json:"boot"`  // of the machine
}

// A Process is what the system tells about one.
type Process struct {
	PID, Parent, Group, Session int
	Start                       uint64
	Zombie                      bool
	Frozen                      bool // a signal has stopped it, and none has had it go on
}

// Identify returns the identity of the process that has pid now.
func Identify(pid int) Identity {
	p, err := Find(pid)
	if err != nil {
		p = Process{PID: pid}
	}
	return p.Identity()
}

// Identity is the process's, for later.
func (p Process) Identity() Identity { return Identity{PID: p.PID, Start: p.Start, Boot: BootID()} }

// Alive tells whether the very process still runs. A zombie has ended. One that cannot
// be looked at now, for want of a file descriptor, must not be taken for ended.
func (id Identity) Alive() bool {
	if id.PID <= 0 || id.Start == 0 || id.Boot != BootID() {
		return false
	}
	p, err := Find(id.PID)
	if err != nil {
		return !Gone(err)
	}
	return p.Start == id.Start && !p.Zombie
}

// Frozen tells whether the very process is there, but stopped by a signal.
func (id Identity) Frozen() bool {
	p, err := Find(id.PID)
	return err == nil && p.Identity() == id && p.Frozen
}

// Gone tells of an error of Find that there is no such process, not that it could not be looked at.
func Gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) }

// Signal sends a signal to the very process; to one that has ended it does nothing.
func (id Identity) Signal(sig syscall.Signal) error {
	p, err := Find(id.PID)
	switch {
	case err != nil && !Gone(err):
		return err
	case err != nil, p.Identity() != id, p.Zombie:
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

// InSessions returns the living processes of some sessions.
func InSessions(sids map[int]bool) []Process {
	if len(sids) == 0 {
		return nil
	}
	all, _ := All() // those that can be looked at
	return slices.DeleteFunc(all, func(p Process) bool { return !sids[p.Session] || p.Zombie })
}

// WithVariables finds the living processes that were started with every one of the
// variables (NAME=value) in their environment, the oldest first. It finds nothing
// where HasVariables cannot know.
func WithVariables(variables ...string) iter.Seq[Process] {
	return func(yield func(Process) bool) {
		if !CanFindVariables {
			return
		}
		all, _ := All() // those that can be looked at
		slices.SortFunc(all, func(a, b Process) int { return cmp.Or(cmp.Compare(a.Start, b.Start), a.PID-b.PID) })
		for _, p := range all {
			if p.Zombie {
				continue
			}
			if has, _ := HasVariables(p.PID, variables...); has && !yield(p) {
				return
			}
		}
	}
}
