package engine

import (
	"encoding/json"

	"github.com/launchplan/launch/state"
)

// A Summary is what a command leaves a run in.
type Summary struct {
	Run      string                     `json:"run"`
	ID       string                     `json:"id"`
	Status   state.RunStatus            `json:"status"`
	Services map[state.Status]int       `json:"services"` // how many there are in each status
	Failed   []*Failure                 `json:"failed"`
	Outputs  map[string]json.RawMessage `json:"outputs"`

	// Unrecorded says that the store broke before all of this was in it, so that the next command may find it otherwise.
	Unrecorded bool `json:"unrecorded,omitempty"`
}

// Statuses are those of the services that the run's plan has, by address.
func (s *Session) Statuses() map[string]state.Status {
	statuses := make(map[string]state.Status, len(s.services))
	for _, svc := range s.services {
		statuses[svc.address()] = svc.status()
	}
	return statuses
}

// Summary counts the run's services.
func (s *Session) Summary() Summary {
	run := s.Run()
	sum := Summary{
		Run: run.Name, ID: run.ID, Status: run.Status,
		Services: map[state.Status]int{}, Failed: s.failures(), Outputs: map[string]json.RawMessage{},
	}
	if sum.Failed == nil {
		sum.Failed = []*Failure{}
	}
	for _, svc := range s.services {
		sum.Services[svc.status()]++
	}
	for _, svc := range s.gone {
		if st := svc.status(); st != state.Terminated { // it is no longer in the plan, but still in the way
			sum.Services[st]++
		}
	}
	if len(run.Outputs) > 0 {
		json.Unmarshal(run.Outputs, &sum.Outputs) // our own encoding; where it is damaged, none are shown
	}
	return sum
}
