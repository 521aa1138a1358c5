package supervisor

import (
	"fmt"
	"sync"

	"github.com/launchplan/launch/internal/proc"
)

// groups are the living processes of each group.
type groups map[int][]proc.Process

// A census tells the living processes of each group. To know those of one is to
// look at every process of the machine: who asks while that is done shares the next look.
type census struct {
	mu      sync.Mutex
	next    func() (groups, error) // nil: nobody waits for one
	looking sync.Mutex
}

// take looks at the processes after it was called, never before.
func (c *census) take() (groups, error) {
	c.mu.Lock()
	if c.next == nil {
		c.next = sync.OnceValues(c.look)
	}
	next := c.next
	c.mu.Unlock()
	return next()
}

func (c *census) look() (groups, error) {
	c.looking.Lock()
	defer c.looking.Unlock()
	c.mu.Lock()
	c.next = nil
	c.mu.Unlock()
	all, err := proc.All()
	if err != nil {
		return nil, fmt.Errorf("look at the processes of this machine: %w", err)
	}
	found := groups{}
	for _, p := range all {
		if !p.Zombie {
			found[p.Group] = append(found[p.Group], p)
		}
	}
	return found, nil
}
