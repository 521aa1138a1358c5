package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/state"
)

// A Difference is what a reload would do, by service address in the order of the plans.
type Difference struct {
	Gone      []string `json:"gone"`      // to be ended
	New       []string `json:"new"`       // to be brought up
	Changed   []string `json:"changed"`   // to be ended and brought up again
	Replaced  []string `json:"replaced"`  // that, on a machine made anew
	Resized   []string `json:"resized"`   // pools that are given another size
	Depends   []string `json:"depends"`   // decided when what they use has been brought up again
	Unchanged int      `json:"unchanged"` // only verified
}

// Empty says that no service would be touched.
func (d *Difference) Empty() bool {
	return len(d.Gone)+len(d.New)+len(d.Changed)+len(d.Replaced)+len(d.Resized)+len(d.Depends) == 0
}

// Compare tells what reloading the run with another plan would do, or why it cannot be done. It changes nothing outside
// of tree.
func (s *Session) Compare(ctx context.Context, tree *plan.Tree) (*Difference, error) {
	if err := s.canReload(ctx); err != nil {
		return nil, err
	}
	d := &Difference{Gone: []string{}, New: []string{}, Changed: []string{}, Replaced: []string{}, Resized: []string{}, Depends: []string{}}
	redone := map[string]bool{} // what uses their values may get others
	for _, spec := range tree.Services {
		list := s.listOf(ctx, d, tree, spec, redone)
		if list == nil {
			d.Unchanged++
			continue
		}
		*list = append(*list, spec.Address)
		redone[spec.Address] = list != &d.Resized // what others know of a pool stays
	}
	for _, svc := range s.services {
		if tree.Service(svc.address()) == nil {
			d.Gone = append(d.Gone, svc.address())
		}
	}
	return d, nil
}

// listOf is the list of d to which a service of the new plan belongs, nil where it is only verified. redone are the
// services before it that are not just that.
func (s *Session) listOf(ctx context.Context, d *Difference, tree *plan.Tree, spec *plan.Service, redone map[string]bool) *[]string {
	svc := s.byAddress[spec.Address]
	if svc == nil || svc.note.Facts == nil || svc.status() == state.Terminated {
		return &d.New
	}
	former := &service{spec: spec, tree: tree, row: svc.snapshot(), note: svc.note}
	if err := s.restoreKnown(former); err != nil {
		return &d.Changed // its exports are declared otherwise now
	}
	target, targetDiags := spec.Target()
	uses := false
	spec.Uses(func(used *plan.Service) bool { uses = redone[used.Address]; return !uses })
	prepared, diags := spec.Prepare()
	switch {
	case s.fits(ctx, spec) != nil:
		return &d.Replaced
	case uses || diags.HasErrors() || targetDiags.HasErrors():
		return &d.Depends
	case spec.Fingerprint(prepared, former.row.Host, s.run.Key) != former.row.Fingerprint:
		if svc.isPool() && spec.Runner.SamePool(svc.spec.Runner) && sameUserData(svc.spec, prepared.UserData) {
			return &d.Resized
		}
		return &d.Changed
	case spec.On == nil && target != svc.note.Target:
		return &d.Changed
	}
	return nil
}

// canReload says what stands in the way of a reload, whatever the new plan is: what that takes was asked for when it was
// laid out.
func (s *Session) canReload(ctx context.Context) error {
	switch s.Run().Status {
	case state.RunTerminating:
		return fmt.Errorf("run %[1]s is being ended, so it cannot be reloaded: `launch terminate %[1]s` goes on with that", s.run.Name)
	case state.RunTerminated:
		return fmt.Errorf("run %s is terminated, so it cannot be reloaded: `launch boot` brings up a new one", s.run.Name)
	}
	return s.needToEnd(ctx)
}

// sameUserData says whether a service's machines were told the same, as far as this command knows the values for that.
func sameUserData(former *plan.Service, now string) bool {
	then, diags := former.UserData()
	return !diags.HasErrors() && then == now
}

// Reload makes tree the run's plan, and the run what that plan says: what went is ended, what is new or changed is
// brought up, the rest is verified. dir is where the plan was read from.
func (s *Session) Reload(ctx context.Context, tree *plan.Tree, dir string) error {
	if err := s.canReload(ctx); err != nil {
		return err
	}
	files, err := tree.Snapshot()
	if err != nil {
		return err
	}
	captured, err := json.Marshal(tree.Captured())
	if err != nil {
		return err
	}
	if err := s.adoptPlan(ctx, tree, dir, captured, files); err != nil {
		return err
	}
	return s.Boot(ctx)
}

// adoptPlan records the new generation in one transaction; from then on a resume goes on with it.
func (s *Session) adoptPlan(ctx context.Context, tree *plan.Tree, dir string, captured []byte, files []plan.SnapshotFile) error {
	from := s.Run()
	fresh, err := s.replaceTree(tree)
	if err != nil {
		return err
	}
	options, err := json.Marshal(s.keepFormer(from))
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.run.Plan, s.run.Captured, s.run.Options = dir, captured, options
	s.run.Status, s.run.Since, s.run.Error = state.RunBooting, time.Now(), ""
	s.run.Outputs = nil // they are of the former plan, and of services that may go
	s.run.Generation++
	run := s.run
	s.mu.Unlock()
	added := newRun(from, tree, fresh, files)
	err = s.writer.Write(ctx, state.Change{
		Event: state.Event{Kind: "run", From: string(from.Status), To: string(state.RunBooting), Cause: fmt.Sprintf("%s: generation %d of the plan", s.opts.Command, run.Generation)},
		Run:   &run,
		Add:   &added,
	})
	if err != nil {
		return fmt.Errorf("record the new plan: %w", err)
	}
	if err := s.restoreServices(); err != nil {
		return err
	}
	return s.recallGenerations(ctx)
}

// replaceTree has the run's services go on in another tree, those that it does not have among the gone ones. It returns
// the services of which there is no row in the store yet.
func (s *Session) replaceTree(tree *plan.Tree) (fresh []*service, err error) {
	rows := make(map[string]state.Service, len(s.services))
	for _, svc := range s.all() {
		rows[svc.address()] = svc.record()
	}
	for _, row := range s.ended {
		rows[row.Address] = row
	}
	old, number := s.services, s.Run().Generation
	s.former[number] = &generation{tree: s.tree}
	s.tree, s.levels, s.services, s.byAddress = tree, nil, nil, map[string]*service{}
	s.masker.also(tree.SecretsAfter) // those of the old plan are still to be masked: its services are yet to be ended
	s.arrange()
	for i, svc := range s.services {
		row, known := rows[svc.address()]
		if !known {
			fresh = append(fresh, svc)
			continue
		}
		if err := s.goOnFrom(svc, row); err != nil {
			return nil, err
		}
		svc.edit(func(row *state.Service) { row.Position, row.Level = i, svc.spec.Level.Name })
	}
	s.gone = slices.DeleteFunc(s.gone, func(g *service) bool { return s.byAddress[g.address()] != nil })
	for _, svc := range old {
		if s.byAddress[svc.address()] == nil {
			if svc.note.Generation == 0 { // never begun
				svc.note.Generation = number
			}
			s.gone = append(s.gone, svc)
		}
	}
	return fresh, nil
}

// keepFormer keeps the plans that services were brought up from, of which from has the latest, and forgets those that none
// comes from once there was a plan that was carried out whole.
func (s *Session) keepFormer(from state.Run) Settings {
	all := map[int]Former{}
	if from.Status != state.RunReady {
		maps.Copy(all, s.set.Former)
	}
	all[from.Generation] = Former{Plan: from.Plan, Captured: from.Captured}
	for _, svc := range s.all() {
		if f, ok := s.set.Former[svc.note.Generation]; ok {
			all[svc.note.Generation] = f
		}
	}
	s.set.Former = all
	if s.set.Until != "" && s.tree.Level(s.set.Until) == nil {
		s.set.Until = "" // where the run was to stop is gone
	}
	return s.set
}

// ReloadInputs are the variables that a reloaded plan gets: what the run keeps, and over it what is given now.
func (s *Session) ReloadInputs(given map[string]plan.Given) (plan.Inputs, error) {
	var captured plan.Captured
	if err := json.Unmarshal(s.Run().Captured, &captured); err != nil {
		return plan.Inputs{}, fmt.Errorf("the variables of run %s cannot be read: %w", s.run.Name, err)
	}
	all, err := captured.Given()
	if err != nil {
		return plan.Inputs{}, err
	}
	for name, g := range all {
		g.Ambient = true // a variable that the new plan no longer has is no mistake
		all[name] = g
	}
	for name, g := range given {
		g.Ambient = g.Ambient || slices.Contains(captured.Sensitive, name) // as above: ending what the old plan began may take it
		all[name] = g
	}
	return plan.Inputs{Variables: all, RunName: s.run.Name, RunID: s.run.ID}, nil
}
