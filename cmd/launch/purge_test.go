//go:build unix

package main

import (
	"fmt"
	"strings"
	"testing"
)

// Purges of all ended runs do not stand in each other's way: each run is forgotten by one of them.
func TestPurgesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.plan("p", trivial)
	const runs = 6
	for n := range runs {
		name := fmt.Sprintf("r%d", n)
		w.launch("boot", plan, "-n", name).want(0)
		w.launch("terminate", name).want(0)
	}
	var purges []*running
	for range 4 {
		purges = append(purges, w.begin("purge", "--older-than", "0s"))
	}
	told := 0
	for _, p := range purges {
		told += strings.Count(p.end().want(0).stdout, "is forgotten")
	}
	if told != runs {
		t.Errorf("%d runs were forgotten, not %d", told, runs)
	}
	w.launch("list", "-o", "json").want(0, "[]")
}
