package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
)

// A cloud makes machines in memory, which have accidents. Like a real one it knows what it made for whom,
// also after a launch that asked for it was cut off.
type cloud struct {
	*luck
	mu       sync.Mutex
	machines map[string]*rented // by service
	former   []*rented
	made     int
}

type rented struct {
	*machine
	size string
	dead bool // guarded by the cloud's mu
}

func newCloud(l *luck) *cloud { return &cloud{luck: l, machines: map[string]*rented{}} }

func (m *rented) Facts() runners.Facts {
	return runners.Facts{Address: m.address, PrivateAddress: m.address, InstanceID: "i-" + m.address}
}

// rentedConfig is the runner block.
type rentedConfig struct {
	Size string `json:"size"`
}

// A provider is the runner of one runner block.
type provider struct {
	*cloud
	size string
}

func (c *cloud) runnerType() RunnerType {
	return Register("cloud", plan.MayHaveHost, func(_ context.Context, config rentedConfig, _ runners.Env) (runners.Runner, error) {
		return &provider{c, config.Size}, nil
	})
}

func (p *provider) Close() error  { return nil }
func (p *provider) AtLevel() bool { return false }

func (p *provider) Connect(ctx context.Context, t runners.Target) (runners.Host, error) {
	p.step(false)
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.machines[t.Service]; m == nil || m.dead || p.chance(15) {
		return nil, &runners.UnreachableError{Host: t.Service, Err: errors.New("no answer")}
	}
	return p.machines[t.Service], nil
}

func (p *provider) Request(ctx context.Context, wants []runners.Want) error {
	p.step(false)
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if p.chance(20) {
		return errors.New("the cloud has no time")
	}
	for _, w := range wants {
		if !p.chance(10) {
			p.rent(w.Service)
		}
	}
	return nil
}

// rent makes a machine for a service that has none.
func (p *provider) rent(service string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.machines[service] == nil {
		p.made++
		p.machines[service] = &rented{machine: newMachine(p.luck, fmt.Sprintf("192.0.2.%d", p.made)), size: p.size}
	}
}

func (p *provider) Await(ctx context.Context, want runners.Want) (runners.Facts, error) {
	p.step(false)
	if err := ctx.Err(); err != nil {
		return runners.Facts{}, context.Cause(ctx)
	}
	if p.chance(15) {
		return runners.Facts{}, errors.New("no capacity")
	}
	p.rent(want.Service)
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.machines[want.Service]
	if m.dead {
		return runners.Facts{}, fmt.Errorf("the machine is terminated: %w", runners.ErrGone)
	}
	return m.Facts(), nil
}

func (p *provider) Fits(want runners.Want) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.machines[want.Service]
	if m == nil {
		return runners.ErrNoHost
	}
	if m.size != p.size {
		return errors.New("the machine would have another size")
	}
	return nil
}

func (p *provider) Inspect(_ context.Context, service string) error {
	p.step(false)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.chance(20) {
		return &runners.UntoldError{Err: errors.New("the cloud does not answer")}
	}
	if m := p.machines[service]; m == nil || m.dead {
		return fmt.Errorf("%s: %w", service, runners.ErrGone)
	}
	if p.chance(20) {
		return errors.New("the machine is impaired")
	}
	return nil
}

func (p *provider) Release(ctx context.Context, services []string) map[string]error {
	p.step(false)
	errs := map[string]error{}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, service := range services {
		switch m := p.machines[service]; {
		case ctx.Err() != nil:
			errs[service] = context.Cause(ctx)
		case p.chance(12):
			errs[service] = errors.New("the cloud did not end it")
		case m != nil:
			delete(p.machines, service)
			p.former = append(p.former, m)
		}
	}
	return errs
}

func (p *provider) Sweep(context.Context) error {
	if p.chance(15) {
		return errors.New("the cloud did not sweep")
	}
	return nil
}

// strike ends one of the machines, as accidents do between two commands.
func (c *cloud) strike() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.machines {
		m.dead = true
		return
	}
}

// wrong is what the cloud has that the services, with the sizes of their machines, should not have, or have otherwise.
func (c *cloud) wrong(sizes map[string]string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []string
	for service, m := range c.machines {
		if size, wanted := sizes[service]; !wanted || m.dead || m.size != size {
			found = append(found, fmt.Sprintf("%s has a machine: %s, dead %v, wanted %q", service, m.size, m.dead, size))
		}
	}
	for service := range sizes {
		if c.machines[service] == nil {
			found = append(found, service+" has no machine")
		}
	}
	return found
}

// twice are the programs that were started more than once on a machine.
func (c *cloud) twice() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []string
	for _, m := range slices.Concat(slices.Collect(maps.Values(c.machines)), c.former) {
		found = append(found, m.twice()...)
	}
	return found
}
