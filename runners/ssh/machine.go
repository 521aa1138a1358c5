package ssh

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/launchplan/launch/runners"
)

// A machine is a host with what everybody who uses it shares: the connection,
// made again where it was lost, and what is known of the host.
type machine struct {
	r   *Runner
	end Endpoint

	life   context.Context // ends with the runner
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu       sync.Mutex
	link     *link
	attempt  *attempt // to connect, under way
	failures int      // attempts in a row that failed
	noted    string   // why the last attempt failed
	told     string   // the failure that the operator was told last

	roots    map[string]string // the run's folder by user
	shared   string            // a folder where other users can make one
	boot     string            // the host's boot id, as last seen
	payloads map[string]*placing
	users    map[string]string // programs' other users, by key
	watches  map[string]map[*watch]bool
	spent    map[string][]string // by user: checks that ended, not yet removed
	hushed   map[string][]string // by user: programs whose output is not needed any more, not yet removed
}

// An attempt to connect is shared by all who wait for the host.
type attempt struct {
	begin func() // to be called when it is the host's turn
	begun chan struct{}
	done  chan struct{}
	err   error
}

func newMachine(r *Runner, end Endpoint) *machine {
	life, cancel := context.WithCancel(context.Background())
	return &machine{
		r: r, end: end, life: life, cancel: cancel,
		roots:    make(map[string]string),
		payloads: make(map[string]*placing),
		users:    make(map[string]string),
		watches:  make(map[string]map[*watch]bool),
		spent:    make(map[string][]string),
		hushed:   make(map[string][]string),
	}
}

// A hopelessError is one that trying again does not mend.
type hopelessError struct{ error }

func (e *hopelessError) Unwrap() error { return e.error }

func hopeless(err error) bool {
	_, ok := errors.AsType[*hopelessError](err)
	return ok
}

// reach returns once programs can run on the host, however long it boots, until ctx ends.
func (m *machine) reach(ctx context.Context, service string) error {
	for cuts := 0; ; cuts++ {
		l, err := m.connected(ctx, service)
		if err == nil {
			if err = l.greet(ctx); err == nil {
				return nil
			}
		}
		if !errors.Is(err, errCut) {
			return m.explain(ctx, err)
		}
		l.settle(ctx, cuts)
	}
}

// do carries out what request makes, with a hand of user. Where the connection is
// cut it does so again on the next one, unless the host stays away for longer
// than the patience: so a request must not mind being carried out twice.
func (m *machine) do(ctx context.Context, user string, request func() request) (answer, error) {
	for cuts := 0; ; cuts++ {
		l, err := m.back(ctx)
		if err == nil {
			var ans answer
			if ans, err = l.do(ctx, user, request()); err == nil && !ans.is("superseded") {
				return ans, nil
			}
			if err == nil {
				err = l.takeTurn(ctx, user)
			}
		}
		if err == nil && cuts < maxCuts {
			continue
		}
		if errors.Is(err, errCut) && cuts < maxCuts {
			l.settle(ctx, cuts)
			continue
		}
		if err == nil {
			err = errTurns
		}
		return answer{}, m.explain(ctx, err)
	}
}

// maxCuts is how often in a row a request may meet its connection's end: a host
// that takes every connection and drops it at once is not there.
const maxCuts = 20

// errTurns is what is told of a run that two launch processes, with records of their own, work on at once.
var errTurns = errors.New("another launch process works on this run on this host")

// takeTurn makes it our turn again: a dead launch's last session came late, or somebody removed the run's folder.
func (l *link) takeTurn(ctx context.Context, user string) error {
	ans, err := l.do(ctx, user, ask("again"))
	if err == nil && !ans.is("ok") {
		err = &hopelessError{fmt.Errorf("%s: %s", l.m.end, printable(string(ans.data)))}
	}
	return err
}

// back is connected, but with bounded patience: for hosts that were reached before.
func (m *machine) back(ctx context.Context) (*link, error) {
	ctx, cancel := m.patient(ctx)
	defer cancel()
	l, err := m.connected(ctx, "")
	if err != nil {
		noted := m.lastNote()
		if away, ok := errors.AsType[*awayError](err); ok && noted != "" {
			err = fmt.Errorf("%w; the last attempt: %s", away, noted)
		}
	}
	return l, err
}

// patient bounds ctx by the patience with the host. That begins when the host is tried: of
// thousands, the last may have to wait for longer than that until it is their turn.
func (m *machine) patient(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, a := m.attempting(); a != nil {
		select {
		case <-a.begun:
		case <-ctx.Done():
		}
	}
	patience := time.Duration(m.r.config.Patience)
	return context.WithTimeoutCause(ctx, patience, &awayError{patience})
}

// An awayError says how long a host was waited for.
type awayError struct{ patience time.Duration }

func (e *awayError) Error() string { return fmt.Sprintf("it did not answer for %s", e.patience) }

// A lateError is a deadline that passed, in words.
type lateError struct{}

func (e *lateError) Error() string { return "it did not answer in time" }
func (e *lateError) Unwrap() error { return context.DeadlineExceeded }

// explain tells apart what the operator interrupted, what cannot work, and a host that does not answer.
func (m *machine) explain(ctx context.Context, err error) error {
	if err == nil || hopeless(err) || errors.Is(err, runners.ErrDetach) {
		return err
	}
	if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return err
	}
	noted := m.lastNote()
	if err == context.DeadlineExceeded { // as context.Cause has it where a deadline has no cause of its own
		err = &lateError{}
	}
	if ctx.Err() != nil && noted != "" {
		err = fmt.Errorf("%w; the last attempt: %s", err, noted)
	}
	return &runners.UnreachableError{Host: m.end.String(), Err: err}
}

// connected returns the connection, and makes one where there is none: again and
// again with growing pauses, until ctx ends or an attempt shows that it is hopeless.
func (m *machine) connected(ctx context.Context, service string) (*link, error) {
	for {
		l, a := m.attempting()
		if l != nil {
			return l, nil
		}
		select {
		case <-a.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if a.err != nil && (hopeless(a.err) || m.life.Err() != nil) {
			return nil, a.err
		}
		if a.err != nil {
			m.note(service, a.err)
		}
	}
}

// attempting returns the connection, or else the attempt to make one, which it begins where none is under way.
func (m *machine) attempting() (*link, *attempt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.link; l != nil && !l.lost() {
		return l, nil
	}
	if m.attempt == nil {
		a := &attempt{begun: make(chan struct{}), done: make(chan struct{})}
		a.begin = sync.OnceFunc(func() { close(a.begun) })
		m.attempt = a
		pause := backoff(m.failures)
		m.tasks.Go(func() { m.try(a, pause) })
	}
	return nil, m.attempt
}

// try makes one attempt to connect, after pause.
func (m *machine) try(a *attempt, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-m.life.Done():
	}
	l, err := m.dial(m.life, a.begin)
	a.begin()
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.link
	if err == nil {
		m.link, m.failures, m.noted, m.told = l, 0, "", ""
	} else {
		m.failures++
	}
	if old != nil && err == nil {
		m.tasks.Go(old.close)
	}
	a.err, m.attempt = err, nil
	close(a.done)
}

// note tells the operator why a host keeps launch waiting: once per reason, and
// not for the first refusal, which a busy sshd gives to one of many. An agent
// that is silent may be waiting for the operator: that is told at once.
func (m *machine) note(service string, err error) {
	_, agent := errors.AsType[*silentAgentError](err)
	m.mu.Lock()
	m.noted = err.Error()
	tell := (agent || m.failures > 1) && m.told != m.noted
	if tell {
		m.told = m.noted
	}
	m.mu.Unlock()
	if tell {
		m.r.env.Note(service, fmt.Sprintf("waiting for %s to answer: %s", m.end, err))
	}
}

func (m *machine) lastNote() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.noted
}

// close ends the connection. Programs go on.
func (m *machine) close() {
	m.cancel()
	m.mu.Lock()
	l := m.link
	m.mu.Unlock()
	if l != nil {
		l.close()
	}
	m.tasks.Wait()
	m.mu.Lock()
	late := m.link
	m.mu.Unlock()
	if late != nil && late != l { // an attempt that was under way
		late.close()
	}
}

// userName is what may stand in the command line that becomes another user.
var userName = form{regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`), 64}

// other returns user where that is another one than the one that logs in.
func (m *machine) other(user string) string {
	if user == m.end.User {
		return ""
	}
	return user
}

func (m *machine) login(user string) string { return orElse(user, m.end.User) }

// greeting is what a new hand is told first: to find the run's folder, or where it is.
func (m *machine) greeting(ctx context.Context, user string) (string, error) {
	if user == "" {
		return line("hello", m.r.config.WorkRoot, m.r.env.RunID, m.r.env.Turn), nil
	}
	if !userName.fits(user) {
		return "", &hopelessError{fmt.Errorf("%q cannot be a user's name", user)}
	}
	root := m.root(user)
	if root == "" {
		return "", &hopelessError{fmt.Errorf("%s has no folder where user %s could work: neither /var/tmp nor /tmp can be written to", m.end, user)}
	}
	return line("hello_at", root, m.r.env.Turn), nil
}

// welcome learns from a new hand's answer.
func (m *machine) welcome(user string, hello answer) error {
	root := string(hello.parts["root"])
	if !hello.is("hello") || len(hello.words) != 2 {
		return fmt.Errorf("%s: %w", m.end, errWire)
	}
	if root == "" {
		reasons := printable(string(hello.parts["reasons"]))
		return &hopelessError{fmt.Errorf("%s has no folder in which user %s could work (%s): name one with work_root", m.end, m.login(user), reasons)}
	}
	if !path.IsAbs(root) {
		return &hopelessError{fmt.Errorf("%s: the run's folder %q is not an absolute path", m.end, root)}
	}
	m.mu.Lock()
	m.boot = hello.words[1]
	first := user == "" && m.roots[""] == ""
	if user == "" {
		m.roots[""], m.shared = root, string(hello.parts["shared"])
	}
	m.mu.Unlock()
	if want := m.r.config.WorkRoot; first && want != "" && !strings.HasPrefix(root, path.Clean(want)+"/") {
		m.r.env.Note("", fmt.Sprintf("%s: nothing can be run from work_root %s, so the work directories are in %s", m.end, want, root))
	}
	return nil
}

// root is the run's folder of user; empty where there can be none. The host was reached before.
func (m *machine) root(user string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if user == "" {
		return m.roots[""]
	}
	if m.shared == "" {
		return ""
	}
	return m.shared + "/launch-" + m.r.env.RunID + "-" + user
}
