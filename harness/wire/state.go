package wire

import (
	"fmt"
	"slices"
)

// State is where a process stands in its round. The zero State is not valid.
type State uint8

// The states, in the order in which a round goes through them.
const (
	Unscheduled State = iota + 1
	UnscheduledPending
	Requested
	DiedRequested
	Waiting
	Assigned
	Pending
	Running
	Terminating
	Terminated
	Exited
	Failed
	Rejected
)

var stateNames = [...]string{
	Unscheduled:        "UNSCHEDULED",
	UnscheduledPending: "UNSCHEDULED_PENDING",
	Requested:          "REQUESTED",
	DiedRequested:      "DIED_REQUESTED",
	Waiting:            "WAITING",
	Assigned:           "ASSIGNED",
	Pending:            "PENDING",
	Running:            "RUNNING",
	Terminating:        "TERMINATING",
	Terminated:         "TERMINATED",
	Exited:             "EXITED",
	Failed:             "FAILED",
	Rejected:           "REJECTED",
}

// sameRound lists where a process may go without a new round: forwards only.
var sameRound = map[State][]State{
	UnscheduledPending: {Requested, Terminated},
	Requested:          {Waiting, Assigned, Terminated, Failed, Rejected},
	DiedRequested:      {Waiting, Assigned, Terminated, Failed, Rejected},
	Waiting:            {Assigned, Terminated, Failed, Rejected},
	Assigned:           {Pending, Running, Terminating, Terminated, Exited, Failed, Rejected},
	Pending:            {Running, Terminating, Terminated, Exited, Failed, Rejected},
	Running:            {Terminating, Terminated, Exited, Failed},
	Terminating:        {Terminated, Exited, Failed},
}

// nextRound lists where a process may go with the next round: a rest ends by a
// request, a life by a death that calls for a restart.
var nextRound = map[State][]State{
	Unscheduled: {Requested},
	Terminated:  {Requested},
	Exited:      {Requested},
	Failed:      {Requested},
	Rejected:    {Requested},
	Assigned:    {DiedRequested, UnscheduledPending},
	Pending:     {DiedRequested, UnscheduledPending},
	Running:     {DiedRequested, UnscheduledPending},
	Terminating: {DiedRequested, UnscheduledPending},
}

// CanMove says whether a process may go from one state and round to another.
func CanMove(from State, round int, to State, toRound int) bool {
	switch toRound {
	case round:
		return slices.Contains(sameRound[from], to)
	case round + 1:
		return slices.Contains(nextRound[from], to)
	}
	return false
}

// Resting says that nothing happens to the process until someone asks for it.
func (s State) Resting() bool { return s == Unscheduled || s >= Terminated }

// Queued says that the process is to be matched with a slot.
func (s State) Queued() bool { return s == Requested || s == DiedRequested || s == Waiting }

// Placed says that the process holds a slot of an agent.
func (s State) Placed() bool { return s >= Assigned && s <= Terminating }

func (s State) String() string {
	if s == 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", uint8(s))
	}
	return stateNames[s]
}

// ParseState reads the name of a state.
func ParseState(name string) (State, error) {
	if i := slices.Index(stateNames[:], name); i > 0 {
		return State(i), nil
	}
	return 0, fmt.Errorf("%q is not a process state; the states are %v", name, stateNames[1:])
}

// MarshalText writes the state's name; the zero State is an error.
func (s State) MarshalText() ([]byte, error) {
	if s == 0 || int(s) >= len(stateNames) {
		return nil, fmt.Errorf("%v cannot be written", s)
	}
	return []byte(stateNames[s]), nil
}

// UnmarshalText reads what MarshalText wrote.
func (s *State) UnmarshalText(text []byte) error {
	if len(text) > 32 {
		text = text[:32]
	}
	parsed, err := ParseState(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

// Queueing says what becomes of a process for which there is no slot.
type Queueing string

// The queueing modes.
const (
	QueueAlways      Queueing = "ALWAYS"
	QueueNever       Queueing = "NEVER"
	QueueStartOnly   Queueing = "START_ONLY"
	QueueRestartOnly Queueing = "RESTART_ONLY"
)

// Waits says whether a process that has been started so many times waits for room.
func (q Queueing) Waits(starts int) bool {
	switch q {
	case QueueNever:
		return false
	case QueueStartOnly:
		return starts == 0
	case QueueRestartOnly:
		return starts > 0
	}
	return true
}

// Restart says whether a process that ended is started again.
type Restart string

// The restart modes.
const (
	RestartAbnormal Restart = "ABNORMAL"
	RestartAlways   Restart = "ALWAYS"
	RestartNever    Restart = "NEVER"
)

// After says whether a process that ended, with status 0 or not, is started again.
func (r Restart) After(clean bool) bool {
	switch r {
	case RestartAlways:
		return true
	case RestartNever:
		return false
	}
	return !clean
}
