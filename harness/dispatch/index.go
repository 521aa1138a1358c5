package dispatch

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/launchplan/launch/harness/wire"
)

// indexedQuery is a query that is answered when the records were read up to a revision.
type indexedQuery struct {
	msg      *nats.Msg
	revision uint64
}

// index finds out, for queries, how far the records must have been read so that the
// answer has everything that was written before the question, by any dispatcher.
func (s *session) index(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case msg := <-s.queries:
			last, err := s.store.last(ctx)
			if err != nil {
				s.respond(msg, refuse(wire.CodeNotReady, "the records cannot be read: %v", err))
				continue
			}
			select {
			case s.indexed <- indexedQuery{msg, last}:
			case <-ctx.Done():
				return
			}
		}
	}
}

// answerQueries answers those for which enough was read.
func (s *session) answerQueries() {
	kept := s.waiting[:0]
	for _, q := range s.waiting {
		if !s.loaded || s.seen < q.revision {
			kept = append(kept, q)
			continue
		}
		var query wire.Query
		if err := wire.Decode(q.msg.Data, &query); err != nil {
			s.respond(q.msg, refuse(wire.CodeInvalid, "%v", err))
			continue
		}
		s.respond(q.msg, s.core.Query(time.Now(), query))
	}
	s.waiting = kept
}
