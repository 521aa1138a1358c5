package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/launchplan/launch/harness/broker"
	"github.com/launchplan/launch/harness/client"
	"github.com/launchplan/launch/harness/deploy"
)

// ErrRuns says that a harness runs already; nothing was changed.
var ErrRuns = errors.New("a harness runs already")

// Start starts the daemons of a deployment and returns when all of them answer. Where
// that fails, what was started is ended again. Over the state of a harness that died,
// it goes on from that one's records; say is told so.
func (h *Harness) Start(ctx context.Context, d *deploy.Deployment, bootMode bool, say func(string)) (*Record, error) {
	unlock, err := h.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if alive := h.alive(); len(alive) > 0 {
		return nil, fmt.Errorf("%w in %s (%v, pid %d)", ErrRuns, h.Dir, alive[0], alive[0].Proc.PID)
	}
	r, resumed, err := h.prepare(d)
	if err != nil {
		return nil, err
	}
	if resumed {
		say("a harness died in " + h.Dir + "; this one goes on from its records")
	}
	if err := h.bringUp(ctx, r, r.daemons(), bootMode, announce); err != nil {
		if !resumed {
			h.killAll()
			h.forget()
		} else {
			h.killDaemons()
		}
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, fmt.Errorf("%w: what was started is ended again", context.Cause(ctx))
		}
		return nil, err
	}
	return r, nil
}

// prepare writes down what is going to be started.
func (h *Harness) prepare(d *deploy.Deployment) (r *Record, resumed bool, err error) {
	r = &Record{Deployment: d}
	before, err := h.Record()
	if err == nil && (before.Deployment.Broker == nil) == (d.Broker == nil) {
		resumed = true
		r.Listen, r.Credentials = before.Listen, before.Credentials
	}
	if r.Listen == "" {
		r.Listen = pickAddress()
	}
	if d.Broker != nil {
		r.URL, r.Credentials = d.Broker.URL, d.Broker.Credentials
		if r.Credentials != "" && !filepath.IsAbs(r.Credentials) {
			if r.Credentials, err = filepath.Abs(r.Credentials); err != nil {
				return nil, false, err
			}
		}
		if r.Credentials != "" { // each daemon would say the same of it
			if _, err := broker.LoadCredentials(r.Credentials); err != nil {
				return nil, false, err
			}
		}
	} else {
		r.URL = "nats://" + r.Listen // by which recover finds it where this start is killed
		r.Credentials = h.credentialsPath()
		if _, err := broker.LoadCredentials(r.Credentials); err != nil {
			if err := broker.NewCredentials().Save(r.Credentials); err != nil {
				return nil, false, err
			}
		}
	}
	if !resumed {
		h.killAll() // whatever runs without a record of it
		if err := os.RemoveAll(h.storePath()); err != nil {
			return nil, false, fmt.Errorf("remove the records of a harness that is gone: %w", err)
		}
		if err := os.RemoveAll(filepath.Join(h.Dir, "agents")); err != nil {
			return nil, false, fmt.Errorf("remove the agents of a harness that is gone: %w", err)
		}
	}
	return r, resumed, h.saveRecord(r)
}

// Ports of embedded brokers: below those that systems give to outgoing connections.
// The broker must get its port again after it died, while its clients try to reach it.
const (
	firstPort = 20000
	lastPort  = 32000
)

// pickAddress finds a free port on loopback.
func pickAddress() string {
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(lastPort-firstPort))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	return "127.0.0.1:0"
}

// bringUp starts daemons: a broker first, then all others at once. In boot mode the agents
// come last: they report what died with the system, which is to be held by then.
func (h *Harness) bringUp(ctx context.Context, r *Record, daemons []Daemon, bootMode bool, tell telling) error {
	if len(daemons) > 0 && daemons[0].Kind == "broker" {
		if err := h.startBroker(ctx, r, daemons[0]); err != nil {
			return err
		}
		daemons = daemons[1:]
	}
	if bootMode {
		agents := slices.IndexFunc(daemons, func(d Daemon) bool { return d.Kind == "agent" })
		if agents < 0 {
			agents = len(daemons)
		}
		if err := h.startAll(ctx, r, daemons[:agents], beginBoot); err != nil {
			return err
		}
		daemons = daemons[agents:]
	}
	if err := h.startAll(ctx, r, daemons, tell); err != nil {
		return err
	}
	r.Announced = true
	return h.saveRecord(r)
}

// startBroker starts the embedded broker, and keeps where it listens.
func (h *Harness) startBroker(ctx context.Context, r *Record, d Daemon) error {
	s, err := h.spawn(r, d)
	if err != nil {
		return err
	}
	url, err := s.answers(ctx)
	if err != nil {
		return err
	}
	r.URL, r.Listen = url, strings.TrimPrefix(url, "nats://")
	return h.saveRecord(r)
}

// startAll starts daemons and meanwhile tells the dispatchers something, for which the
// daemons may be waiting. It returns when all of them answer.
func (h *Harness) startAll(ctx context.Context, r *Record, daemons []Daemon, tell telling) error {
	all := make([]*spawned, len(daemons))
	for i, d := range daemons {
		s, err := h.spawn(r, d)
		if err != nil {
			return err
		}
		all[i] = s
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(all)+1)
	var wg sync.WaitGroup
	for i, s := range all {
		wg.Go(func() {
			if _, errs[i] = s.answers(ctx); errs[i] != nil && ctx.Err() == nil {
				cancel() // the others may wait for this one in vain
			}
		})
	}
	wg.Go(func() {
		c, err := client.Dial(ctx, r.Address("epuharness start"), nil)
		if err != nil {
			errs[len(all)] = err
			return
		}
		defer c.Close()
		errs[len(all)] = tell(ctx, c, r)
	})
	wg.Wait()
	return firstCause(errs)
}

// firstCause leaves out those that only ended because another had failed.
func firstCause(errs []error) error {
	var causes []error
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, errNotYet) {
			causes = append(causes, err)
		}
	}
	if len(causes) == 0 {
		causes = errs
	}
	return errorsOf(causes)
}

// Recover starts those daemons again that are dead, and wakes those that are frozen: all
// of the deployment, or the named ones. It returns those that it brought back. It tells the
// dispatchers what they do not know of the deployment, or all of it where a start was cut short.
func (h *Harness) Recover(ctx context.Context, names []string) ([]Daemon, error) {
	unlock, err := h.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	r, err := h.Record()
	if err != nil {
		return nil, err
	}
	chosen, err := r.choose(names)
	if err != nil {
		return nil, err
	}
	dead := []Daemon{}
	for _, d := range chosen {
		if !h.saved(d).Proc.Alive() {
			dead = append(dead, d)
		}
	}
	back := slices.Clone(dead)
	for _, d := range h.wake(chosen) {
		if !slices.Contains(dead, d) { // of a dead agent, the minder may be frozen
			back = append(back, d)
		}
	}
	tell := telling(announce)
	if r.Announced {
		tell = announceMissing
	}
	return back, h.bringUp(ctx, r, dead, false, tell)
}

// UnknownError says that the deployment has nothing of a kind, or of any, with a name.
type UnknownError struct{ Kind, Name string }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("the deployment has no %s %.64q; `epuharness status` lists what it has", cmp.Or(e.Kind, "node, agent or dispatcher"), e.Name)
}

// choose returns the daemons that names mean; no name means all.
func (r *Record) choose(names []string) ([]Daemon, error) {
	if len(names) == 0 {
		return r.daemons(), nil
	}
	var list []Daemon
	for _, name := range names {
		found := r.find(name)
		if len(found) == 0 && !r.isNode(name) {
			return nil, &UnknownError{Name: name}
		}
		list = append(list, found...)
	}
	return list, nil
}
