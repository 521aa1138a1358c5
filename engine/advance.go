package engine

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/launchplan/launch/state"
)

// advance is the one function that moves a service to another status: the
// journal's row and the service's own are written together, and observers hear
// of it when both are durable. Waiting on the ticket is for callers that are
// about to do something that others can see; later changes never overtake this one.
func (s *Session) advance(svc *service, to state.Status, cause string) state.Ticket {
	cause = s.masker.message(cause)
	svc.mu.Lock()
	from := svc.row.Status
	svc.row.Status, svc.row.Since = to, time.Now()
	if to != state.Failed {
		svc.row.Error, svc.row.Phase = "", phaseOf(to)
	}
	svc.mu.Unlock()
	row := svc.record()

	ticket := s.writer.Submit(state.Change{
		Event: state.Event{
			Kind: "service", Service: row.Address, From: string(from), To: string(to),
			Attempt: row.Attempt, Cause: cause,
		},
		Service: &row,
	})
	s.news.announce(ticket, serviceEvent(row, svc.note.Failure, cause))
	return ticket
}

// record is the row as the store is to have it, with the note. It is for the service's worker.
func (svc *service) record() state.Service {
	encoded, err := json.Marshal(svc.note)
	if err != nil {
		panic(fmt.Sprintf("encode the detail of %s: %v", svc.address(), err)) // strings and numbers only
	}
	row := svc.snapshot()
	row.Detail = encoded
	return row
}

// fail moves a service to failed with the explanation that operators get.
func (s *Session) fail(svc *service, failure *Failure) error {
	failure.mask(s.masker)
	svc.note.Failure = failure
	svc.mu.Lock()
	svc.row.Error, svc.row.Phase, svc.row.Log = failure.Reason, failure.Phase, failure.Log
	svc.mu.Unlock()
	if err := s.advance(svc, state.Failed, failure.Reason).Wait(); err != nil {
		return err
	}
	return failure
}

// edit changes the row's other columns; they are written with the next advance.
func (svc *service) edit(change func(row *state.Service)) {
	svc.mu.Lock()
	defer svc.mu.Unlock()
	change(&svc.row)
}

// phaseOf is the phase that a status stands for, "" where nothing is under way.
func phaseOf(status state.Status) string {
	switch status {
	case state.Provisioning:
		return PhaseProvision
	case state.Connecting:
		return PhaseConnect
	case state.Booting:
		return PhaseBoot
	case state.Verifying:
		return PhaseVerify
	case state.Terminating:
		return PhaseTerminate
	}
	return ""
}

// Phases of a service, as messages and logs name them.
const (
	PhaseProvision = "provision"
	PhaseConnect   = "connect"
	PhaseBoot      = "boot"
	PhaseVerify    = "verify"
	PhaseTerminate = "terminate"
)
