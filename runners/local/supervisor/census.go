package supervisor

import (
	"sync"

	"github.com/launchplan/launch/internal/proc"
)

// A census tells the living processes of each group. To know those of one is to
// look at every process of the machine: who asks while that is done shares the next look.
type census struct {
	mu      sync.Mutex
	next    func() map[int][]proc.Process // nil: nobody waits for one
	looking sync.Mutex
}

// take looks at the processes after it was called, never before.
func (c *census) take() map[int][]proc.Process {
	c.mu.Lock()
	if c.next == nil {
		c.next = sync.OnceValue(c.look)
	}
	next := c.next
	c.mu.Unlock()
	return next()
}

func (c *census) look() map[int][]proc.Process {
	c.looking.Lock()
	defer c.looking.Unlock()
	c.mu.Lock()
	c.next = nil
	c.mu.Unlock()
	groups := map[int][]proc.Process{}
	for _, p := range proc.All() {
		if !p.Zombie {
			groups[p.Group] = append(groups[p.Group], p)
		}
	}
	return groups
}
