package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/state"
)

// hosts makes a run's runners when they are first needed.
type hosts struct {
	opts   Options
	run    state.Run
	turn   string // see runners.Env
	ledger *ledger
	note   func(service, text string)

	mu      sync.Mutex
	runners map[string]*opening       // by runner address and configuration
	blocks  map[*plan.Runner]*opening // the same, by the blocks that were looked up
}

// opening is a runner that is being made or was made.
type opening struct {
	config []byte // JSON
	once   sync.Once
	runner runners.Runner
	err    error
}

func newHosts(opts Options, run state.Run, turn string, ledger *ledger, note func(string, string)) *hosts {
	return &hosts{
		opts: opts, run: run, turn: turn, ledger: ledger, note: note,
		runners: map[string]*opening{}, blocks: map[*plan.Runner]*opening{},
	}
}

// runner returns the runner of a plan's runner block. Two generations of a plan
// with equal blocks share it.
func (h *hosts) runner(ctx context.Context, spec *plan.Runner) (runners.Runner, error) {
	o, err := h.opening(spec)
	if err != nil {
		return nil, err
	}
	o.once.Do(func() {
		o.runner, o.err = h.open(context.WithoutCancel(ctx), spec.Type, o.config)
		if o.err != nil {
			o.err = fmt.Errorf("runner %s: %w", spec.Address(), o.err)
		}
	})
	return o.runner, o.err
}

// opening finds what stands for a block's runner, which may be to be made yet. A block's configuration is looked at once.
func (h *hosts) opening(spec *plan.Runner) (*opening, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if o := h.blocks[spec]; o != nil {
		return o, nil
	}
	config, err := configJSON(spec.Config)
	if err != nil {
		return nil, fmt.Errorf("read the configuration of runner %s: %w", spec.Address(), err)
	}
	key := spec.Address() + string(config)
	o := h.runners[key]
	if o == nil {
		o = &opening{config: config}
		h.runners[key] = o
	}
	h.blocks[spec] = o
	return o, nil
}

func (h *hosts) open(ctx context.Context, name string, config []byte) (runners.Runner, error) {
	dir := runDir(h.opts.Dir, h.run.ID)
	if err := makeRunDir(h.opts.Dir, h.run.ID); err != nil {
		return nil, err
	}
	for _, t := range h.opts.Runners {
		if t.Name == name {
			return t.open(ctx, config, runners.Env{
				Run: h.run.Name, RunID: h.run.ID, Plan: h.run.Plan, Dir: dir, Turn: h.turn,
				Environ: h.opts.Environ, Ledger: h.ledger, Note: h.note,
			})
		}
	}
	return nil, fmt.Errorf("this launch has no runner of type %q", name)
}

// provisioner returns the runner as one that makes hosts, nil where its hosts exist already.
func provisioner(r runners.Runner) runners.Provisioner {
	p, _ := r.(runners.Provisioner)
	return p
}

// opened yields the runners that were made so far.
func (h *hosts) opened() []runners.Runner {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []runners.Runner
	for _, o := range h.runners {
		if o.runner != nil {
			all = append(all, o.runner)
		}
	}
	return all
}

func (h *hosts) close() error {
	var errs []error
	for _, r := range h.opened() {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}
