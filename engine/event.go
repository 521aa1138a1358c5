package engine

import (
	"sync"
	"time"

	"github.com/launchplan/launch/state"
)

// An Event is one thing that happened, as observers are told it. It encodes to
// the lines of `-o json`.
type Event struct {
	Type    string    `json:"type"`
	At      time.Time `json:"at"`
	Run     string    `json:"run,omitempty"`
	Level   string    `json:"level,omitempty"`
	Service string    `json:"service,omitempty"`
	Status  string    `json:"status,omitempty"`
	Attempt int       `json:"attempt,omitempty"`
	Text    string    `json:"text,omitempty"`
	Host    string    `json:"host,omitempty"`
	Failure *Failure  `json:"failure,omitempty"`
}

// Types of events.
const (
	EventRun     = "run"     // the run has a new status
	EventService = "service" // a service has
	EventNote    = "note"    // worth a line
	EventOutput  = "output"  // the last line of what a slow program wrote; not kept
)

func serviceEvent(row state.Service, failure *Failure, cause string) Event {
	e := Event{
		Type: EventService, At: row.Since, Level: row.Level, Service: row.Address,
		Status: string(row.Status), Attempt: row.Attempt, Host: row.Host, Text: cause,
	}
	if row.Status == state.Failed {
		e.Failure = failure
	}
	return e
}

// announcer tells the observer of events when they are durable, in order, from one goroutine.
type announcer struct {
	queue chan announcement
	done  sync.WaitGroup
}

type announcement struct {
	ticket state.Ticket
	wait   bool
	event  Event
}

func newAnnouncer(observe func(Event)) *announcer {
	a := &announcer{queue: make(chan announcement, 1024)}
	a.done.Go(func() {
		for n := range a.queue {
			if n.wait {
				<-n.ticket.Done() // without hurrying the writer: nothing depends on when observers hear of it
			}
			if n.wait && n.ticket.Wait() != nil {
				continue // it did not happen as far as anyone can tell; whoever wrote it reports why
			}
			if observe != nil {
				observe(n.event)
			}
		}
	})
	return a
}

func (a *announcer) announce(ticket state.Ticket, e Event) {
	a.queue <- announcement{ticket: ticket, wait: true, event: stamped(e)}
}

// tell passes on what is not kept.
func (a *announcer) tell(e Event) {
	a.queue <- announcement{event: stamped(e)}
}

func stamped(e Event) Event {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	return e
}

// close returns when everything announced was told.
func (a *announcer) close() {
	close(a.queue)
	a.done.Wait()
}
