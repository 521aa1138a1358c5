// Package ec2 runs services on EC2 instances: it asks for them in few calls,
// keeps a record from which every one of them is found again, waits for them by
// shared descriptions, and hands their addresses to the SSH runner. It also ends
// them, and finds those that nobody owns any more.
package ec2

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/launchplan/launch/runners"
)

// Bounds on what the cloud takes its time for.
const (
	// consistency is how long a new instance, or its tags, may be unknown to the
	// API after the call that made it, also where the call's answer was lost. The
	// reference speaks of seconds to minutes.
	consistency = 2 * time.Minute
	// runTimeout bounds the way to the state running, endTimeout that to terminated.
	// Most instances take less than a minute; large ones with many disks some.
	runTimeout = 15 * time.Minute
	endTimeout = 15 * time.Minute
	// addressTime is how long after the state running an address may still come.
	addressTime = time.Minute
	// tagTime bounds the calls that tag instances for human eyes, and so Close.
	tagTime = 15 * time.Second
)

// A Runner makes instances for one runner block of a run. It is a runners.Provisioner.
type Runner struct {
	config Config
	env    runners.Env
	cloud  *cloud
	fleet  *fleet
	reach  *reach
	made   func() (string, error) // see madeOf, with the runner block's user data

	opened     time.Time
	resumed    bool           // an earlier command has asked for something
	atHome     atomic.Bool    // the ledger knows where the run began, see record
	account    account        // whose the credentials are
	background sync.WaitGroup // of calls that nothing but Close waits for

	requesting sync.Mutex // held while instances are asked for or released
	asked      asked      // services whose Await found nobody asking for them
	keyMade    time.Time  // when this command imported the run's key pair; requesting guards it

	mu       sync.Mutex
	held     map[string]held  // by service: what the ledger says it has in this region
	failed   map[string]error // by service: why it got none
	intended map[string]bool  // tokens of this runner's batches

	failedBefore map[string]string // by service, of pools: see failureBefore
}

// New makes a Runner. It makes no call, but it needs to find a region.
func New(ctx context.Context, config Config, env runners.Env) (runners.Runner, error) {
	if err := config.Check(); err != nil {
		return nil, err
	}
	config = Home(config, env.Ledger.List(kindRegion))
	c, err := openCloud(ctx, config, func(text string) { env.Note("", text) })
	if err != nil {
		return nil, err
	}
	r := &Runner{
		config: config, env: env, cloud: c, opened: time.Now(),
		failed: map[string]error{}, intended: map[string]bool{}, failedBefore: map[string]string{},
	}
	r.resumed = len(env.Ledger.List(kindBatch))+len(env.Ledger.List(kindPool)) > 0
	if r.reach, err = newReach(ctx, config, env); err != nil {
		return nil, err
	}
	r.made = sync.OnceValues(func() (string, error) { return r.madeOf(config.UserData) })
	r.fleet = newFleet(ctx, c, env.RunID)
	r.reload()
	return r, nil
}

// AtLevel implements runners.Provisioner.
func (r *Runner) AtLevel() bool { return r.config.Provision == "at-level" }

// Close implements runners.Runner.
func (r *Runner) Close() error {
	r.background.Wait()
	r.fleet.close()
	r.cloud.close()
	return r.reach.close()
}

// Kinds of resources in the ledger.
const (
	kindBatch    = "batch"    // a RunInstances call; its key is the client token
	kindInstance = "instance" // one of its instances; its key is the token and the launch index
)

// held is an instance that a service has, or may have.
type held struct {
	runners.Resource
	record
}

// A record is what the ledger keeps with an instance.
type record struct {
	Region   string    `json:"region"`
	Batch    string    `json:"batch,omitempty"` // client token of the call that asked for it
	Index    int       `json:"index"`           // launch index in the batch
	Asked    time.Time `json:"asked"`
	Public   string    `json:"public_address,omitempty"`
	Private  string    `json:"private_address,omitempty"`
	HostKey  string    `json:"host_key,omitempty"` // the public one, in authorized_keys form
	Existing bool      `json:"existing,omitempty"` // named by the plan: never ended
	Made     string    `json:"made,omitempty"`     // see madeOf; "" where it was adopted
}

// put records batches, and instances with what is known of them now, in one
// transaction: an outcome is never recorded by half.
func (r *Runner) put(ctx context.Context, batches []runners.Resource, list ...held) error {
	rows := slices.Clone(batches)
	for i := range list {
		data, err := json.Marshal(list[i].record)
		if err != nil {
			return err
		}
		list[i].Data = string(data)
		rows = append(rows, list[i].Resource)
	}
	if len(rows) == 0 {
		return nil
	}
	if err := r.record(ctx, rows...); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range list {
		r.keep(h)
	}
	return nil
}

// keep takes an instance into the index. The caller holds r.mu.
func (r *Runner) keep(h held) {
	if h.Service == "" {
		return
	}
	if h.Status != "gone" && h.Status != "ending" {
		r.held[h.Service] = h
	} else if r.held[h.Service].Key == h.Key {
		delete(r.held, h.Service)
	}
}

// reload reads the index from the ledger: another Runner of the same run may
// have written there.
func (r *Runner) reload() {
	all := r.all()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = make(map[string]held, len(all))
	for _, h := range all {
		r.keep(h)
	}
}

// all are the run's instances of this region that are not gone.
func (r *Runner) all() []held {
	var out []held
	for _, res := range r.env.Ledger.List(kindInstance) {
		h := held{Resource: res}
		if err := json.Unmarshal([]byte(res.Data), &h.record); err != nil || h.Region != r.cloud.region || res.Status == "gone" {
			continue // written by launch alone, so what cannot be read is not this runner's
		}
		out = append(out, h)
	}
	return out
}

// has returns what a service has.
func (r *Runner) has(service string) (held, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h, ok := r.held[service]
	return h, ok
}

// Connect implements runners.Runner.
func (r *Runner) Connect(ctx context.Context, target runners.Target) (runners.Host, error) {
	h, ok := r.has(target.Service)
	if !ok {
		r.reload()
		if h, ok = r.has(target.Service); !ok {
			return nil, fmt.Errorf("%s has no instance", target.Service)
		}
	}
	return r.reach.connect(ctx, r, h)
}

// facts are what a service may know of its instance.
func (r *Runner) facts(h held) runners.Facts {
	return runners.Facts{Address: r.address(h), PrivateAddress: h.Private, PublicAddress: h.Public, InstanceID: h.ID}
}

// address is the one that the configuration asks for, else the public one where
// there is one.
func (r *Runner) address(h held) string {
	switch {
	case r.config.Address == "private" || r.config.Address == "" && h.Public == "":
		return h.Private
	default:
		return h.Public
	}
}

// runTags are the tags of everything that the run makes.
func (r *Runner) runTags() map[string]string {
	tags := map[string]string{"Name": cut("launch " + r.env.Run)}
	for k, v := range r.config.Tags {
		tags[k] = v
	}
	tags[tagRun], tags[tagRunID], tags[tagPlan] = cut(r.env.Run), r.env.RunID, cut(r.env.Plan)
	return tags
}

// fail keeps why services got no instance, for their Await.
func (r *Runner) fail(services []string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range services {
		r.failed[s] = err
	}
}

// takeFailure is why a service got no instance; the next time it is tried again.
func (r *Runner) takeFailure(service string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.failed[service]
	delete(r.failed, service)
	return err
}

// chunks cuts a list into parts of at most n.
func chunks[T any](list []T, n int) [][]T { return slices.Collect(slices.Chunk(list, n)) }
