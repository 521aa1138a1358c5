package dispatch_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/launchplan/launch/harness/dispatch"
	"github.com/launchplan/launch/harness/wire"
)

func room(agent string, slots, free int, properties ...string) dispatch.Room {
	node, _, _ := strings.Cut(agent, "-")
	r := dispatch.Room{Agent: agent, Node: node, Slots: slots, Free: free, Properties: map[string]string{"engine": "default", "node": node}}
	for _, p := range properties {
		k, v, _ := strings.Cut(p, "=")
		r.Properties[k] = v
	}
	return r
}

func closed(r dispatch.Room, why string) dispatch.Room {
	r.Closed = why
	return r
}

// TestPlaces has one process after the other placed: on which agents, until there is no room.
func TestPlaces(t *testing.T) {
	onDefault := wire.Values{"default"}
	for name, test := range map[string]struct {
		rooms []dispatch.Room
		tags  map[string]map[string]bool
		want  dispatch.Wanted
		on    string
	}{
		"an empty node is filled before the next is begun": {
			rooms: []dispatch.Room{room("a-1", 2, 2), room("b-1", 2, 2)},
			want:  dispatch.Wanted{Engines: onDefault},
			on:    "a-1 a-1 b-1 b-1",
		},
		"partly occupied nodes first, the one with the fewest free slots first": {
			rooms: []dispatch.Room{room("a-1", 2, 2), room("b-1", 4, 3), room("c-1", 8, 2)},
			want:  dispatch.Wanted{Engines: onDefault},
			on:    "c-1 c-1 b-1 b-1 b-1 a-1 a-1",
		},
		"within a node, the agent with the most free slots": {
			rooms: []dispatch.Room{room("a-1", 1, 1), room("a-2", 3, 3)},
			want:  dispatch.Wanted{Engines: onDefault},
			on:    "a-2 a-2 a-1 a-2",
		},
		"slots of an agent that takes nothing are not free": {
			rooms: []dispatch.Room{room("a-1", 2, 1), closed(room("a-2", 8, 8), "it is disabled"), room("b-1", 4, 2)},
			want:  dispatch.Wanted{Engines: onDefault},
			on:    "a-1 b-1 b-1",
		},
		"a node whose used agent takes nothing is occupied all the same": {
			rooms: []dispatch.Room{room("a-1", 2, 2), room("b-1", 2, 2), closed(room("b-2", 2, 1), "it is disabled")},
			want:  dispatch.Wanted{Engines: onDefault},
			on:    "b-1 b-1 a-1 a-1",
		},
		"the engine always counts, and may be one of several": {
			rooms: []dispatch.Room{room("a-1", 1, 1), room("b-1", 1, 1, "engine=fast"), room("c-1", 1, 1, "engine=slow")},
			want:  dispatch.Wanted{Engines: wire.Values{"fast", "slow"}},
			on:    "b-1 c-1",
		},
		"a property that is missing does not match": {
			rooms: []dispatch.Room{room("a-1", 1, 1), room("b-1", 1, 1, "disk=ssd"), room("c-1", 1, 1, "disk=nvme"), room("d-1", 1, 1, "disk=tape")},
			want:  dispatch.Wanted{Engines: onDefault, Constraints: map[string]wire.Values{"disk": {"ssd", "nvme"}}},
			on:    "b-1 c-1",
		},
		"all constraints count": {
			rooms: []dispatch.Room{room("a-1", 1, 1, "disk=ssd"), room("b-1", 1, 1, "disk=ssd", "rack=r"), room("c-1", 1, 1, "rack=r")},
			want:  dispatch.Wanted{Engines: onDefault, Constraints: map[string]wire.Values{"disk": {"ssd"}, "rack": {"r"}}},
			on:    "b-1",
		},
		"one with a tag on each node": {
			rooms: []dispatch.Room{room("a-1", 2, 2), room("a-2", 2, 2), room("b-1", 2, 2), room("c-1", 2, 2)},
			tags:  map[string]map[string]bool{"b": {"tag": true}},
			want:  dispatch.Wanted{Engines: onDefault, NodeExclusive: "tag"},
			on:    "c-1 a-1",
		},
		"an agent with more processes than slots has no room": {
			rooms: []dispatch.Room{room("a-1", 2, -1), room("b-1", 2, 1)},
			want:  dispatch.Wanted{Engines: onDefault},
			on:    "b-1",
		},
	} {
		m := dispatch.NewMatching(test.rooms, test.tags)
		var on []string
		for agent, ok := m.Place(test.want); ok; agent, ok = m.Place(test.want) {
			on = append(on, agent)
		}
		if diff := cmp.Diff(test.on, strings.Join(on, " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
