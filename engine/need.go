package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/state"
)

// A NeedError names the sensitive variables that a command has to be given, since the run does not keep them. It comes
// before anything is changed: a service that was ended, and cannot be brought up again for want of one, would be lost.
type NeedError struct {
	Run       string
	Service   string // the first that needs one of them
	Variables []string
}

func (e *NeedError) Error() string {
	it, and := "it", " and "
	if len(e.Variables) > 1 {
		it = "them"
	}
	return fmt.Sprintf("nothing was changed: service %s of run %s needs var.%s, which is sensitive, so that the run did not keep %s: give %s with --var %s=VALUE, in a file with --var-file, or as LAUNCH_VAR_%s",
		e.Service, e.Run, strings.Join(e.Variables, and+"var."), it, it, strings.Join(e.Variables, "=VALUE --var "), strings.Join(e.Variables, and+"LAUNCH_VAR_"))
}

// needToBringUp is a *NeedError where a variable is missing that it takes to bring up, verify or end a service that the
// run is to have.
func (s *Session) needToBringUp(ctx context.Context) error {
	wanted := s.wanted()
	need := &NeedError{Run: s.run.Name}
	for _, lv := range s.levels {
		if !wanted[lv.spec] {
			continue
		}
		for _, svc := range lv.services {
			spec := s.inPlan(svc)
			need.of(svc, s.tree, spec.LacksToBringUp)
			need.of(svc, s.tree, spec.LacksToEnd)
		}
	}
	if err := need.found(); err != nil {
		return err
	}
	return s.needToEnd(ctx)
}

// needToEnd is a *NeedError where a variable is missing that it takes to end what there is of the run.
func (s *Session) needToEnd(ctx context.Context) error {
	need := &NeedError{Run: s.run.Name}
	for _, svc := range s.all() {
		if svc.note.Facts == nil || svc.note.EndDone || !svc.begun() || svc.status() == state.Terminated {
			continue // there is nothing to end, or only what needs no values
		}
		tree, spec := svc.tree, svc.spec
		if g := svc.note.Generation; g != 0 && g != s.Run().Generation {
			former, err := s.generation(ctx, g)
			if err != nil {
				continue // its end meets the same, and reports it
			}
			if tree, spec = former, former.Service(svc.address()); spec == nil {
				continue
			}
		}
		need.of(svc, tree, spec.LacksToEnd)
	}
	return need.found()
}

// of takes in what a service lacks, in a tree in which something is missing.
func (e *NeedError) of(svc *service, tree *plan.Tree, lacks func() []string) {
	if len(tree.Missing()) == 0 {
		return
	}
	for _, name := range lacks() {
		if slices.Contains(e.Variables, name) {
			continue
		}
		if e.Service == "" {
			e.Service = svc.address()
		}
		e.Variables = append(e.Variables, name)
	}
}

// found is e as an error, nil where nothing is missing.
func (e *NeedError) found() error {
	if len(e.Variables) == 0 {
		return nil
	}
	return e
}
