// Package runnertest is the contract that every Runner passes.
package runnertest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/launchplan/launch/runners"
)

// patience bounds each test of the contract: what takes longer hangs.
const patience = time.Minute

// quick is how programs of the contract are stopped unless a test is about that.
var quick = runners.Stop{Signal: "SIGTERM", Grace: 10 * time.Second}

// A Subject is the runner under test. Its host has a POSIX shell with mkfifo, cat, head and tr.
type Subject struct {
	// New makes the runner of a run. Made a second time with the same Env it is
	// what a later launch process has. The contract closes it.
	New func(t testing.TB, env runners.Env) runners.Runner

	// Target is the host to use; its Service is set by each test.
	Target runners.Target

	// User is another user that programs can be run as; empty: that is not tried.
	User string

	// Here says that the host is this machine, and that the runner promises what only that can:
	// secrets in the environment of launch do not reach programs.
	Here bool
}

// Run runs the contract against the subject.
func Run(t *testing.T, subject Subject) {
	for _, part := range []struct {
		name string
		test func(*testing.T, *bench)
	}{
		{"Ending", testEnding},
		{"Environment", testEnvironment},
		{"Payload", testPayload},
		{"Files", testFiles},
		{"Collect", testCollect},
		{"StartErrors", testStartErrors},
		{"Output", testOutput},
		{"RunsOnce", testRunsOnce},
		{"Detach", testDetach},
		{"Cancel", testCancel},
		{"Cancelled", testCancelled},
		{"Frozen", testFrozen},
		{"Timeout", testTimeout},
		{"Process", testProcess},
		{"Group", testGroup},
		{"Check", testCheck},
		{"ReadFile", testReadFile},
		{"Dial", testDial},
		{"Remove", testRemove},
		{"Many", testMany},
		{"User", testUser},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, newBench(t, subject)) })
	}
}

// RunUser runs only the part that is about programs of the subject's User, for
// runners that have several ways to become one.
func RunUser(t *testing.T, subject Subject) { testUser(t, newBench(t, subject)) }

// A bench is one run on the subject, with one service.
type bench struct {
	subject Subject
	ctx     context.Context
	env     runners.Env
	host    runners.Host
	checks  sync.Mutex
	checked int
}

func newBench(t *testing.T, subject Subject) *bench {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	id := make([]byte, 13)
	rand.Read(id)
	b := &bench{
		subject: subject,
		ctx:     ctx,
		env: runners.Env{
			Run:     "contract",
			RunID:   strings.ToUpper(hex.EncodeToString(id)),
			Plan:    t.TempDir(),
			Dir:     t.TempDir(),
			Turn:    "contract",
			Environ: append(os.Environ(), "LAUNCH_VAR_password=hunter2"),
			Ledger:  &ledger{},
			Note:    func(service, text string) { t.Logf("note for %q: %s", service, text) },
		},
	}
	if err := os.Chmod(b.env.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	b.host = b.connect(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		later := b.connectFor(ctx, t)
		if err := later.Remove(ctx, ""); err != nil {
			t.Errorf("Remove everything: %v", err)
		}
	})
	return b
}

// connect is what a launch process does first: it is called again for a later one.
func (b *bench) connect(t *testing.T) runners.Host { return b.connectFor(b.ctx, t) }

func (b *bench) connectFor(ctx context.Context, t *testing.T) runners.Host {
	t.Helper()
	runner := b.subject.New(t, b.env)
	target := b.subject.Target
	target.Service = service
	host, err := runner.Connect(ctx, target)
	if err != nil {
		t.Fatalf("Connect: %v", err)
	}
	t.Cleanup(func() {
		host.Close()
		if err := runner.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return host
}

// service is the address of the service that the contract's programs belong to.
const service = "storage.database[0]"

func id(name string) runners.ID {
	return runners.ID{Service: runners.DirName(service), Name: name}
}

// sh is a durable program that runs script.
func sh(name, script string, args ...string) *runners.Program {
	return &runners.Program{
		ID:   id(name),
		Kind: runners.Durable,
		Argv: append([]string{"sh", "-c", script, "sh"}, args...),
		Stop: quick,
	}
}

// run runs p and returns its Result and what it wrote.
func (b *bench) run(t *testing.T, p *runners.Program) (runners.Result, string) {
	t.Helper()
	return b.runOn(t, b.host, p)
}

func (b *bench) runOn(t *testing.T, host runners.Host, p *runners.Program) (runners.Result, string) {
	t.Helper()
	var out buffer
	p.Output = &out
	started := false
	p.Started = func() { started = true }
	result, err := host.Run(b.ctx, p)
	if err != nil {
		t.Fatalf("Run %s: %v", p.ID, err)
	}
	if result.Outcome == runners.Exited && !started {
		t.Errorf("Run %s: Started was not called", p.ID)
	}
	return result, out.String()
}

// check runs script as a check in the service's work directory, and returns
// what it wrote. It is how the contract looks at the host, and waits there.
func (b *bench) check(t *testing.T, script string, args ...string) string {
	t.Helper()
	b.checks.Lock()
	b.checked++
	p := sh("look-"+hex.EncodeToString([]byte{byte(b.checked >> 8), byte(b.checked)}), script, args...)
	b.checks.Unlock()
	p.Kind = runners.Check
	result, out := b.run(t, p)
	if result.Outcome != runners.Exited || result.Status != 0 {
		t.Fatalf("check %q = %+v, want status 0; it wrote:\n%s", script, result, out)
	}
	return out
}

// A gate lets the contract wait for a program and hold it, without polling: the
// program calls "up" with a word, and "hold", which ends when the test releases it.
const gate = `up() { echo "$1" >up; }; hold() { read -r _ <hold; }; `

func (b *bench) makeGate(t *testing.T) { t.Helper(); b.check(t, "rm -f up hold; mkfifo up hold") }

// awaitUp returns the word of the program that came up.
func (b *bench) awaitUp(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(b.check(t, "cat up"))
}

func (b *bench) release(t *testing.T) { t.Helper(); b.check(t, "echo go >hold") }

// alive tells whether the process is there, and more than a zombie.
func (b *bench) alive(t *testing.T, pid string) bool {
	t.Helper()
	return b.check(t, `kill -0 "$1" 2>/dev/null && ! grep -q ') Z' "/proc/$1/stat" 2>/dev/null && echo yes; true`, pid) == "yes\n"
}

// wantExit fails the test unless result is that of a program that ended by itself with status.
func wantExit(t *testing.T, result runners.Result, status int) {
	t.Helper()
	if result.Outcome != runners.Exited || result.Status != status {
		t.Errorf("result = %+v, want exit status %d", result, status)
	}
}

func wantOutcome(t *testing.T, result runners.Result, want runners.Outcome) {
	t.Helper()
	if result.Outcome != want {
		t.Errorf("result = %+v, want outcome %d", result, want)
	}
}

// A buffer is an Output that may be read while it is written.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// A ledger is a runners.Ledger for the length of a test.
type ledger struct {
	mu  sync.Mutex
	all []runners.Resource
}

func (l *ledger) Put(_ context.Context, resources ...runners.Resource) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range resources {
		same := func(o runners.Resource) bool { return o.Kind == r.Kind && o.Key == r.Key }
		if i := slices.IndexFunc(l.all, same); i >= 0 {
			l.all[i] = r
		} else {
			l.all = append(l.all, r)
		}
	}
	slices.SortFunc(l.all, func(a, b runners.Resource) int { return strings.Compare(a.Key, b.Key) })
	return nil
}

func (l *ledger) List(kind string) []runners.Resource {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []runners.Resource
	for _, r := range l.all {
		if r.Kind == kind {
			list = append(list, r)
		}
	}
	return list
}
