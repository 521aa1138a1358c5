package dispatch_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/launchplan/launch/harness/dispatch"
	"github.com/launchplan/launch/harness/wire"
)

// simStore is the store as one dispatcher reaches it. Others may write in between.
type simStore struct {
	w    *world
	from int
}

func (s *simStore) Write(_ context.Context, writes []dispatch.Write) ([]dispatch.Result, error) {
	w := s.w
	if !w.kind && !w.writing && w.chance(20) {
		w.writing = true
		w.step(1-s.from, nil)
		w.writing = false
	}
	fails := !w.kind && w.chance(2)
	results := make([]dispatch.Result, len(writes))
	for i, wr := range writes {
		if fails && w.chance(50) {
			continue
		}
		before := w.store[wr.Key]
		if before.Revision != wr.Revision {
			results[i].Conflict = true
			continue
		}
		next := dispatch.Observed{Key: wr.Key, Value: wr.Value, Deleted: wr.Delete, Revision: uint64(len(w.log) + 1)}
		w.store[wr.Key] = next
		w.log = append(w.log, next)
		results[i].Revision = next.Revision
		w.check(s.from, before, next)
	}
	if fails {
		return nil, errors.New("the broker is away")
	}
	return results, nil
}

func (s *simStore) Read(_ context.Context, key string) (dispatch.Observed, error) {
	o, ok := s.w.store[key]
	if !ok {
		return dispatch.Observed{Key: key, Deleted: true}, nil
	}
	return o, nil
}

// check holds a write against what must be true at every moment.
func (w *world) check(from int, before, next dispatch.Observed) {
	switch {
	case strings.HasPrefix(next.Key, "agent.") && !next.Deleted:
		a := decode[wire.Agent](next)
		w.note("dispatcher %d: agent %s has %v", from, a.Name, a.Assigned)
		if len(a.Assigned) > a.Slots {
			w.fail("agent %s has %d processes in %d slots", a.Name, len(a.Assigned), a.Slots)
		}
	case strings.HasPrefix(next.Key, "process.") && !next.Deleted:
		p := decode[wire.Process](next)
		w.note("dispatcher %d: %s is %v, round %d, on %s (%s)", from, p.ID, p.State, p.Round, p.Agent, p.Reason)
		if before.Revision != 0 && !before.Deleted {
			if string(before.Value) == string(next.Value) {
				return // a fence
			}
			old := decode[wire.Process](before)
			if p.Round < old.Round || p.Round == old.Round && p.State < old.State {
				w.fail("process %s went from %v, round %d, back to %v, round %d", p.ID, old.State, old.Round, p.State, p.Round)
			}
		}
		if p.State == wire.Assigned {
			a := decode[wire.Agent](w.store[wire.AgentKey(p.Agent)])
			if !slices.Contains(a.Assigned, wire.Target{ID: p.ID, Round: p.Round}) {
				w.fail("process %s was assigned to %s without a slot", p.ID, p.Agent)
			}
		}
	}
}

func decode[T any](o dispatch.Observed) T {
	var v T
	if o.Value != nil && !o.Deleted {
		if err := json.Unmarshal(o.Value, &v); err != nil {
			panic(err)
		}
	}
	return v
}
