package supervisor

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// A reaper forks processes, waits for them and tells those who wait for a group
// to empty that something ended.
type reaper struct {
	// forking is held shared by each fork until its pid is known, so that an end
	// cannot overtake the beginning.
	forking sync.RWMutex

	mu          sync.Mutex
	children    map[int]*program
	subscribers map[chan struct{}]struct{}
}

func newReaper() (*reaper, error) {
	r := &reaper{
		children:    map[int]*program{},
		subscribers: map[chan struct{}]struct{}{},
	}
	return r, r.start()
}

// reaped hands the end of a process on. take waits for the process, which has
// ended; until then nobody else can have its pid.
func (r *reaper) reaped(pid int, take func() (syscall.WaitStatus, bool)) {
	p := r.child(pid)
	if p == nil {
		r.forking.Lock() // a fork may be about to say whose it is
		p = r.child(pid)
		r.forking.Unlock()
	}
	if p == nil { // an orphan that our programs left
		take()
	} else {
		p.mu.Lock()
		status, ok := take()
		p.reaped = true
		p.mu.Unlock()
		if ok {
			p.exited <- status
		}
		r.mu.Lock()
		delete(r.children, pid)
		r.mu.Unlock()
	}
	r.notify()
}

// notify tells the subscribers that a process has ended.
func (r *reaper) notify() {
	r.mu.Lock()
	for c := range r.subscribers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
	r.mu.Unlock()
}

func (r *reaper) child(pid int) *program {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.children[pid]
}

// subscribe returns a channel that receives after each end of a process.
func (r *reaper) subscribe() chan struct{} {
	c := make(chan struct{}, 1)
	r.mu.Lock()
	r.subscribers[c] = struct{}{}
	r.mu.Unlock()
	return c
}

func (r *reaper) unsubscribe(c chan struct{}) {
	r.mu.Lock()
	delete(r.subscribers, c)
	r.mu.Unlock()
}

// run runs a small command of our own and waits for it.
func (r *reaper) run(argv ...string) error {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	p := &program{life: &life{exited: make(chan syscall.WaitStatus, 1)}}
	_, err = r.fork(p, path, argv, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{null.Fd(), null.Fd(), null.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	if status := <-p.exited; status != 0 {
		return fmt.Errorf("%s: exit status %d", argv[0], status.ExitStatus())
	}
	return nil
}
