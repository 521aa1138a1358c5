package ec2test

import (
	"sync"
	"syscall"
	"time"
)

// A reaper ends the processes of machines that lose their power. Many machines
// end at the same time; they share one look at the process table.
type reaper struct {
	mu      sync.Mutex
	waiting []*victim
	working bool
}

type victim struct {
	id   string // of the machine
	root string // the directory in which machines have theirs, by id
	done chan struct{}
}

// end kills every process of a machine and returns when none is left.
func (r *reaper) end(id, root string) {
	v := &victim{id, root, make(chan struct{})}
	r.mu.Lock()
	r.waiting = append(r.waiting, v)
	lead := !r.working
	r.working = true
	r.mu.Unlock()
	if lead {
		r.work()
	}
	<-v.done
}

// work serves everyone who waits, those too who come meanwhile.
func (r *reaper) work() {
	for {
		r.mu.Lock()
		batch := r.waiting
		r.waiting = nil
		if len(batch) == 0 {
			r.working = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		// A process may fork while we look: look until nothing is found.
		for killAll(batch) > 0 {
			time.Sleep(2 * time.Millisecond) // until the kernel has ended them
		}
		for _, v := range batch {
			close(v.done)
		}
	}
}

func killAll(batch []*victim) int {
	ids := make(map[string]bool, len(batch))
	for _, v := range batch {
		ids[v.id] = true
	}
	found := 0
	for _, p := range processes() {
		if ids[p.variable(marker)] || ids[p.below(batch[0].root)] {
			syscall.Kill(p.pid, syscall.SIGKILL)
			found++
		}
	}
	return found
}

// endTree kills a process and its descendants.
func (r *reaper) endTree(root int) {
	tree := map[int]bool{root: true}
	for grown := true; grown; {
		grown = false
		for _, p := range processes() {
			if tree[p.parent] && !tree[p.pid] {
				tree[p.pid], grown = true, true
			}
		}
	}
	for pid := range tree {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}
