package harness_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/launchplan/launch/harness/deploy"
	"github.com/launchplan/launch/harness/wire"
	"github.com/launchplan/launch/internal/proc"
)

// chaosTimeout is for all of it; a machine that does nothing else needs a tenth.
const chaosTimeout = 2 * time.Minute

// TestChaos kills agents, dispatchers, the broker and whole nodes at random under many
// processes, brings them back, and looks: every process runs, exactly once, where the
// records say; and nothing on the machine survives the final kill.
func TestChaos(t *testing.T) {
	count, kills, seed := 200, 15, uint64(1)
	if os.Getenv("LAUNCH_LONG") != "" {
		count, kills, seed = 500, 60, uint64(time.Now().UnixNano())
	}
	if s := os.Getenv("CHAOS_SEED"); s != "" {
		fmt.Sscan(s, &seed)
	}
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	d := agents(5, count/4+1) // one node can be lost
	d.Engines[0].Heartbeat = wire.Duration(200 * time.Millisecond)
	d.Dispatchers = append(d.Dispatchers, deploy.Dispatcher{Name: "pd-2"})
	for i := range d.Dispatchers {
		d.Dispatchers[i].MinStartInterval = wire.Duration(100 * time.Millisecond)
	}
	r := newRig(t, d)
	ctx, cancel := context.WithTimeout(t.Context(), chaosTimeout)
	defer cancel()
	// A process that knows who it is, for whoever looks for it on the machine.
	r.define("chaos", "sleep", "3600")
	if err := r.scheduleMany(ctx, "c", count, wire.Parameters{Definition: "chaos", Restart: wire.RestartAlways, MaxRestarts: new(-1)}); err != nil {
		t.Fatal(err)
	}
	victims := []string{"pd-1", "pd-2", "broker"}
	for _, n := range d.Nodes {
		victims = append(victims, n.Name, n.Agents[0].Name)
	}
	for range kills {
		victim := victims[rnd.IntN(len(victims))]
		t.Logf("kill %s", victim)
		if err := r.h.KillNamed("", victim); err != nil {
			t.Fatal(err)
		}
		if rnd.IntN(3) == 0 {
			continue // the next comes on top of this
		}
		if _, err := r.h.Recover(ctx, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.h.Recover(ctx, nil); err != nil {
		t.Fatal(err)
	}
	var problem string
	all, err := r.records(ctx, func(all map[string]wire.Process) bool {
		if inState(all, wire.Running) != count {
			return false
		}
		problem = differs(r, all)
		return problem == ""
	})
	if err != nil {
		t.Fatalf("%v; %d of %d run; %s", err, inState(all, wire.Running), count, problem)
	}
	if err := r.h.Kill(); err != nil {
		t.Fatal(err)
	}
	if left := slices.Collect(proc.WithVariables("EPU_HARNESS_STATE=" + r.h.Dir)); len(left) > 0 {
		t.Errorf("after kill there are still %v", left)
	}
}

// differs compares the processes of the machine with the records.
func differs(r *rig, all map[string]wire.Process) string {
	if !proc.CanFindVariables {
		return "" // no way to look, on this system
	}
	seen := map[string]int{}
	for found := range proc.WithVariables("EPU_HARNESS_STATE=" + r.h.Dir) {
		upid := upidOf(found.PID)
		if upid == "" {
			continue
		}
		if seen[upid]++; seen[upid] > 1 {
			return fmt.Sprintf("process %s runs twice", upid)
		}
		if p := all[upid]; p.PID != found.PID {
			return fmt.Sprintf("process %s has pid %d on record and %d in fact", upid, p.PID, found.PID)
		}
	}
	if len(seen) != len(all) {
		return fmt.Sprintf("%d processes run, %d are on record", len(seen), len(all))
	}
	return ""
}

// upidOf is the id of the process that a pid belongs to; the harness's own daemons have none.
func upidOf(pid int) string {
	environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)) // one that has ended has none
	for entry := range strings.SplitSeq(string(environ), "\x00") {
		if upid, ok := strings.CutPrefix(entry, "EPU_UPID="); ok {
			return upid
		}
	}
	return ""
}

// TestFailover kills the leading dispatcher: another leads within three seconds, and
// requests that came meanwhile are answered.
func TestFailover(t *testing.T) {
	d := agents(1, 10)
	d.Dispatchers = append(d.Dispatchers, deploy.Dispatcher{Name: "pd-2"})
	r := newRig(t, d)
	r.define("sleeper", "sleep", "3600")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := r.scheduleMany(ctx, "before", 3, wire.Parameters{Definition: "sleeper"}); err != nil {
		t.Fatal(err)
	}
	st, err := r.h.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.h.KillNamed("dispatcher", st.Leader); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := r.scheduleMany(ctx, "after", 3, wire.Parameters{Definition: "sleeper"}); err != nil {
		t.Fatal(err)
	}
	t.Logf("another dispatcher answered after %v", time.Since(began))
	all, err := r.records(ctx, func(all map[string]wire.Process) bool { return inState(all, wire.Running) == 6 })
	if err != nil {
		t.Fatal(err)
	}
	for id, p := range all {
		if p.Starts != 1 || p.Round != 0 {
			t.Errorf("process %s was started %d times, round %d", id, p.Starts, p.Round)
		}
	}
}

// TestPausedLeader stops the leader until another leads and has found an agent dead, and has
// it go on: it must not take the silence in which it was stopped for the others' death.
func TestPausedLeader(t *testing.T) {
	d := agents(3, 10)
	// Longer than a busy machine keeps an agent from running; the test waits for it once.
	d.Engines[0].Heartbeat, d.Engines[0].Warning, d.Engines[0].Missing = wire.Duration(400*time.Millisecond), 4, 8
	d.Dispatchers = append(d.Dispatchers, deploy.Dispatcher{Name: "pd-2"})
	r := newRig(t, d)
	r.define("sleeper", "sleep", "3600")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	lives := wire.Parameters{Definition: "sleeper", Constraints: map[string]wire.Values{"node": {"node-00", "node-01"}}}
	dies := wire.Parameters{Definition: "sleeper", Constraints: map[string]wire.Values{"node": {"node-02"}}, Restart: wire.RestartNever}
	if err := errors.Join(r.scheduleMany(ctx, "before", 8, lives), r.scheduleMany(ctx, "witness", 1, dies)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.records(ctx, func(all map[string]wire.Process) bool { return inState(all, wire.Running) == 9 }); err != nil {
		t.Fatal(err)
	}
	st, err := r.h.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, health := range st.Daemons {
		if health.Name != st.Leader {
			continue
		}
		leader := proc.Identify(health.PID)
		if !leader.Alive() {
			t.Fatal("the leader is gone")
		}
		if err := leader.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		if err := r.h.KillNamed("node", "node-02"); err != nil {
			t.Fatal(err)
		}
		if err := r.scheduleMany(ctx, "while", 2, lives); err != nil {
			t.Fatal(err)
		}
		if _, err := r.records(ctx, func(all map[string]wire.Process) bool { return inState(all, wire.Failed) == 1 }); err != nil {
			t.Fatal(err)
		}
		if err := leader.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.scheduleMany(ctx, "after", 2, lives); err != nil {
		t.Fatal(err)
	}
	all, err := r.records(ctx, func(all map[string]wire.Process) bool { return inState(all, wire.Running) == 12 })
	if err != nil {
		t.Fatal(err)
	}
	for id, p := range all {
		if p.Starts != 1 {
			t.Errorf("process %s was started %d times: %s", id, p.Starts, p.Reason)
		}
	}
}

// TestSecretsStaySecret looks for the password where it should not be.
func TestSecretsStaySecret(t *testing.T) {
	r := newRig(t, agents(1, 1))
	data, err := os.ReadFile(r.record.Credentials)
	if err != nil {
		t.Fatal(err)
	}
	_, secret, _ := strings.Cut(string(data), `"password":"`)
	secret, _, _ = strings.Cut(secret, `"`)
	st, err := r.h.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range st.Daemons {
		argv, err := exec.Command("ps", "-o", "args=", "-p", fmt.Sprint(d.PID)).Output()
		if err != nil {
			argv, err = os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", d.PID))
		}
		if err != nil || len(argv) == 0 {
			t.Fatalf("the argv of %s: %v", d.Name, err)
		}
		if strings.Contains(string(argv), secret) {
			t.Errorf("the password is in the argv of %s", d.Name)
		}
	}
	grep := exec.Command("grep", "-rlF", "-e", secret, r.h.Dir) // it may begin with a dash
	found, _ := grep.Output()
	if got := strings.TrimSpace(string(found)); got != r.record.Credentials {
		t.Errorf("the password is in %s", got)
	}
}
