package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/launchplan/launch/harness/client"
	"github.com/launchplan/launch/harness/flock"
	"github.com/launchplan/launch/harness/minder"
	"github.com/launchplan/launch/harness/wire"
	"github.com/launchplan/launch/internal/proc"
)

const (
	stopDaemon = 5 * time.Second      // for a daemon to end after SIGTERM, then it is killed
	askBefore  = 3 * time.Second      // for the dispatcher to say which processes there are
	killRounds = 100                  // looks for what is left; a process may fork while it is looked for
	killPause  = 5 * time.Millisecond // between them, for the killed to be gone

	requestsAtOnce = 64
)

// InUseError says which processes keep a harness from being stopped.
type InUseError struct{ Processes []string }

func (e *InUseError) Error() string {
	list := e.Processes
	if len(list) == 1 {
		return fmt.Sprintf("process %s is still there: terminate it, or stop with --force", list[0])
	}
	text := strings.Join(list[:min(len(list), 10)], ", ")
	if len(list) > 10 {
		text += fmt.Sprintf(" and %d more", len(list)-10)
	}
	return fmt.Sprintf("%d processes are still there (%s): terminate them, or stop with --force", len(list), text)
}

func inUse(list []wire.Process) *InUseError {
	e := &InUseError{}
	for _, p := range list {
		e.Processes = append(e.Processes, p.ID)
	}
	return e
}

// Stop stops all daemons, or the named ones. It refuses while their agents have
// processes, unless forced to end those, too. What is left is in the error.
func (h *Harness) Stop(ctx context.Context, names []string, force bool) error {
	unlock, err := h.lock()
	if err != nil {
		return err
	}
	defer unlock()
	r, err := h.Record()
	if err != nil {
		return err
	}
	chosen, err := r.choose(names)
	if err != nil {
		return err
	}
	if err := h.vacate(ctx, r, chosen, force); err != nil {
		return err
	}
	for _, kind := range []string{"agent", "dispatcher", "broker"} {
		var wg sync.WaitGroup
		for _, d := range chosen {
			if d.Kind == kind {
				wg.Go(func() { h.saved(d).Proc.End(ctx, stopDaemon) }) // its record stays: who has none is looked for among all processes
			}
		}
		wg.Wait()
	}
	if len(names) > 0 {
		return h.killAgentsLeft(chosen)
	}
	if left := h.killAll(); len(left) > 0 {
		return leftError(left)
	}
	return h.forget()
}

// vacate sees to it that the agents have no processes any more.
func (h *Harness) vacate(ctx context.Context, r *Record, chosen []Daemon, force bool) error {
	agents := map[string]bool{} // and whether they live
	for _, d := range chosen {
		if d.Kind == "agent" {
			agents[d.Name] = h.saved(d).Proc.Alive()
		}
	}
	if len(agents) == 0 {
		return nil
	}
	if force { // the frozen have a part in a stop in order
		h.wake(chosen)
	}
	all := len(chosen) == len(r.daemons()) && r.Deployment.Broker == nil // on a shared broker, others have theirs
	there, err := h.present(ctx, r, agents, all)
	if err != nil {
		if force {
			return nil // what cannot be terminated in order is killed
		}
		return fmt.Errorf("whether processes are still there cannot be found out (%w); --force stops all the same", err)
	}
	if len(there) == 0 {
		return nil
	}
	if !force {
		return inUse(there)
	}
	h.terminateAll(ctx, r, there, agents) // what does not end is killed
	return nil
}

// wake has what is frozen of the daemons go on, and returns those of which something was.
func (h *Harness) wake(daemons []Daemon) (woken []Daemon) {
	for _, d := range daemons {
		frozen := h.frozen(h.saved(d))
		for _, id := range frozen {
			id.Signal(syscall.SIGCONT)
		}
		if len(frozen) > 0 {
			woken = append(woken, d)
		}
	}
	return woken
}

// present are the processes in play: on the agents, or anywhere.
func (h *Harness) present(ctx context.Context, r *Record, agents map[string]bool, all bool) ([]wire.Process, error) {
	ctx, cancel := context.WithTimeout(ctx, askBefore)
	defer cancel()
	c, err := client.Dial(ctx, r.Address("epuharness stop"), nil)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	list, err := client.List[wire.Process](ctx, c, wire.Query{Ask: wire.AskProcesses})
	if err != nil {
		return nil, err
	}
	var there []wire.Process
	for _, p := range list {
		if _, ours := agents[p.Agent]; p.State.Placed() && ours || all && !p.State.Resting() {
			there = append(there, p)
		}
	}
	return there, nil
}

// terminateAll terminates processes and waits until they have ended, but not for those of
// dead agents, of which nobody would tell that.
func (h *Harness) terminateAll(ctx context.Context, r *Record, list []wire.Process, agents map[string]bool) error {
	c, err := client.Dial(ctx, r.Address("epuharness stop"), nil)
	if err != nil {
		return err
	}
	defer c.Close()
	var requests errgroup.Group // together they share the dispatcher's writes
	requests.SetLimit(requestsAtOnce)
	for _, p := range list {
		requests.Go(func() error { return c.Request(ctx, wire.Request{Op: wire.OpTerminate, Name: p.ID}, nil) })
	}
	if err := requests.Wait(); err != nil {
		return err
	}
	for _, p := range list {
		if alive, ours := agents[p.Agent]; p.State.Placed() && ours && !alive {
			continue
		}
		if _, err := c.Wait(ctx, p.ID, wire.Terminated); err != nil {
			return err
		}
	}
	return nil
}

// Kill ends, at once, everything that can be found of the harness, whatever its state
// files say, and forgets it. What is left is in the error.
func (h *Harness) Kill() error {
	if _, err := os.Stat(h.Dir); err == nil {
		unlock, err := h.lock()
		if err != nil && !errors.Is(err, flock.ErrHeld) { // one that hangs cannot hold this up
			return err
		}
		if err == nil {
			defer unlock()
		}
	}
	if left := h.killAll(); len(left) > 0 {
		return leftError(left)
	}
	return h.forget()
}

// KillNamed ends what a name means as a failure would: a node as if its power had been
// cut, with all processes on it; an agent, dispatcher or broker alone.
func (h *Harness) KillNamed(kind, name string) error {
	r, err := h.Record()
	if err != nil {
		return err
	}
	if r.isNode(name) && (kind == "" || kind == "node") {
		return h.killNode(r, name)
	}
	for _, d := range r.find(name) {
		if d.Name == name && (kind == "" || kind == d.Kind) {
			victim := h.saved(d).Proc
			if left := killUntilGone(func() []proc.Identity { return []proc.Identity{victim} }); len(left) > 0 {
				return leftError(left)
			}
			return nil
		}
	}
	return &UnknownError{kind, name}
}

func (h *Harness) killNode(r *Record, node string) error {
	left := killUntilGone(func() []proc.Identity {
		list := marked(StateMark+"="+h.Dir, NodeMark+"="+node)
		for _, d := range r.find(node) {
			if d.Node == node {
				list = append(list, h.saved(d).Proc)
				list = append(list, h.agentLeft(d.Name)...)
			}
		}
		return list
	})
	if len(left) > 0 {
		return leftError(left)
	}
	return nil
}

// killAgentsLeft ends what agents that were stopped have left behind.
func (h *Harness) killAgentsLeft(daemons []Daemon) error {
	left := killUntilGone(func() (list []proc.Identity) {
		for _, d := range daemons {
			if d.Kind == "agent" {
				list = append(list, h.agentLeft(d.Name)...)
				list = append(list, marked("EPU_AGENT_DIR="+h.agentPath(d.Name), StateMark+"="+h.Dir)...)
			}
		}
		return list
	})
	if len(left) > 0 {
		return leftError(left)
	}
	return nil
}

// agentLeft are an agent's minder and processes, by its own records.
func (h *Harness) agentLeft(agent string) []proc.Identity {
	var list []proc.Identity
	dir := h.agentPath(agent)
	if id, ok := minder.Identity(dir); ok {
		list = append(list, id)
	}
	sessions := map[int]bool{}
	for _, id := range minder.Left(dir) {
		if id.Alive() {
			list = append(list, id)
			sessions[id.PID] = true
		}
	}
	for _, p := range proc.InSessions(sessions) {
		list = append(list, p.Identity())
	}
	return list
}

// marked are the processes that were started with all of these variables.
func marked(variables ...string) (list []proc.Identity) {
	for p := range proc.WithVariables(variables...) {
		list = append(list, p.Identity())
	}
	return list
}

func (h *Harness) killDaemons() {
	killUntilGone(func() []proc.Identity {
		var list []proc.Identity
		for _, d := range h.alive() {
			list = append(list, d.Proc)
		}
		return list
	})
}

// killAll ends everything of the harness and returns what would not end.
func (h *Harness) killAll() []proc.Identity {
	return killUntilGone(func() []proc.Identity {
		list := marked(StateMark + "=" + h.Dir)
		for _, d := range h.alive() {
			list = append(list, d.Proc)
		}
		entries, _ := os.ReadDir(filepath.Join(h.Dir, "agents")) // none: no agents
		for _, e := range entries {
			list = append(list, h.agentLeft(e.Name())...)
		}
		return list
	})
}

// killUntilGone kills what find finds until it finds nothing alive.
func killUntilGone(find func() []proc.Identity) (left []proc.Identity) {
	self := os.Getpid()
	for range killRounds {
		left = left[:0]
		for _, id := range find() {
			if id.PID != self && id.Alive() {
				left = append(left, id)
				id.Signal(syscall.SIGKILL) // a failure shows in the next round
			}
		}
		if len(left) == 0 {
			return nil
		}
		time.Sleep(killPause)
	}
	return left
}

func leftError(left []proc.Identity) error {
	var errs []string
	for _, id := range left {
		errs = append(errs, fmt.Sprint(id.PID))
	}
	return fmt.Errorf("these processes could not be ended: %s", strings.Join(errs, ", "))
}

// forget removes everything from the state directory but the logs.
func (h *Harness) forget() error {
	var errs []error
	for _, path := range []string{h.recordPath(), h.credentialsPath(), h.daemonsPath(), h.storePath(), filepath.Join(h.Dir, "agents")} {
		errs = append(errs, os.RemoveAll(path))
	}
	return errors.Join(errs...)
}
