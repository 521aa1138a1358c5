package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/state"
)

// processFollow is how often a followed process's output is asked for more.
const processFollow = 250 * time.Millisecond

// look lays out a run for reading what its hosts have, without its lock: it writes nothing.
func look(ctx context.Context, opts Options, run state.Run, given map[string]plan.Given) (*Session, error) {
	tree, err := Restore(ctx, opts, run, run.Generation, given)
	if err != nil {
		return nil, err
	}
	s := newSession(opts, run, tree, nil)
	s.given = given
	if err := s.restore(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Processes reads what the processes of a run write. Its methods can be called by several goroutines at once.
type Processes struct {
	s   *Session
	run state.Run
	mu  sync.Mutex // held while secrets are read again: services use each other's
}

// LookAtProcesses looks at the processes that a run has now. Close lets go of their hosts.
func LookAtProcesses(ctx context.Context, opts Options, run state.Run, given map[string]plan.Given) (*Processes, error) {
	s, err := look(ctx, opts, run, given)
	if err != nil {
		return nil, err
	}
	return &Processes{s: s, run: run}, nil
}

// Close ends all that was begun to read.
func (p *Processes) Close() error { return p.s.Close() }

// Of is the name of the service's process, "" where it has none. Each life of a process has another name.
func (p *Processes) Of(address string) string {
	if svc := p.s.byAddress[address]; svc != nil {
		return svc.note.Process
	}
	return ""
}

// ProcessOf is the same for a row of the store.
func ProcessOf(row state.Service) string {
	var note detail
	if json.Unmarshal(row.Detail, &note) != nil {
		return "" // whoever opens the run is told
	}
	return note.Process
}

// Copy writes what the service's process has written, masked, and with follow goes on until ctx ends or the process does.
// It calls caughtUp whenever all that there is has been written.
func (p *Processes) Copy(ctx context.Context, address string, follow bool, w io.Writer, caughtUp func()) error {
	if err := p.s.needSecrets(p.run); err != nil {
		return err
	}
	svc := p.s.byAddress[address]
	id := runners.ID{Service: runners.DirName(address), Name: svc.note.Process}
	host, err := p.reach(ctx, svc, id)
	if err != nil {
		return p.s.Mask(fmt.Errorf("the process of service %s: %w", address, err))
	}
	if host == nil {
		return nil
	}
	return copyOutput(ctx, host, id, follow, &maskWriter{w: w, masker: p.s.masker}, caughtUp)
}

func copyOutput(ctx context.Context, host runners.Host, id runners.ID, follow bool, masked *maskWriter, caughtUp func()) error {
	complete := !follow // nothing more is waited for
	for offset := int64(0); ; {
		out, err := host.Output(ctx, id, offset, probeLog)
		if gap, ok := errors.AsType[*runners.LeftOutError](err); ok {
			if err := masked.Flush(); err != nil {
				return err
			}
			if _, err := fmt.Fprintf(masked.w, "\n[launch: %d bytes of output were left out here]\n", gap.Next-offset); err != nil {
				return err
			}
			offset = gap.Next
			continue
		}
		if err != nil {
			return err
		}
		if _, err := masked.Write(out); err != nil {
			return err
		}
		offset += int64(len(out))
		if len(out) > 0 {
			continue
		}
		caughtUp()
		if complete {
			return masked.Flush()
		}
		st, err := host.Look(ctx, id)
		if err != nil {
			return errors.Join(err, masked.Flush())
		}
		if st.Phase != runners.Running {
			complete = true // but for what it wrote since that was asked for
			continue
		}
		if !pause(ctx, processFollow) {
			return errors.Join(ErrInterrupted, masked.Flush())
		}
	}
}

// reach connects to the service's host, and reads again the secrets that its process may have written. It is nil where
// the process is not known there, since it was terminated.
func (p *Processes) reach(ctx context.Context, svc *service, id runners.ID) (runners.Host, error) {
	// A host that does not answer keeps no other one waiting.
	if host, err := p.s.hostOf(ctx, svc.owner(), func() {}); err != nil || host == nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	host, err := p.s.hostOf(ctx, svc, func() {})
	if err != nil {
		return nil, err
	}
	if st, err := host.Look(ctx, id); err != nil || st.Phase == runners.NotStarted {
		return nil, err
	}
	return host, errors.Join(p.s.recallSecrets(ctx, svc), p.s.recallUsed(ctx, svc))
}

// needSecrets refuses to show raw output while secrets that could be in it are not known.
func (s *Session) needSecrets(run state.Run) error {
	missing := s.tree.Missing()
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("the output of a process can only be masked with the sensitive variables of run %s: give %v with --var, --var-file or LAUNCH_VAR_name", run.Name, missing)
}

// Shell opens a shell on the service's host, in its work directory.
func Shell(ctx context.Context, opts Options, run state.Run, address string, given map[string]plan.Given, tty runners.TTY) error {
	s, err := look(ctx, opts, run, given)
	if err != nil {
		return err
	}
	defer s.Close()
	svc := s.byAddress[address]
	if svc == nil {
		return fmt.Errorf("service %s is no longer in the plan of run %s", address, run.Name)
	}
	switch st := svc.status(); st {
	case state.Pending, state.Skipped, state.Terminated:
		return fmt.Errorf("service %s of run %s is %s, so it has no work directory to open a shell in", address, run.Name, st)
	}
	host, err := s.hostOf(ctx, svc, func() {})
	if err != nil {
		return s.Mask(err)
	}
	if host == nil {
		return fmt.Errorf("service %s has no host now", address)
	}
	return host.Shell(ctx, runners.DirName(address), tty)
}
