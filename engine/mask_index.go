package engine

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// startLength is by how many of their first bytes an index knows patterns. No secret is shorter.
const startLength = 4

// An index finds out which of many patterns stand where in a text. Patterns can be added at any time. Most places of a
// text are passed by with a look at the filter, so the number of patterns hardly matters.
type index struct {
	filter  []uint64            // a bit for each hash of a start
	shift   int                 // makes a hash of 32 bits one of the filter's size
	starts  map[uint32][][]byte // patterns by their first bytes, in their order
	begins  map[string]bool     // less than the first startLength bytes of each pattern
	longest int
}

func (x *index) add(text string) {
	if len(text) < startLength {
		return
	}
	pattern := []byte(text)
	key := binary.LittleEndian.Uint32(pattern)
	same := x.starts[key]
	at, known := slices.BinarySearchFunc(same, pattern, bytes.Compare)
	if known {
		return
	}
	if x.starts == nil {
		x.starts, x.begins = map[uint32][][]byte{}, map[string]bool{}
	}
	x.starts[key] = slices.Insert(same, at, pattern)
	x.longest = max(x.longest, len(pattern))
	if len(same) > 0 {
		return
	}
	for n := 1; n < startLength; n++ {
		x.begins[text[:n]] = true
	}
	if len(x.starts) > len(x.filter) { // one place in 64 or fewer is looked at for nothing
		x.growFilter()
	}
	x.mark(key)
}

// growFilter makes room for what will be added next, too.
func (x *index) growFilter() {
	size := max(1024, 4*len(x.filter))
	x.filter, x.shift = make([]uint64, size), 32
	for bits := size * 64; bits > 1; bits /= 2 {
		x.shift--
	}
	for key := range x.starts {
		x.mark(key)
	}
}

func (x *index) mark(key uint32) {
	h := hash(key, x.shift)
	x.filter[h/64] |= 1 << (h % 64)
}

// search tells found what patterns cover of text, in order. It returns where what may be the beginning of another one starts,
// the length of the text where there is none. A whole text has no such beginning.
func (x *index) search(text []byte, whole bool, found func(from, to int)) (open int) {
	if x.longest == 0 {
		return len(text)
	}
	filter, shift := x.filter, x.shift
	covered := span{-1, -1}
	defer func() {
		if covered.to > 0 {
			found(covered.from, covered.to)
		}
	}()
	for i := 0; i+startLength <= len(text); i++ {
		key := binary.LittleEndian.Uint32(text[i:])
		if h := hash(key, shift); filter[h/64]&(1<<(h%64)) == 0 {
			continue
		}
		length, begun := x.longestAt(key, text[i:])
		if begun && !whole {
			return i
		}
		switch {
		case length == 0:
		case i < covered.to:
			covered.to = max(covered.to, i+length)
		default:
			if covered.to > 0 {
				found(covered.from, covered.to)
			}
			covered = span{i, i + length}
		}
	}
	for i := max(0, len(text)-startLength+1); i < len(text) && !whole; i++ {
		if x.begins[string(text[i:])] {
			return i
		}
	}
	return len(text)
}

// longestAt returns the length of the longest pattern with which rest begins, 0 for none. begun says that all of rest
// is the beginning of a pattern.
func (x *index) longestAt(key uint32, rest []byte) (length int, begun bool) {
	patterns := x.starts[key]
	text := rest[:min(len(rest), x.longest)]
	after, equal := slices.BinarySearchFunc(patterns, text, bytes.Compare)
	if equal {
		after++
	}
	begun = after < len(patterns) && len(text) == len(rest) && bytes.HasPrefix(patterns[after], text)
	// A pattern with which text begins is the last one before text in the order, or that one begins with it, too.
	for after > 0 {
		before := patterns[after-1]
		n := commonLength(before, text)
		if n == len(before) {
			return n, begun
		}
		text = text[:n]
		if after, equal = slices.BinarySearchFunc(patterns[:after], text, bytes.Compare); equal {
			after++
		}
	}
	return 0, begun
}

// hash is Knuth's multiplicative one.
func hash(key uint32, shift int) uint32 { return key * 2654435761 >> shift }

func commonLength(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
