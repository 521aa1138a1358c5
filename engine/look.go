package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/state"
)

// Check reads a plan and tells everything that is wrong with it. Values are checked too where
// every variable that needs one is given.
func Check(opts Options, dir string, given map[string]plan.Given) (*plan.Plan, hcl.Diagnostics) {
	p, diags := plan.Load(dir, planOptions(opts))
	if diags.HasErrors() {
		return p, diags
	}
	for _, v := range p.Variables {
		if _, ok := given[v.Name]; !ok && v.Default == cty.NilVal {
			return p, diags
		}
	}
	_, more := p.Expand(plan.Inputs{Variables: given, RunName: "validate", RunID: NewID()})
	return p, append(diags, more...)
}

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

// ProcessLog copies what the service's process has written, masked, and with follow goes on until ctx ends or the process
// does. shown is false where the service has no process.
func ProcessLog(ctx context.Context, opts Options, run state.Run, address string, given map[string]plan.Given, follow bool, w io.Writer) (shown bool, err error) {
	s, err := look(ctx, opts, run, given)
	if err != nil {
		return false, err
	}
	defer s.Close()
	svc := s.byAddress[address]
	if svc == nil || svc.note.Process == "" {
		return false, nil
	}
	if err := s.needSecrets(run); err != nil {
		return true, err
	}
	there, err := s.reconnect(ctx, svc, func() {})
	if err != nil || !there {
		return true, err
	}
	if err := s.recallSecrets(ctx, svc); err != nil {
		return true, err
	}
	id := runners.ID{Service: runners.DirName(address), Name: svc.note.Process}
	masked := &maskWriter{w: w, masker: s.masker}
	for offset := int64(0); ; {
		out, err := svc.host.Output(ctx, id, offset, probeLog)
		if gap, ok := errors.AsType[*runners.LeftOutError](err); ok {
			if err := masked.Flush(); err != nil {
				return true, err
			}
			if _, err := fmt.Fprintf(w, "\n[launch: %d bytes of output were left out here]\n", gap.Next-offset); err != nil {
				return true, err
			}
			offset = gap.Next
			continue
		}
		if err != nil {
			return true, err
		}
		if _, err := masked.Write(out); err != nil {
			return true, err
		}
		offset += int64(len(out))
		if len(out) > 0 {
			continue
		}
		st, err := svc.host.Look(ctx, id)
		if err != nil || !follow || st.Phase != runners.Running {
			return true, errors.Join(err, masked.Flush())
		}
		if !pause(ctx, processFollow) {
			return true, errors.Join(ErrInterrupted, masked.Flush())
		}
	}
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
	there, err := s.reconnect(ctx, svc, func() {})
	if err != nil {
		return err
	}
	if !there {
		return fmt.Errorf("service %s has no host now", address)
	}
	return svc.host.Shell(ctx, runners.DirName(address), tty)
}
