package state

import "slices"

// Status is where a service stands. The transition table is services, below.
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

// services returns where a service may go from status, nil for one that is not a status.
//
// A status that names work may follow itself: that is an intent said again, by a command that goes
// on after a crash or makes a new attempt. Nothing becomes ready but by verifying.
func services(status Status) []Status {
	switch status {
	case Pending: // skips what its plan does not ask for: a host, a boot program. Failed: what it needs could not be evaluated
		return []Status{Provisioning, Connecting, Booting, Verifying, Skipped, Failed, Terminating, Terminated}
	case Provisioning:
		return []Status{Provisioning, Connecting, Booting, Verifying, Failed, Terminating}
	case Connecting:
		return []Status{Connecting, Booting, Verifying, Failed, Terminating}
	case Booting: // itself: a retry, or the attempt after an interrupt
		return []Status{Booting, Verifying, Failed, Terminating}
	case Verifying:
		return []Status{Verifying, Ready, Failed, Terminating}
	case Ready: // verifying: status and resume. Booting: repair and reload of one whose host stays
		return []Status{Verifying, Booting, Failed, Terminating}
	case Failed: // resume and repair go on from the phase that failed, or from an earlier one. Itself: it fails again before it gets there
		return []Status{Failed, Provisioning, Connecting, Booting, Verifying, Terminating}
	case Skipped: // what it waited for is there now; or it ends, never having begun
		return []Status{Pending, Provisioning, Connecting, Booting, Verifying, Terminating, Terminated}
	case Terminating: // failed: something of it is left
		return []Status{Terminating, Terminated, Failed}
	case Terminated: // repair and reload bring it up anew, from the beginning
		return []Status{Pending}
	}
	return nil
}

// CanBecome says whether the transition table has a way from s to next.
func (s Status) CanBecome(next Status) bool { return slices.Contains(services(s), next) }

// Valid says whether s is one of the statuses above.
func (s Status) Valid() bool { return services(s) != nil }

// RunStatus is where a run stands. The transition table is runs, below.
type RunStatus string

const (
	RunBooting     RunStatus = "booting"
	RunReady       RunStatus = "ready"
	RunFailed      RunStatus = "failed"
	RunInterrupted RunStatus = "interrupted"
	RunTerminating RunStatus = "terminating"
	RunTerminated  RunStatus = "terminated"
)

// runs returns where a run may go from status. The second result is false for one that is not a status.
func runs(status RunStatus) ([]RunStatus, bool) {
	switch status {
	case RunBooting: // itself: resume after the command that booted it died
		return []RunStatus{RunBooting, RunReady, RunFailed, RunInterrupted, RunTerminating}, true
	case RunReady: // booting: repair and reload. Failed: a verification found something
		return []RunStatus{RunBooting, RunFailed, RunInterrupted, RunTerminating}, true
	case RunFailed: // ready: a later verification found everything well
		return []RunStatus{RunBooting, RunReady, RunInterrupted, RunTerminating}, true
	case RunInterrupted: // ready, failed: a status that verifies
		return []RunStatus{RunBooting, RunReady, RunFailed, RunTerminating}, true
	case RunTerminating: // itself: terminate again. Failed: something is left. Interrupted: the operator stopped the terminate
		return []RunStatus{RunTerminating, RunTerminated, RunFailed, RunInterrupted}, true
	case RunTerminated: // for good: its name may belong to another run by now
		return nil, true
	}
	return nil, false
}

// CanBecome says whether the transition table has a way from s to next.
func (s RunStatus) CanBecome(next RunStatus) bool {
	ways, _ := runs(s)
	return slices.Contains(ways, next)
}

// Valid says whether s is one of the statuses above.
func (s RunStatus) Valid() bool {
	_, known := runs(s)
	return known
}
