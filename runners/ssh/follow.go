package ssh

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/launchplan/launch/runners"
)

// A watch hears news of a program.
type watch struct{ news chan string }

// watch registers for news under key; end ends that.
func (m *machine) watch(key string) (w *watch, end func()) {
	w = &watch{news: make(chan string, 1)}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.watches[key] == nil {
		m.watches[key] = make(map[*watch]bool)
	}
	m.watches[key][w] = true
	return w, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watches[key], w)
		if len(m.watches[key]) == 0 {
			delete(m.watches, key)
		}
	}
}

// tell passes news on to all who watch key.
func (m *machine) tell(key, words string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for w := range m.watches[key] {
		select {
		case w.news <- words:
		default: // there is news already, and it is about the same end
		}
	}
}

// A following is somebody who waits for a program's end.
type following struct {
	m       *machine
	id      runners.ID
	out     feed
	collect string // the file's path on the host; empty: none
	check   bool
	stop    runners.Stop
	looks   bool // only: where the context ends, the program goes on

	news     *watch
	link     *link     // on which news comes
	since    time.Time // here, for the pulse
	deadline time.Time // zero: none
}

// Run starts p, or finds it started, and waits for its end.
func (h *host) Run(ctx context.Context, p *runners.Program) (runners.Result, error) {
	f := &following{
		m: h.m, id: p.ID, stop: p.Stop,
		out:   feed{to: p.Output},
		check: p.Kind == runners.Check,
		since: time.Now(),
	}
	if p.Collect != "" {
		f.collect = path.Join(h.WorkDir(p.ID.Service, p.User), p.Collect)
	}
	var end func()
	f.news, end = h.m.watch(p.ID.String())
	defer end()
	link, found, err := h.m.start(ctx, p)
	if err != nil {
		return f.unknown(ctx, err)
	}
	if p.Started != nil {
		p.Started()
	}
	f.link = link
	if found {
		return f.attach(ctx)
	}
	if p.Timeout > 0 {
		f.deadline = time.Now().Add(p.Timeout)
	}
	return f.wait(ctx)
}

// Start starts p and leaves it running.
func (h *host) Start(ctx context.Context, p *runners.Program) error {
	_, _, err := h.m.start(ctx, p)
	if err == nil && p.Started != nil {
		p.Started()
	}
	return err
}

// Wait waits for the end of a program that was started before.
func (h *host) Wait(ctx context.Context, id runners.ID) (runners.Result, error) {
	if err := checkID(id); err != nil {
		return runners.Result{}, err
	}
	f := &following{m: h.m, id: id, looks: true, since: time.Now()}
	var end func()
	f.news, end = h.m.watch(id.String())
	defer end()
	return f.attach(ctx)
}

// attach asks how the program stands, and waits for its end where it runs.
func (f *following) attach(ctx context.Context) (runners.Result, error) {
	ans, user, err := f.m.about(ctx, f.id, func(prefix string) request {
		return ask("attach", prefix, f.id.String())
	})
	if err != nil {
		return f.unknown(ctx, err)
	}
	f.link = ans.link
	s, err := f.m.judge(f.id, user, ans)
	if err != nil {
		return runners.Result{}, err
	}
	if s.Phase == runners.NotStarted {
		return runners.Result{}, f.gone(user)
	}
	if s.Phase == runners.Ended {
		return f.gather(ctx, s)
	}
	f.stop = s.record.stop
	if s.record.timeout > 0 {
		f.deadline = time.Now().Add(s.record.timeout - s.elapsed)
	}
	return f.wait(ctx)
}

// The pulse is how often a running program is looked at without news of it. News
// tells its end at once; the pulse brings its output, and finds out where there can be
// no news any more, since what should send it was killed.
const (
	firstPulse     = time.Second
	lastPulse      = 5 * time.Second  // somebody reads along
	lastQuietPulse = 30 * time.Second // nobody does
)

func (f *following) pulse() time.Duration {
	last := lastPulse
	if f.out.to == nil {
		last = lastQuietPulse
	}
	return min(max(time.Since(f.since)/10, firstPulse), last)
}

// wait returns when the program has ended, its time is over or ctx ends.
func (f *following) wait(ctx context.Context) (runners.Result, error) {
	pulse := time.NewTimer(f.pulse())
	defer pulse.Stop()
	var over <-chan time.Time
	if !f.deadline.IsZero() {
		timer := time.NewTimer(time.Until(f.deadline))
		defer timer.Stop()
		over = timer.C
	}
	for {
		var s standing
		var err error
		select {
		case words := <-f.news.news:
			if s = f.heard(words); s.Phase == 0 {
				s, err = f.look(ctx)
			}
		case <-pulse.C:
			s, err = f.look(ctx)
			pulse.Reset(f.pulse())
		case <-over:
			over = nil
			s, err = f.end(ctx, whyTimeout, f.stop)
		case <-f.link.gone:
			return f.attach(ctx)
		case <-ctx.Done():
			return f.unknown(ctx, context.Cause(ctx))
		}
		if err != nil {
			return f.unknown(ctx, err)
		}
		switch s.Phase {
		case runners.Ended:
			return f.gather(ctx, s)
		case runners.NotStarted:
			user, _ := f.m.userOf(f.id)
			return runners.Result{}, f.gone(user)
		}
	}
}

// gone is about a program of which the host knows nothing.
func (f *following) gone(user string) error {
	return fmt.Errorf("wait for %s on %s: there is no record %s=began: it was not started there, or somebody removed the record", f.id, f.m.end, f.m.prefix(f.id, user))
}

// unknown is what comes of a program that was lost sight of: where ctx has ended,
// that must stop it, unless it may go on.
func (f *following) unknown(ctx context.Context, err error) (runners.Result, error) {
	_, unstarted := errors.AsType[*runners.StartError](err)
	switch {
	case ctx.Err() == nil || unstarted:
		return runners.Result{}, err
	case f.looks || errors.Is(context.Cause(ctx), runners.ErrDetach):
		return runners.Result{}, context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.stop.Grace+lastWords)
	defer cancel()
	s, err := f.end(ctx, whyStopped, f.stop)
	if err != nil {
		return runners.Result{}, err
	}
	if s.Phase == runners.NotStarted {
		return runners.Result{Outcome: runners.Stopped, Started: f.since, Ended: time.Now()}, nil
	}
	return f.gather(ctx, s)
}

// lastWords is how long, beyond a program's grace time, an interrupted launch
// tries to stop it: the connection may have to be made again.
const lastWords = 30 * time.Second

// heard understands news that tells all. A Phase of 0 means that it does not.
func (f *following) heard(words string) standing {
	fields := strings.Fields(words)
	if len(fields) != 8 {
		return standing{}
	}
	e, ok, err := parseEnding(strings.Join(fields[:5], " "))
	if err != nil || !ok || fields[5] != "-" {
		return standing{} // stopped: look tells when it began
	}
	now := time.Now()
	s := standing{wrote: fields[6] == "1", left: fields[7] == "1"}
	s.Phase, s.Result = runners.Ended, record{stamp: f.since, start: e.at - now.Sub(f.since)}.result(e, "")
	return s
}

// look asks how the program stands, and passes on what it wrote.
func (f *following) look(ctx context.Context) (standing, error) {
	ans, user, err := f.m.about(ctx, f.id, func(prefix string) request {
		req := ask("pulse", prefix, fmt.Sprint(f.out.offset), fmt.Sprint(min(f.out.room(), pulseOutput)))
		req.stream = &f.out
		return req
	})
	if err != nil {
		return standing{}, err
	}
	return f.m.judge(f.id, user, ans)
}

// pulseOutput is how much output one look brings at most: others wait for the session.
const pulseOutput = 1 << 20

// end stops the program and tells how it stands then.
func (f *following) end(ctx context.Context, why string, stop runners.Stop) (standing, error) {
	if err := f.m.halt(ctx, f.id, why, stop); err != nil {
		return standing{}, err
	}
	ans, user, err := f.m.about(ctx, f.id, func(prefix string) request { return ask("look", prefix) })
	if err != nil {
		return standing{}, err
	}
	s, err := f.m.judge(f.id, user, ans)
	if err == nil && s.Phase == runners.Running {
		err = fmt.Errorf("stop %s on %s: it still runs", f.id, f.m.end)
	}
	return s, err
}

// Stop ends what is left of the program's group.
func (h *host) Stop(ctx context.Context, id runners.ID, stop runners.Stop) error {
	if err := checkID(id); err != nil {
		return err
	}
	return h.m.halt(ctx, id, whyStopped, stop)
}

func (m *machine) halt(ctx context.Context, id runners.ID, why string, stop runners.Stop) error {
	signal, err := signalOf(stop)
	if err != nil {
		return err
	}
	ans, _, err := m.about(ctx, id, func(prefix string) request {
		return ask("stop", prefix, why, signal, inCenti(stop.Grace))
	})
	if err != nil {
		return fmt.Errorf("stop %s: %w", id, err)
	}
	switch {
	case ans.is("stopped"):
		return nil
	case ans.is("damaged"):
		user, _ := m.userOf(id)
		return fmt.Errorf("stop %s on %s: its record %s=began is damaged: end it by hand and remove that file", id, m.end, m.prefix(id, user))
	}
	return fmt.Errorf("stop %s on %s: a process of its group is still there after SIGKILL", id, m.end)
}
