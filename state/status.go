package state

import "slices"

// Status is where a service stands. The transition table is next, below.
type Status string

const (
	Pending      Status = "pending"
	Provisioning Status = "provisioning"
	Connecting   Status = "connecting"
	Booting      Status = "booting"
	Verifying    Status = "verifying"
	Ready        Status = "ready"
	Failed       Status = "failed"
	Terminating  Status = "terminating"
	Terminated   Status = "terminated"
	Skipped      Status = "skipped"
)

// next returns where a service may go from s, nil for one that is not a status.
//
// Where a status may follow itself, that is an intent said again, by a command that goes
// on after a crash or makes a new attempt. Nothing becomes ready but by verifying.
func (s Status) next() []Status {
	switch s {
	case Pending: // past what its plan does not ask for: a host, a boot program. Failed: what it needs could not be evaluated
		return []Status{Provisioning, Connecting, Booting, Verifying, Skipped, Failed, Terminating, Terminated}
	case Provisioning: // verifying: a pool. Booting: a reload has it on this machine, or on the host of another service
		return []Status{Connecting, Booting, Verifying, Failed, Terminating}
	case Connecting:
		return []Status{Connecting, Booting, Verifying, Failed, Terminating}
	case Booting: // itself: a retry, or the attempt after an interrupt
		return []Status{Booting, Verifying, Failed, Terminating}
	case Verifying: // booting: as of one that is ready
		return []Status{Ready, Booting, Failed, Terminating}
	case Ready: // verifying: resume. Booting: repair and reload of a pool, which is adjusted in place
		return []Status{Verifying, Booting, Failed, Terminating}
	case Failed: // resume and repair go on from the phase that failed, or from an earlier one. Itself: it fails again before it gets there
		return []Status{Failed, Provisioning, Connecting, Booting, Verifying, Terminating}
	case Skipped: // pending: its turn may come with the next command
		return []Status{Pending, Terminating, Terminated}
	case Terminating: // failed: something of it is left
		return []Status{Terminating, Terminated, Failed}
	case Terminated: // it is brought up anew, from the beginning
		return []Status{Pending}
	}
	return nil
}

// CanBecome says whether the transition table has a way from s to next.
func (s Status) CanBecome(next Status) bool { return slices.Contains(s.next(), next) }

// Valid says whether s is one of the statuses above.
func (s Status) Valid() bool { return s.next() != nil }

// RunStatus is where a run stands. The transition table is next, below.
type RunStatus string

const (
	RunBooting     RunStatus = "booting"
	RunReady       RunStatus = "ready"
	RunFailed      RunStatus = "failed"
	RunInterrupted RunStatus = "interrupted"
	RunTerminating RunStatus = "terminating"
	RunTerminated  RunStatus = "terminated"
)

// next returns where a run may go from s, nil for one that is not a status.
func (s RunStatus) next() []RunStatus {
	switch s {
	case RunBooting: // itself: resume after the command that booted it died, or a reload
		return []RunStatus{RunBooting, RunReady, RunFailed, RunInterrupted, RunTerminating}
	case RunReady: // booting: something is brought up again. Failed, interrupted: a verification found something, or was stopped then
		return []RunStatus{RunBooting, RunFailed, RunInterrupted, RunTerminating}
	case RunFailed: // ready: a later verification found everything well. Interrupted: so did one of a run that stops after a level
		return []RunStatus{RunBooting, RunReady, RunInterrupted, RunTerminating}
	case RunInterrupted:
		return []RunStatus{RunBooting, RunTerminating}
	case RunTerminating: // itself: something is left, or terminate again. It goes back from there to nothing
		return []RunStatus{RunTerminating, RunTerminated}
	case RunTerminated: // for good: its name may belong to another run by now
		return []RunStatus{}
	}
	return nil
}

// CanBecome says whether the transition table has a way from s to next.
func (s RunStatus) CanBecome(next RunStatus) bool { return slices.Contains(s.next(), next) }

// Valid says whether s is one of the statuses above.
func (s RunStatus) Valid() bool { return s.next() != nil }
