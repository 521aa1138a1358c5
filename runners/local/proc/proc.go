// Package proc tells processes of this machine apart: a pid alone may be reused,
// a pid with the time at which its process began in one boot of the machine may not.
package proc

import "slices"

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
}

// Alive tells whether the very process still runs. A zombie has ended.
func (id Identity) Alive() bool {
	if id.PID <= 0 || id.Start == 0 || id.Boot != BootID() {
		return false
	}
	p, err := Find(id.PID)
	return err == nil && p.Start == id.Start && !p.Zombie
}

// Identify returns the identity of the process that has pid now.
func Identify(pid int) Identity {
	id := Identity{PID: pid, Boot: BootID()}
	if p, err := Find(pid); err == nil {
		id.Start = p.Start
	}
	return id
}

// Group returns the living processes of a process group.
func Group(pgid int) []Process {
	return slices.DeleteFunc(All(), func(p Process) bool { return p.Group != pgid || p.Zombie })
}
