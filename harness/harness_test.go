package harness_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/launchplan/launch/harness/broker"
	"github.com/launchplan/launch/harness/client"
	"github.com/launchplan/launch/harness/daemon"
	"github.com/launchplan/launch/harness/deploy"
	"github.com/launchplan/launch/harness/wire"
)

// program is epuharness, built once for the tests: daemons are processes of their own,
// so that killing one is what it is in life.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "epuharness-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = filepath.Join(dir, "epuharness")
	build := exec.Command("go", "build", "-o", program, "../cmd/epuharness")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build epuharness: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// rig is a harness of real daemons with a client.
type rig struct {
	t      testing.TB
	h      *daemon.Harness
	record *daemon.Record
	c      *client.Client
}

func newRig(t testing.TB, d *deploy.Deployment) *rig {
	t.Helper()
	h, err := daemon.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	h.Program = program
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	record, err := h.Start(ctx, d, false, func(s string) { t.Log(s) })
	t.Cleanup(func() {
		if t.Failed() {
			showLogs(t, h)
		}
		if err := h.Kill(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial(ctx, record.Address("test"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &rig{t, h, record, c}
}

func showLogs(t testing.TB, h *daemon.Harness) {
	logs, _ := filepath.Glob(filepath.Join(h.Dir, "logs", "*.log"))
	for _, path := range logs {
		data, _ := os.ReadFile(path)
		t.Logf("%s:\n%s", filepath.Base(path), data[max(0, len(data)-4000):])
	}
}

// define makes a definition.
func (r *rig) define(name string, argv ...string) {
	r.t.Helper()
	def := &wire.Definition{Name: name, Argv: argv}
	if err := r.c.Request(r.t.Context(), wire.Request{Op: wire.OpPutDefinition, Definition: def}, nil); err != nil {
		r.t.Fatal(err)
	}
}

// scheduleMany schedules processes, some requests at a time.
func (r *rig) scheduleMany(ctx context.Context, prefix string, count int, params wire.Parameters) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(64)
	for i := range count {
		group.Go(func() error {
			p := params
			return r.c.Request(ctx, wire.Request{Op: wire.OpSchedule, Name: fmt.Sprintf("%s%05d", prefix, i), Parameters: &p}, nil)
		})
	}
	return group.Wait()
}

// lookEvery is how often the machine is looked at where no record tells of a change: an
// agent that comes back ends what runs elsewhere now, and that is on no record.
const lookEvery = 50 * time.Millisecond

// records follows the process records until done says that they, and the machine, are as
// they should be.
func (r *rig) records(ctx context.Context, done func(map[string]wire.Process) bool) (map[string]wire.Process, error) {
	conn, err := broker.Connect(ctx, r.record.Address("records"))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	processes := map[string]wire.Process{}
	js, err := jetstream.New(conn)
	if err != nil {
		return processes, err
	}
	kv, err := js.KeyValue(ctx, wire.RecordsBucket)
	if err != nil {
		return processes, err
	}
	watcher, err := kv.Watch(ctx, wire.ProcessKey(">"))
	if err != nil {
		return processes, err
	}
	defer watcher.Stop()
	loaded := false
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return processes, ctx.Err()
		case <-look.C:
			if loaded && len(watcher.Updates()) == 0 && done(processes) {
				return processes, nil
			}
		case e := <-watcher.Updates():
			if e == nil {
				loaded = true
			} else {
				var p wire.Process
				if err := json.Unmarshal(e.Value(), &p); err != nil {
					return processes, err
				}
				processes[p.ID] = p
			}
			if loaded && len(watcher.Updates()) == 0 && done(processes) {
				return processes, nil
			}
		}
	}
}

// agents returns a deployment of nodes with one agent each.
func agents(nodes, slots int) *deploy.Deployment {
	d := &deploy.Deployment{
		Engines:     []wire.Engine{{Name: "default", Slots: slots, Default: true}},
		Dispatchers: []deploy.Dispatcher{{Name: "pd-1"}},
	}
	for i := range nodes {
		name := fmt.Sprintf("node-%02d", i)
		d.Nodes = append(d.Nodes, deploy.Node{
			Name: name, Engine: "default", Properties: map[string]string{},
			Agents: []deploy.Agent{{Name: name + "-a", Engine: "default", Properties: map[string]string{}}},
		})
	}
	return d
}
