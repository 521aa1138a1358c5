// Package engine brings a run of a plan through its levels: it boots and verifies
// services on the hosts that runners give it, records every intent before its
// effect and every outcome before the next step, and ends what it started.
package engine

import (
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/state"
)

// Bounds of the engine's own. Those of the plan language are in package plan.
const (
	// maxStarting bounds services between their turn and their program's start: enough to fill a shared
	// commit (some 6 ms at a thousand starts a second), few enough that a level of 100,000 costs no memory while it waits.
	maxStarting = 64
	// processSettle is how long a process without ready blocks must stay up to count as
	// verified: what dies at once (a typo in its configuration) dies within it.
	processSettle = 100 * time.Millisecond
	// lastWords bounds what is still written and undone after an interrupt.
	lastWords = 30 * time.Second
	tailLines = 10      // of a failed program's output, shown with the failure
	tailBytes = 8 << 10 // what is held of it
)

// Options are what the engine works with.
type Options struct {
	DB      *state.DB
	Dir     string // the state directory
	Runners []RunnerType
	Environ []string // for programs on this machine and for runners
	Command string   // for the lock and the journal: "launch boot"
	Version string
	WorkDir string // from where messages about a plan name its files
	// LookupEnv and Executable are for evaluating a new plan: see plan.Options.
	LookupEnv  func(string) (string, bool)
	Executable func(string) (string, error)
	// Observe is told of every change once it is durable, in order, from one goroutine. It may be nil.
	Observe func(Event)
}

// A Session drives one run: it holds the run's lock until Close.
type Session struct {
	opts   Options
	lock   *state.Lock
	writer *state.Writer
	hosts  *hosts
	masker *masker
	ledger *ledger
	news   *announcer

	tree      *plan.Tree // of the current generation
	levels    []*level
	services  []*service      // in the order of the plan
	gone      []*service      // of earlier generations, still to be ended
	ended     []state.Service // of earlier generations, terminated: a reload may have them again
	byAddress map[string]*service
	starting  chan struct{}

	mu       sync.Mutex
	run      state.Run // guarded by mu, but for ID, Name and Key, which stay
	set      Settings
	withheld bool                  // some service has sensitive exports, which the store does not keep
	working  sync.Once             // the run's status says that it is being brought up
	untold   sync.Once             // it was told that some runner cannot tell how its hosts are
	given    map[string]plan.Given // sensitive variables, for laying out earlier generations
	former   map[int]*generation   // of the plan, that services come from
	// unfinished says that the present plan was not carried out whole before this command.
	unfinished bool

	forced     bool       // this terminate is the last one, whatever it cannot end
	leftBehind []*Failure // what it could not; guarded by mu
}

// Settings of a run, kept with it.
type Settings struct {
	Until     string    `json:"until,omitempty"`
	OnFailure OnFailure `json:"on_failure,omitempty"`
	// Former are the plans before a reload that services still come from, by generation.
	Former map[int]Former `json:"former,omitempty"`
}

// Former is what laying out an earlier generation of the plan takes, beside its files.
type Former struct {
	Plan     string          `json:"plan"`
	Captured json.RawMessage `json:"captured"`
}

// OnFailure says what a failed service does to the rest of the run.
type OnFailure string

const (
	Stop      OnFailure = "stop"      // what comes after its level is skipped
	Continue  OnFailure = "continue"  // only what uses its values is skipped
	Terminate OnFailure = "terminate" // as stop, and then the run is terminated
)

// A level of the run with those that come before and after it.
type level struct {
	spec     *plan.Level
	after    []*level
	before   []*level // the inverse of after
	services []*service
}

// A service of the run. Its row changes in advance only; one goroutine at a time works on a service.
type service struct {
	spec *plan.Service
	tree *plan.Tree // the generation's that brought it up, or will
	on   *service

	connect sync.Mutex // held while host is being set, by whichever worker needs it first

	mu           sync.Mutex
	row          state.Service // guarded by mu; without Detail, which is note
	note         detail        // touched by the service's worker only
	wrote        []string      // attempts that wrote something, the outcome of which is about to be recorded
	host         runners.Host  // nil: not connected; touched by the service's worker only
	recall       sync.Mutex    // held while its exports are read again, maybe by the worker of one that uses them
	exportsKnown bool          // this command has seen the boot program end, or read its exports again
}

// detail is what the engine keeps with a service's row.
type detail struct {
	Generation int      `json:"generation"`
	Boot       string   `json:"boot,omitempty"`    // name of the boot program's last attempt
	Open       bool     `json:"open,omitempty"`    // that attempt's outcome is not known yet
	Process    string   `json:"process,omitempty"` // name of the process
	Booted     bool     `json:"booted,omitempty"`  // the boot phase is complete: it is not done again
	Ends       int      `json:"ends,omitempty"`    // terminate programs started so far
	OpenEnd    bool     `json:"open_end,omitempty"`
	EndDone    bool     `json:"end_done,omitempty"` // the terminate program has ended well: it is not run again
	Groups     []string `json:"groups,omitempty"`   // programs whose process groups may still have members
	Made       bool     `json:"made,omitempty"`     // something of it may exist outside launch
	User       string   `json:"user,omitempty"`     // whose work directory it is
	Target     string   `json:"target,omitempty"`   // the host that the plan named when it was brought up
	Facts      *facts   `json:"facts,omitempty"`
	Failure    *Failure `json:"failure,omitempty"`
}

// facts is runners.Facts as it is kept, with the work directory.
type facts struct {
	Address string `json:"address,omitempty"`
	Private string `json:"private_address,omitempty"`
	Public  string `json:"public_address,omitempty"`
	Pool    bool   `json:"pool,omitempty"`
	Named   bool   `json:"named,omitempty"` // by the plan, to a runner that makes hosts: it neither made this one nor ends it
	WorkDir string `json:"work_dir,omitempty"`
}

// snapshot returns a copy of the service's row.
func (svc *service) snapshot() state.Service {
	svc.mu.Lock()
	defer svc.mu.Unlock()
	return svc.row
}

func (svc *service) status() state.Status { return svc.snapshot().Status }

func (svc *service) address() string { return svc.spec.Address }

// isPool says whether what was made for the service is a pool, which has no single host.
func (svc *service) isPool() bool { return svc.note.Facts != nil && svc.note.Facts.Pool }

// Run returns the run's row as it stands.
func (s *Session) Run() state.Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run
}

// Tree is the plan of the run, laid out.
func (s *Session) Tree() *plan.Tree { return s.tree }

// Close writes what is queued, lets go of hosts and of the run's lock. Programs go on.
func (s *Session) Close() error {
	err := errors.Join(s.hosts.close(), s.writer.Close())
	s.news.close()
	if s.lock != nil { // else it only looked
		err = errors.Join(err, s.lock.Unlock())
	}
	return err
}

// newSession joins a run's row and its laid-out plan; arrange and restore fill in its services.
func newSession(opts Options, run state.Run, tree *plan.Tree, lock *state.Lock) *Session {
	s := &Session{
		opts: opts, lock: lock, run: run, tree: tree,
		byAddress: map[string]*service{},
		former:    map[int]*generation{},
		starting:  make(chan struct{}, maxStarting),
	}
	s.masker = newMasker(tree.SecretsAfter)
	s.news = newAnnouncer(opts.Observe)
	s.writer = opts.DB.Writer(run.ID)
	s.ledger = newLedger(s.writer)
	turn := ""
	if lock != nil {
		turn = NewID()
	}
	s.hosts = newHosts(opts, run, turn, s.ledger, s.Note)
	return s
}

// arrange links levels and services as the tree has them. Each service is pending.
func (s *Session) arrange() {
	levels := make(map[*plan.Level]*level, len(s.tree.Levels))
	for _, spec := range s.tree.Levels {
		lv := &level{spec: spec, services: make([]*service, 0, len(spec.Services))}
		levels[spec] = lv
		for _, a := range spec.After {
			prev := levels[a]
			lv.after = append(lv.after, prev)
			prev.before = append(prev.before, lv)
		}
		s.levels = append(s.levels, lv)
	}
	s.services = make([]*service, 0, len(s.tree.Services))
	for i, spec := range s.tree.Services {
		svc := &service{spec: spec, tree: s.tree, row: state.Service{
			Address: spec.Address, Level: spec.Level.Name, Position: i,
			Status: state.Pending, Runner: spec.Runner.Type,
		}}
		if spec.On != nil {
			svc.on = s.byAddress[spec.On.Address]
		}
		s.services = append(s.services, svc)
		s.byAddress[spec.Address] = svc
		lv := levels[spec.Level]
		lv.services = append(lv.services, svc)
	}
}

// goOnFrom has the service go on from its row in the store.
func (s *Session) goOnFrom(svc *service, row state.Service) error {
	fresh := svc.row
	if row.Level == fresh.Level && row.Runner == fresh.Runner {
		row.Level, row.Runner = fresh.Level, fresh.Runner // one copy of these for all
	}
	row.Address = fresh.Address
	svc.row = row
	s.withheld = s.withheld || len(row.Withheld) > 0
	return s.decodeDetail(svc)
}

// endedBefore says whether a service was being ended, and was not ended whole: it is brought up from its beginning.
func (svc *service) endedBefore() bool {
	row := svc.snapshot()
	return row.Status == state.Terminating || row.Status == state.Failed && row.Phase == PhaseTerminate
}

func (s *Session) decodeDetail(svc *service) error {
	if len(svc.row.Detail) == 0 {
		if svc.row.Status != state.Pending { // it would be taken for one of which nothing was started
			return s.opts.DB.Damaged("service "+svc.row.Address, "no detail")
		}
		return nil
	}
	if err := json.Unmarshal(svc.row.Detail, &svc.note); err != nil {
		return s.opts.DB.Damaged("service "+svc.row.Address, "a detail that launch did not write")
	}
	svc.row.Detail = nil
	return nil
}

// Note tells the operator something about a service ("" for the run) and keeps it in the journal.
func (s *Session) Note(service, text string) {
	text = s.masker.message(text)
	ticket := s.writer.Submit(state.Change{Event: state.Event{Kind: "note", Service: service, Cause: text}})
	s.news.announce(ticket, Event{Type: EventNote, Service: service, Text: text})
}

// setRun writes the run's new status.
func (s *Session) setRun(status state.RunStatus, cause string) state.Ticket {
	return s.changeRun(status, cause, func(*state.Run) {})
}

// changeRun is the one place where the run's row changes.
func (s *Session) changeRun(status state.RunStatus, cause string, change func(*state.Run)) state.Ticket {
	s.mu.Lock()
	from := s.run.Status
	s.run.Status, s.run.Since, s.run.Error = status, time.Now(), ""
	if status == state.RunFailed || status == state.RunInterrupted {
		s.run.Error = cause
	}
	change(&s.run)
	run := s.run
	s.mu.Unlock()
	ticket := s.writer.Submit(state.Change{
		Event: state.Event{Kind: "run", From: string(from), To: string(status), Cause: cause},
		Run:   &run,
	})
	s.news.announce(ticket, Event{Type: EventRun, Run: run.Name, Status: string(status), Text: cause})
	return ticket
}
