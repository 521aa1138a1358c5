package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/launchplan/launch/harness/flock"
	"github.com/launchplan/launch/harness/minder"
	"github.com/launchplan/launch/harness/wire"
	"github.com/launchplan/launch/internal/proc"
)

// endTimeout is for an agent to end when it is asked to, then it is killed.
const endTimeout = 5 * time.Second

// Stop ends the agent that works in a directory, where one does, and then its processes,
// also those that an agent which died has left. No dispatcher needs to be there. Where
// nothing is left, it does nothing. MinderArgv starts a minder, as Agent.Minder does.
func Stop(ctx context.Context, dir string, minderArgv []string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if agent, ok := proc.Read(filepath.Join(dir, pidName)); ok {
		agent.End(ctx, endTimeout) // first: it would have dispatchers start the processes anew
	}
	lock, err := flock.Take(ctx, filepath.Join(dir, lockName), lockTimeout)
	if errors.Is(err, flock.ErrHeld) {
		return fmt.Errorf("the agent in %s could not be stopped", dir)
	}
	if err != nil {
		return fmt.Errorf("lock the agent's directory: %w", err)
	}
	defer lock.Close()
	if !minder.Ran(dir) {
		return nil // it never had a process
	}
	if err := stopProcesses(ctx, dir, minderArgv); err != nil {
		return fmt.Errorf("stop the processes of the agent in %s: %w", dir, err)
	}
	return nil
}

// stopProcesses has the minder end all that it has, and waits until that too is gone.
func stopProcesses(ctx context.Context, dir string, minderArgv []string) error {
	if id, ok := minder.Identity(dir); ok {
		id.Signal(syscall.SIGCONT) // one that is frozen would not answer
	}
	m, all, err := minder.Connect(ctx, dir, minderArgv)
	if err != nil {
		return err
	}
	err = stopAll(ctx, m, all)
	m.Close()
	if err != nil {
		return err
	}
	if id, ok := minder.Identity(dir); ok {
		return id.Wait(ctx)
	}
	return nil
}

func stopAll(ctx context.Context, m *minder.Client, all []minder.Process) error {
	left := map[wire.Target]bool{}
	for _, p := range all {
		if p.State == minder.Ended {
			continue
		}
		left[p.Target] = true
		if err := m.Stop(&minder.Stop{Target: p.Target, Timeout: DefaultStopTimeout}); err != nil {
			return err
		}
	}
	for len(left) > 0 {
		select {
		case p, open := <-m.Events:
			if !open {
				return errors.New("their minder is gone; try again")
			}
			if p.State == minder.Ended {
				delete(left, p.Target)
			}
		case <-ctx.Done():
			return fmt.Errorf("%s did not end: %w", names(left), context.Cause(ctx))
		}
	}
	return nil
}

func names(targets map[wire.Target]bool) string {
	var ids []string
	for t := range targets {
		ids = append(ids, t.ID)
	}
	slices.Sort(ids)
	return strings.Join(ids, ", ")
}
