package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/launchplan/launch/runners"
)

// Luck decides how programs end and when the operator interrupts, until it is calm.
type luck struct {
	mu     sync.Mutex
	random *rand.Rand
	calm   bool // everything goes well, and nobody interrupts
	fuse   int  // operations until the interrupt; 0: none
	blow   func()
}

// A machine is a host in memory. What was started on it goes on when a session ends, as on a real one.
type machine struct {
	*luck
	address  string
	mu       sync.Mutex
	programs map[runners.ID]*program
	started  map[runners.ID]int
}

type program struct {
	running bool
	result  runners.Result
	stays   bool
}

func newMachine(l *luck, address string) *machine {
	return &machine{luck: l, address: address, programs: map[runners.ID]*program{}, started: map[runners.ID]int{}}
}

// arm sets the interrupt of the next session.
func (l *luck) arm(operations int, blow func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fuse, l.blow = operations, blow
}

// step is called for each operation; with now the interrupt comes at once.
func (l *luck) step(now bool) {
	l.mu.Lock()
	blow := func() {}
	if l.fuse > 0 {
		l.fuse--
		if now || l.fuse == 0 {
			l.fuse, blow = 0, l.blow
		}
	}
	l.mu.Unlock()
	blow()
}

// chance is true once in n times, never on a calm machine.
func (l *luck) chance(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.calm && l.random.IntN(n) == 0
}

// armed says whether an interrupt is to come.
func (l *luck) armed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fuse > 0
}

// begin starts a program unless it was started before.
func (m *machine) begin(p *runners.Program) (*program, error) {
	if p.Kind == runners.Check {
		return &program{running: true, result: exited(0)}, nil
	}
	m.mu.Lock()
	known := m.programs[p.ID]
	m.mu.Unlock()
	if known != nil {
		return known, nil
	}
	if m.chance(12) {
		return nil, &runners.StartError{Program: p.ID.String(), Err: errors.New("chance")}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.started[p.ID]++
	known = &program{running: true, stays: p.Kind == runners.Process, result: exited(0)}
	m.programs[p.ID] = known
	return known, nil
}

func exited(status int) runners.Result {
	now := time.Now()
	return runners.Result{Outcome: runners.Exited, Status: status, Started: now, Ended: now}
}

// A site is machines that a plan names.
type site map[string]*machine

func (s site) Connect(ctx context.Context, t runners.Target) (runners.Host, error) {
	return s[t.Host].Connect(ctx, t)
}
func (s site) Close() error { return nil }

// The methods of runners.Runner and runners.Host.

func (m *machine) Connect(ctx context.Context, _ runners.Target) (runners.Host, error) {
	m.step(false)
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if m.chance(15) {
		return nil, &runners.UnreachableError{Host: m.address, Err: errors.New("chance")}
	}
	return m, nil
}

func (m *machine) Close() error { return nil }
func (m *machine) Facts() runners.Facts {
	return runners.Facts{Address: m.address, PrivateAddress: m.address}
}
func (m *machine) WorkDir(service, _ string) string {
	return "/work/" + service
}

func (m *machine) Run(ctx context.Context, p *runners.Program) (runners.Result, error) {
	m.step(false)
	known, err := m.begin(p)
	if err != nil {
		return runners.Result{}, err
	}
	if p.Started != nil {
		p.Started()
	}
	if m.armed() && m.chance(4) { // a slow one, in the middle of which the interrupt comes
		m.step(true)
	}
	if ctx.Err() != nil && context.Cause(ctx) == runners.ErrDetach {
		return runners.Result{}, runners.ErrDetach
	}
	fails, lost := m.chance(6), m.chance(20)
	m.mu.Lock()
	defer m.mu.Unlock()
	if known.running {
		known.running = false
		switch {
		case ctx.Err() != nil:
			known.result = runners.Result{Outcome: runners.Stopped, Ended: time.Now()}
		case fails:
			known.result = exited(3)
		case lost:
			known.result = runners.Result{Outcome: runners.Lost, Reason: "chance", Ended: time.Now()}
		}
	}
	result := known.result
	if p.Collect != "" && result.Outcome == runners.Exited {
		result.Collected = exported(p.ID)
	}
	return result, nil
}

func (m *machine) Start(ctx context.Context, p *runners.Program) error {
	m.step(false)
	if _, err := m.begin(p); err != nil {
		return err
	}
	return nil
}

func (m *machine) Look(_ context.Context, id runners.ID) (runners.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch p := m.programs[id]; {
	case p == nil:
		return runners.State{Phase: runners.NotStarted}, nil
	case p.running:
		return runners.State{Phase: runners.Running, PID: 1}, nil
	default:
		return runners.State{Phase: runners.Ended, Result: p.result}, nil
	}
}

func (m *machine) Wait(ctx context.Context, _ runners.ID) (runners.Result, error) {
	<-ctx.Done()
	return runners.Result{}, context.Cause(ctx)
}

func (m *machine) Stop(_ context.Context, id runners.ID, _ runners.Stop) error {
	m.step(false)
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.programs[id]; p != nil && p.running {
		p.running, p.result = false, runners.Result{Outcome: runners.Stopped, Ended: time.Now()}
	}
	return nil
}

func (m *machine) Remove(_ context.Context, service string) error {
	m.step(false)
	if m.chance(15) {
		return errors.New("chance")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.programs {
		if id.Service == service || service == "" {
			delete(m.programs, id)
		}
	}
	return nil
}

func (m *machine) Output(context.Context, runners.ID, int64, int) ([]byte, error) { return nil, nil }
func (m *machine) Discard(context.Context, runners.ID) error                      { return nil }
func (m *machine) ReadFile(_ context.Context, service, _, name string, _ int) ([]byte, error) {
	attempt, ok := strings.CutPrefix(name, exportsFile)
	if !ok {
		return nil, fs.ErrNotExist
	}
	return exported(runners.ID{Service: service, Name: attempt}), nil
}

// exported is what a boot program leaves.
func exported(id runners.ID) []byte { return fmt.Appendf(nil, `{"v": %q, "w": 7}`, id) }

func (m *machine) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.ErrUnsupported
}
func (m *machine) Reboot(context.Context) error                     { return errors.ErrUnsupported }
func (m *machine) Shell(context.Context, string, runners.TTY) error { return errors.ErrUnsupported }

// strike kills one of the processes that stay, as accidents do between two commands.
func (m *machine) strike() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.programs {
		if p.running && p.stays {
			p.running, p.result = false, runners.Result{Outcome: runners.Signaled, Signal: "SIGKILL", Ended: time.Now()}
			return
		}
	}
}

// twice are the programs that were started more than once.
func (m *machine) twice() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []string
	for id, n := range m.started {
		if n > 1 {
			found = append(found, fmt.Sprintf("%s (%d times)", id, n))
		}
	}
	return found
}

// left are the programs whose records are still there.
func (m *machine) left() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []string
	for id := range m.programs {
		found = append(found, id.String())
	}
	return strings.Join(found, ", ")
}
