// Package minder keeps the processes of one agent. The minder is a small program
// of its own, the parent of the processes: when the agent dies, they and their exit
// statuses are still looked after, and the restarted agent learns them. It costs
// one process per agent, and no exec more per process.
package minder

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/launchplan/launch/harness/wire"
	"github.com/launchplan/launch/internal/proc"
)

// A Process is what the minder knows of one process in one round.
type Process struct {
	wire.Target
	Proc       proc.Identity `json:"proc"`
	State      State         `json:"state"`
	StartedAt  time.Time     `json:"started_at,omitzero"`
	EndedAt    time.Time     `json:"ended_at,omitzero"`
	ExitStatus *int          `json:"exit_status,omitempty"` // null: unknown
	Signal     string        `json:"signal,omitempty"`
	Reason     string        `json:"reason,omitempty"`
	Permanent  bool          `json:"permanent,omitempty"` // it could not be started, and never can
	Stopped    bool          `json:"stopped,omitempty"`   // it was told to end
}

// State is where a process of a minder stands.
type State string

// The states.
const (
	Starting  State = "starting" // recorded before the fork, so that no start is forgotten
	Running   State = "running"
	Ended     State = "ended"
	Forgotten State = "forgotten"
)

// Start says what to run.
type Start struct {
	wire.Target
	Argv []string `json:"argv"`
	Env  []string `json:"env"` // on top of the minder's own
	Dir  string   `json:"dir"`
	Log  string   `json:"log"` // a file to which the output is appended
}

// Stop asks a process's group to end, and kills it when it does not in time.
type Stop struct {
	wire.Target
	Timeout wire.Duration `json:"timeout"`
}

// command is a line from the agent to the minder; one field is set.
type command struct {
	Start  *Start       `json:"start,omitempty"`
	Stop   *Stop        `json:"stop,omitempty"`
	Forget *wire.Target `json:"forget,omitempty"`
}

// event is a line from the minder to the agent. The first after a connection has All.
type event struct {
	All     []Process `json:"all,omitempty"`
	First   bool      `json:"first,omitempty"`
	Process *Process  `json:"process,omitempty"`
}

// Files in an agent's directory.
const (
	socketName  = "minder.sock"
	lockName    = "minder.lock"
	pidName     = "minder.pid"
	journalName = "minder.journal"
)

// ReadJournal returns the processes of a minder's journal, the last word on each.
// Lines that were cut off, by a crash or a full disk, are left out, and it is not whole.
func ReadJournal(data []byte) (known []Process, whole bool) {
	whole = true
	last := map[wire.Target]int{}
	var list []Process
	for line := range bytes.Lines(data) {
		var p Process
		if json.Unmarshal(line, &p) != nil || p.ID == "" {
			whole = false
			continue
		}
		if i, ok := last[p.Target]; ok {
			list[i] = p
		} else {
			last[p.Target] = len(list)
			list = append(list, p)
		}
	}
	return slices.DeleteFunc(list, func(p Process) bool { return p.State == Forgotten }), whole
}

// Ran says whether a minder has run for the agent with this directory.
func Ran(dir string) bool {
	for _, name := range []string{pidName, journalName} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// Identity returns the minder that last ran for the agent with this directory.
func Identity(dir string) (proc.Identity, bool) { return proc.Read(filepath.Join(dir, pidName)) }

// Left returns the processes of an agent's journal that may be alive.
func Left(dir string) []proc.Identity {
	data, err := os.ReadFile(filepath.Join(dir, journalName))
	if err != nil {
		return nil
	}
	var left []proc.Identity
	known, _ := ReadJournal(data)
	for _, p := range known {
		if p.State == Running {
			left = append(left, p.Proc)
		}
	}
	return left
}
