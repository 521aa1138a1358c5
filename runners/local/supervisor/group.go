package supervisor

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/launchplan/launch/internal/proc"
	"github.com/launchplan/launch/runners"
)

const (
	// killPatience is how long a killed process may take to go before that is an
	// error: one that hangs in the kernel does not die.
	killPatience = 10 * time.Second
	// A group whose last member is no child of ours empties without an event: it is
	// looked at after these pauses.
	firstPause, longestPause = 2 * time.Millisecond, 100 * time.Millisecond
)

// endGroup ends the program's group: the signal, the grace time, SIGKILL. It
// returns when the group is empty. Processes that began a session or a group of
// their own have left it and are not ended.
func (s *supervisor) endGroup(p *program, stop runners.Stop) error {
	if !s.groupLives(p) {
		return nil
	}
	if ours, err := groupIsOurs(p, s.census.take); !ours {
		return err
	}
	signal := unix.SignalNum(stop.Signal)
	if signal == 0 {
		signal = unix.SIGTERM
	}
	s.signal(p, signal)
	s.signal(p, unix.SIGCONT) // one that is frozen would not take the other
	if signal != unix.SIGKILL && s.awaitEmpty(p, stop.Grace) {
		return nil
	}
	s.signal(p, unix.SIGKILL)
	if s.awaitEmpty(p, killPatience) {
		return nil
	}
	found, err := s.census.take()
	if err != nil {
		return err
	}
	var pids []string
	for _, m := range found[p.pid] {
		pids = append(pids, fmt.Sprint(m.PID))
	}
	if len(pids) == 0 { // zombies that their parent does not wait for
		return nil
	}
	return fmt.Errorf("processes of %s are still there after SIGKILL: %s", p.begun.Label, strings.Join(pids, ", "))
}

// awaitEmpty waits until nothing of the group is left, and tells whether that came within the time.
func (s *supervisor) awaitEmpty(p *program, within time.Duration) bool {
	changed := s.reaper.subscribe()
	defer s.reaper.unsubscribe(changed)
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	pause := firstPause
	for s.groupLives(p) {
		select {
		case <-changed:
		case <-time.After(pause):
			if pause *= 2; pause > longestPause {
				pause = longestPause
				if found, err := s.census.take(); err == nil && len(found[p.pid]) == 0 {
					return true // only zombies, of a parent that left the group
				}
			}
		case <-deadline.C:
			return !s.groupLives(p)
		}
	}
	return true
}

// groupLives tells whether there is a group with the program's number.
func (s *supervisor) groupLives(p *program) bool {
	if p.pid <= 0 { // it is not known which process it was; 0 would mean our own group
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return !errors.Is(unix.Kill(-p.pid, 0), unix.ESRCH)
}

// groupIsOurs tells whether the group with the program's number is the
// program's. While the leader was not reaped there is no doubt. After that the
// number stays taken as long as the group has members, but it may have emptied
// unseen, and have been taken by another.
func groupIsOurs(p *program, census func() (groups, error)) (bool, error) {
	p.mu.Lock()
	reaped, process := p.reaped, p.process
	p.mu.Unlock()
	if !reaped {
		return true, nil
	}
	if process.Boot != "" && process.Boot != proc.BootID() {
		return false, nil
	}
	leader, err := proc.Find(p.pid)
	switch {
	case err == nil:
		return leader.Start == process.Start, nil // where it was not looked up, it was reaped
	case !proc.Gone(err):
		return false, fmt.Errorf("look at the process of %s: %w", p.begun.Label, err)
	}
	found, err := census()
	if err != nil {
		return false, err
	}
	members := found[p.pid]
	foreign := 0
	for _, m := range members {
		has, known := proc.HasVariables(m.PID, p.begun.Marker)
		switch {
		case has, m.Parent == os.Getpid(): // orphans of our programs become our children
			return true, nil
		case known:
			foreign++
		}
	}
	if len(members) == 0 {
		return false, nil
	}
	if foreign < len(members) { // another user's, or a system that does not tell
		return true, nil
	}
	return false, fmt.Errorf("process group %d has processes that cannot be told to be of %s: they were left alone", p.pid, p.begun.Label)
}

// signal sends a signal to the program's group.
func (s *supervisor) signal(p *program, signal syscall.Signal) {
	if p.pid <= 0 {
		return
	}
	p.mu.Lock()
	err := unix.Kill(-p.pid, signal)
	p.mu.Unlock()
	if errors.Is(err, unix.EPERM) && p.begun.User != "" {
		name := strings.TrimPrefix(unix.SignalName(signal), "SIG")
		err = s.reaper.run("sudo", "-n", "-u", p.begun.User, "--", "kill", "-s", name, "--", fmt.Sprint(-p.pid))
	}
	if err != nil && !errors.Is(err, unix.ESRCH) {
		s.log.Error("signal a group", "program", p.id, "signal", unix.SignalName(signal), "err", err)
	}
}

// forgetEmpty takes a program whose group has emptied from those that are left.
func (s *supervisor) forgetEmpty(p *program, census func() (groups, error)) {
	if s.groupLives(p) {
		if ours, err := groupIsOurs(p, census); ours || err != nil {
			return
		}
	}
	s.mu.Lock()
	delete(s.left, p)
	s.mu.Unlock()
}

// forgetGone does so for all of which there is no group. One that another has taken,
// or of which only zombies are left, does no harm until it is to be ended.
func (s *supervisor) forgetGone() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.left {
		if !s.groupLives(p) {
			delete(s.left, p)
		}
	}
}
