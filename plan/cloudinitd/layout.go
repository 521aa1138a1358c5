package cloudinitd

import (
	"fmt"
	"slices"
	"strings"
)

// A newLevel is a level of the new plan.
type newLevel struct {
	name     string
	old      *oldLevel
	services []*oldService
	split    bool // the old level became several
}

// layOut makes levels of the old ones. A service that needs a value which another one of its level only has when
// it is up goes into a level of its own after that: cloudinit.d left it to luck who came first.
func (w *writer) layOut() []*newLevel {
	var levels []*newLevel
	names := namer{}
	for _, old := range w.plan.levels {
		byRank := map[int][]*oldService{}
		top := 0
		for _, svc := range old.services {
			rank := w.rank(svc, nil)
			byRank[rank] = append(byRank[rank], svc)
			top = max(top, rank)
		}
		for rank := range top + 1 {
			if len(byRank[rank]) == 0 && len(old.services) > 0 {
				continue
			}
			level := &newLevel{old: old, services: byRank[rank], split: top > 0}
			level.name = names.name(old.key)
			levels = append(levels, level)
		}
	}
	return levels
}

// rank counts the services of the level that svc has to wait for, one after the other.
func (w *writer) rank(svc *oldService, path []*oldService) int {
	if i := slices.Index(path, svc); i >= 0 {
		var names []string
		for _, s := range append(path[i:], svc) {
			names = append(names, s.name)
		}
		w.failOnce(svc.rng, "Services wait for each other", "These services of one level need values of each other that they only have when they are up: %s.", strings.Join(names, " -> "))
		return 0
	}
	if rank, ok := w.ranks[svc]; ok {
		return rank
	}
	rank := 0
	for _, other := range svc.waitsFor {
		rank = max(rank, w.rank(other, append(path, svc))+1)
	}
	if rank > 0 {
		w.warnOnce(svc.rng, "Level split", "[svc-%s] needs a value of %s, which is of the same level and only has it when it is up. So it goes into a level of its own, after that one.", svc.name, quotedNames(svc.waitsFor))
	}
	w.ranks[svc] = rank
	return rank
}

func quotedNames(services []*oldService) string {
	var names []string
	for _, svc := range services {
		names = append(names, fmt.Sprintf("%q", svc.name))
	}
	return strings.Join(names, ", ")
}
