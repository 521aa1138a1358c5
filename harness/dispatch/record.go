package dispatch

import (
	"encoding/json"
	"reflect"
)

// A record is kept as the store has it and as the present step wants it.
type record[T any] struct {
	key      string
	revision uint64
	exists   bool // in the store
	stored   T
	wanted   T
	wants    bool // to exist
	marked   bool // in Core.dirty
	epitaph  bool // its deletion keeps what was wanted last
	forced   bool // to be written even though nothing changes, as a fence
}

// pending is a record of any type that a step has touched.
type pending interface {
	name() string
	mark() bool
	unmark()
	changed() bool
	intent() Write
	settle(revision uint64)
	drop()
}

func recordOf[T any](all map[string]*record[T], key, name string) *record[T] {
	r := all[name]
	if r == nil {
		r = &record[T]{key: key}
		all[name] = r
	}
	return r
}

// find returns the wanted value of a record that is to exist.
func find[T any](all map[string]*record[T], name string) (T, bool) {
	if r := all[name]; r != nil && r.wants {
		return r.wanted, true
	}
	var none T
	return none, false
}

func (r *record[T]) name() string { return r.key }

// mark says whether the record was not marked before.
func (r *record[T]) mark() bool {
	was := r.marked
	r.marked = true
	return !was
}

func (r *record[T]) unmark() { r.marked = false }

func (r *record[T]) set(v T) { r.wanted, r.wants = v, true }

// observe takes over what the store has, unless it is older than what is known.
func (r *record[T]) observe(o Observed) bool {
	if o.Revision <= r.revision && r.revision != 0 {
		return false
	}
	var v T
	exists := !o.Deleted && o.Revision != 0
	if json.Unmarshal(o.Value, &v) != nil {
		// Not written by us. It stays as it is, and as if it were not there;
		// its revision is known, so that a new record can replace it.
		exists = false
		v = *new(T)
	}
	r.revision, r.exists, r.stored = o.Revision, exists, v
	r.wanted, r.wants, r.epitaph = v, exists, o.Deleted && len(o.Value) > 0
	return true
}

func (r *record[T]) changed() bool {
	if r.forced || r.exists != r.wants {
		return true
	}
	return r.wants && !reflect.DeepEqual(r.stored, r.wanted)
}

func (r *record[T]) intent() Write {
	w := Write{Key: r.key, Delete: !r.wants, Revision: r.revision}
	if r.wants || r.epitaph {
		data, err := json.Marshal(r.wanted)
		if err != nil {
			panic(err) // our own types
		}
		w.Value = data
	}
	return w
}

func (r *record[T]) settle(revision uint64) {
	r.revision, r.exists, r.stored, r.forced = revision, r.wants, r.wanted, false
}

// drop gives up what was wanted; the present record is about to be observed.
func (r *record[T]) drop() {
	r.wanted, r.wants, r.forced = r.stored, r.exists, false
	r.revision = 0
}
