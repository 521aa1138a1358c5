package engine

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/oklog/ulid/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/state"
)

// A PlanError is a plan that cannot be used, with everything that is wrong with it.
type PlanError struct {
	Diagnostics hcl.Diagnostics
	Sources     map[string]*hcl.File
}

func (e *PlanError) Error() string { return e.Diagnostics.Error() }

// Summary counts the mistakes: "the plan has 2 errors".
func (e *PlanError) Summary() string {
	n := 0
	for _, d := range e.Diagnostics {
		if d.Severity == hcl.DiagError {
			n++
		}
	}
	if n == 1 {
		return "the plan has 1 error"
	}
	return fmt.Sprintf("the plan has %d errors", n)
}

// Load reads the plan in dir and lays it out. Warnings are returned with the tree.
func Load(opts Options, dir string, in plan.Inputs) (*plan.Plan, *plan.Tree, hcl.Diagnostics, error) {
	return load(dir, planOptions(opts), in)
}

func load(dir string, po plan.Options, in plan.Inputs) (*plan.Plan, *plan.Tree, hcl.Diagnostics, error) {
	p, diags := plan.Load(dir, po)
	if diags.HasErrors() {
		e := &PlanError{Diagnostics: diags}
		if p != nil {
			e.Sources = p.Sources()
		}
		return nil, nil, nil, e
	}
	tree, more := p.Expand(in)
	diags = append(diags, more...)
	if diags.HasErrors() {
		return nil, nil, nil, &PlanError{Diagnostics: diags, Sources: p.Sources()}
	}
	return p, tree, diags, nil
}

// Check reads a plan and tells everything that is wrong with it. What is made of variables is checked too where
// every one that needs a value is given.
func Check(opts Options, dir string, given map[string]plan.Given) (*plan.Plan, hcl.Diagnostics) {
	p, diags := plan.Load(dir, planOptions(opts))
	if diags.HasErrors() {
		return p, diags
	}
	for _, v := range p.Variables {
		if _, ok := given[v.Name]; !ok && v.Default == cty.NilVal {
			return p, append(diags, p.CheckGiven(given)...)
		}
	}
	_, more := p.Expand(plan.Inputs{Variables: given, RunName: "validate", RunID: NewID()})
	return p, append(diags, more...)
}

func planOptions(opts Options) plan.Options {
	po := plan.Options{WorkDir: opts.WorkDir, LookupEnv: opts.LookupEnv, Executable: opts.Executable, Version: opts.Version}
	for _, t := range opts.Runners {
		po.Runners = append(po.Runners, t.RunnerType)
	}
	return po
}

// NewID makes a run's ID.
func NewID() string { return ulid.Make().String() }

// Create records a new run of a laid-out plan and takes its lock. Nothing is started yet.
func Create(ctx context.Context, opts Options, tree *plan.Tree, name, id, dir string, set Settings) (*Session, error) {
	files, err := tree.Snapshot()
	if err != nil {
		return nil, err
	}
	captured, err := json.Marshal(tree.Captured())
	if err != nil {
		return nil, err
	}
	encodedSet, err := json.Marshal(set)
	if err != nil {
		return nil, err
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	now := time.Now()
	run := state.Run{
		ID: id, Name: name, Plan: dir, Status: state.RunBooting, Created: now, Since: now,
		Generation: 1, Captured: captured, Options: encodedSet, Key: key,
	}
	lock, _, err := opts.DB.Lock(id, opts.Command)
	if err != nil {
		return nil, err
	}
	s := newSession(opts, run, tree, lock)
	s.set = set
	s.arrange()
	if err := opts.DB.CreateRun(ctx, newRun(run, tree, s.services, files)); err != nil {
		s.lock = nil
		return nil, errors.Join(err, s.Close(), lock.Withdraw())
	}
	return s, nil
}

func newRun(run state.Run, tree *plan.Tree, services []*service, files []plan.SnapshotFile) state.NewRun {
	n := state.NewRun{Run: run}
	for i, lv := range tree.Levels {
		n.Levels = append(n.Levels, state.Level{Name: lv.Name, Position: i, Group: lv.Group})
	}
	n.Services = make([]state.Service, len(services))
	for i, svc := range services {
		n.Services[i] = svc.row
	}
	for _, f := range files {
		n.Files = append(n.Files, state.File{Dir: f.Dir, Path: f.Path, Mode: f.Mode, Content: f.Content})
	}
	return n
}

// Open takes the lock of an existing run and lays its plan out as it was: from
// the files, variables and environment that the run keeps. given are the
// sensitive variables, which it does not keep.
func Open(ctx context.Context, opts Options, run state.Run, given map[string]plan.Given) (*Session, error) {
	lock, tookOver, err := opts.DB.Lock(run.ID, opts.Command)
	if err != nil {
		return nil, err
	}
	name := run.Name
	run, err = opts.DB.FindRun(ctx, run.ID) // it may have changed before the lock was ours
	if errors.Is(err, state.ErrNoRun) {
		return nil, errors.Join(fmt.Errorf("%w: run %s was purged meanwhile", state.ErrNoRun, name), lock.Withdraw())
	}
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	tree, err := Restore(ctx, opts, run, run.Generation, given)
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	s := newSession(opts, run, tree, lock)
	s.given = given
	if err := s.restore(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if tookOver {
		s.Note("", "the command that worked on this run before died; "+opts.Command+" takes over")
	}
	return s, nil
}

// Restore lays out a generation of a run's plan from what the run keeps.
func Restore(ctx context.Context, opts Options, run state.Run, generation int, given map[string]plan.Given) (*plan.Tree, error) {
	rows, err := opts.DB.Files(ctx, run.ID, generation)
	if err != nil {
		return nil, err
	}
	files := make([]plan.SnapshotFile, len(rows))
	for i, f := range rows {
		files[i] = plan.SnapshotFile{Dir: f.Dir, Path: f.Path, Mode: f.Mode, Content: f.Content}
	}
	var captured plan.Captured
	if err := json.Unmarshal(run.Captured, &captured); err != nil {
		return nil, opts.DB.Damaged("run "+run.Name, "values for its plan that launch did not write")
	}
	po := planOptions(opts)
	po.Source = plan.SnapshotSource(files)
	po.LookupEnv = captured.LookupEnv
	po.Executable = captured.Executable
	po.WorkDir = "" // what is kept of a failure is read from anywhere
	po.Kept = true
	variables, err := captured.Given()
	if err != nil {
		return nil, opts.DB.Damaged("run "+run.Name, "variables that cannot be read: "+err.Error())
	}
	for name, g := range given {
		if slices.Contains(captured.Sensitive, name) {
			variables[name] = g
		}
	}
	_, tree, _, err := load(run.Plan, po, plan.Inputs{Variables: variables, RunName: run.Name, RunID: run.ID, Later: true, Withheld: captured.Sensitive})
	return tree, err
}

// Keeps says whether the run keeps this variable, so that giving it to a later command makes no difference.
func Keeps(run state.Run, variable string) bool {
	var captured plan.Captured
	return json.Unmarshal(run.Captured, &captured) == nil && !slices.Contains(captured.Sensitive, variable)
}

// restore brings the session to where the last command left the run.
func (s *Session) restore(ctx context.Context) error {
	if len(s.run.Options) > 0 {
		if err := json.Unmarshal(s.run.Options, &s.set); err != nil {
			return s.opts.DB.Damaged("run "+s.run.Name, "options that launch did not write")
		}
	}
	s.unfinished = s.run.Status != state.RunReady
	resources, err := s.opts.DB.Resources(ctx, s.run.ID)
	if err != nil {
		return err
	}
	s.ledger.restore(resources)
	s.arrange()
	var unknown []state.Service // to the current plan
	err = s.opts.DB.EachService(ctx, s.run.ID, func(row state.Service) error {
		if svc := s.byAddress[row.Address]; svc != nil {
			return s.goOnFrom(svc, row)
		}
		unknown = append(unknown, row)
		return nil
	})
	if err != nil {
		return err
	}
	for _, svc := range s.services {
		if svc.row.Since.IsZero() { // it is as arrange made it
			return s.opts.DB.Damaged("run "+s.run.Name, "no record of service "+svc.address())
		}
	}
	if err := s.restoreServices(); err != nil {
		return err
	}
	slices.SortFunc(unknown, func(a, b state.Service) int { return cmp.Compare(a.Address, b.Address) })
	for _, row := range unknown {
		if row.Status == state.Terminated {
			s.ended = append(s.ended, row)
		} else if err := s.addGone(ctx, row); err != nil {
			return err
		}
	}
	return s.recallGenerations(ctx)
}
