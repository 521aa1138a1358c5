package ec2

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/launchplan/launch/internal/ec2test"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/ssh"
)

func TestMain(m *testing.M) {
	home, err := os.MkdirTemp("", "ec2-home-")
	if err != nil {
		panic(err)
	}
	for name, value := range map[string]string{
		"HOME": home, "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_REGION": "us-west-2",
		"AWS_ACCESS_KEY_ID": "AKIDEC2TEST", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		os.Setenv(name, value)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(home)
		os.Exit(code)
	}))
}

// A memoryLedger is a run's ledger that can stop taking anything, as a launch
// process does that is killed.
type memoryLedger struct {
	mu    sync.Mutex
	rows  map[[2]string]runners.Resource
	puts  int
	dieAt int // the number of the Put that never happens; 0: none
}

func newLedger() *memoryLedger { return &memoryLedger{rows: map[[2]string]runners.Resource{}} }

var errKilled = errors.New("launch was killed")

func (l *memoryLedger) Put(_ context.Context, list ...runners.Resource) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.puts++; l.dieAt > 0 && l.puts >= l.dieAt {
		return errKilled
	}
	for _, r := range list {
		l.rows[[2]string{r.Kind, r.Key}] = r
	}
	return nil
}

func (l *memoryLedger) List(kind string) []runners.Resource {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []runners.Resource
	for k, r := range l.rows {
		if k[0] == kind {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b runners.Resource) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// A world is an endpoint and a run on it.
type world struct {
	*ec2test.Server
	t      *testing.T
	ledger *memoryLedger
	dir    string
	config Config
	notes  []string
	mu     sync.Mutex

	environ []string // beside the test's own
}

func newWorld(t *testing.T, opt ec2test.Options) *world {
	t.Helper()
	if !strings.Contains(t.Name(), "Killed") { // those make several
		t.Parallel()
	}
	s := ec2test.Start(t, opt)
	return &world{Server: s, t: t, ledger: newLedger(), dir: t.TempDir(), config: Config{
		Endpoint: s.URL, Image: "ami-12345678", InstanceType: "t3.micro", SSH: &ssh.Config{Port: s.SSHPort, User: "tester"},
	}}
}

// runner is what one launch process of the run has.
func (w *world) runner() *Runner {
	w.t.Helper()
	r, err := New(w.t.Context(), w.config, runners.Env{
		Run: "night", RunID: "01JDQ4ZV0F8M9W6Y3K2T5R7C1B", Plan: "/plans/full", Dir: w.dir, Ledger: w.ledger,
		Environ: append(os.Environ(), w.environ...),
		Note: func(service, text string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.notes = append(w.notes, service+": "+text)
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := r.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return r.(*Runner)
}

func wants(n int) []runners.Want {
	var out []runners.Want
	for i := range n {
		out = append(out, runners.Want{Service: fmt.Sprintf("web[%d]", i)})
	}
	return out
}

func names(list []runners.Want) []string {
	var out []string
	for _, w := range list {
		out = append(out, w.Service)
	}
	return out
}

// awaitAll is what an engine does: Await for all at a time.
func awaitAll(t *testing.T, r *Runner, list []runners.Want) (map[string]runners.Facts, map[string]error) {
	t.Helper()
	facts, errs := map[string]runners.Facts{}, map[string]error{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, w := range list {
		all.Go(func() {
			f, err := r.Await(t.Context(), w)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs[w.Service] = err
			} else {
				facts[w.Service] = f
			}
		})
	}
	all.Wait()
	return facts, errs
}

func (w *world) mustBe(states map[string]int, keyPairs int) {
	w.t.Helper()
	got := w.Report()
	if diff := cmp.Diff(states, got.States); diff != "" || got.KeyPairs != keyPairs {
		w.t.Errorf("instances (-want +got):\n%s%d key pairs, want %d", diff, got.KeyPairs, keyPairs)
	}
}

func (w *world) ledgerOf(service string) (runners.Resource, bool) {
	for _, r := range w.ledger.List(kindInstance) {
		if r.Service == service {
			return r, true
		}
	}
	return runners.Resource{}, false
}
