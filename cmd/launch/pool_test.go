//go:build unix

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/launchplan/launch/internal/ec2test"
	"github.com/launchplan/launch/runners/ec2"
)

// member is one of the instances of the world's only pool, and since when its group is there.
func (w *world) member(cloud *ec2test.Server) (id string, group time.Time) {
	w.t.Helper()
	found, err := ec2.Find(w.t.Context(), ec2.Config{Region: "us-west-2", Endpoint: cloud.URL})
	w.must(err)
	for _, f := range found {
		switch f.Kind {
		case "instance":
			id = f.ID
		case "scaling-group":
			group = f.Created
		}
	}
	return id, group
}

// verified runs status until it ends with 0: the group replaces a member by itself, which is nothing that a test could wait on.
func (w *world) verified(run string) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		r := w.launch("status", run)
		if r.status == 0 {
			return
		}
		if time.Now().After(deadline) {
			r.want(0)
		}
	}
}

// A pool from its boot to its end: a member dies, its size changes, its group is deleted.
func TestPool(t *testing.T) {
	credentials(t)
	w := newWorld(t)
	cloud := w.cloud(ec2test.Options{Pending: ec2test.Delay{Min: 50 * time.Millisecond}, Ending: 20 * time.Millisecond})
	plan := w.plan("shop", poolPlan)
	w.launch("boot", plan, "-n", "shop").want(0, "pool.workers ready")
	w.launch("status", "shop").want(0)
	member, group := w.member(cloud)

	none := 0
	cloud.SetFaults(ec2test.Faults{Capacity: &none})
	w.must(cloud.Kill(member))
	w.launch("status", "shop").want(1, "has 1 of 2 instances in service")
	cloud.SetFaults(ec2test.Faults{})
	w.verified("shop")

	// Another size, in place.
	w.launch("reload", "shop", plan, "--var", "size=4").want(2, "~ pool.workers is given another size", "1 service unchanged")
	w.launch("reload", "shop", plan, "--var", "size=4", "-y").want(0, "~ pool.workers is given another size")
	w.size(cloud, 4)
	w.launch("reload", "shop", plan, "--var", "size=1", "-y").want(0)
	w.launch("status", "shop").want(0)
	if _, now := w.member(cloud); !now.Equal(group) {
		t.Errorf("the group of %v was made again at %v", group, now)
	}
	w.launch("history", "shop").want(0).not("pool.workers: ready -> terminating")

	// Machines of something else: another group.
	w.launch("reload", "shop", plan, "--var", "size=2", "--var", "user_data=#!/bin/sh\ntrue", "-y").want(0, "~ pool.workers is ended and brought up again", "made of something else")
	_, second := w.member(cloud)
	if second.Equal(group) {
		t.Error("a changed user_data leaves the group as it was")
	}
	w.launch("status", "shop").want(0)

	// Deleted behind launch's back: status tells, repair makes it again.
	w.launch("clean", "shop", "--yes", "--state", w.path("other")).want(0)
	w.launch("status", "shop").want(1, "is gone")
	w.launch("repair", "shop").want(0, "it was gone")
	w.launch("status", "shop").want(0)
	w.size(cloud, 2)

	if got := strings.Count(w.content("app"), "\n"); got != 1 {
		t.Errorf("what uses the pool was booted %d times:\n%s", got, w.content("app"))
	}
	w.launch("terminate", "shop").want(0)
	w.ended(cloud, cloud.Report().Started)
}

// size checks how many machines the pool has.
func (w *world) size(cloud *ec2test.Server, want int) {
	w.t.Helper()
	if got := cloud.Report().States["running"]; got != want {
		w.t.Errorf("the pool has %d machines, want %d", got, want)
	}
}

// credentials are for what this process asks of an endpoint.
func credentials(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEC2TEST")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
}

// A pool becomes instances and a pool again: what it was before is ended each time.
func TestPoolAndInstance(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cloud := w.cloud(ec2test.Options{})
	form := func(pool string) string {
		return w.plan("shop", machines(cloud, original+"\n"+pool)+`
			level "one" {
			  service "w" { runner = runner.ec2.m }
			}
		`)
	}
	w.launch("boot", form("pool { size = 2 }"), "-n", "shop").want(0)
	w.launch("reload", "shop", form(""), "-y").want(0, "one.w is ended and brought up again")
	w.size(cloud, 1)
	if left := cloud.Report(); left.Groups+left.Templates != 0 {
		t.Errorf("left of the pool: %+v", left)
	}
	w.launch("status", "shop").want(0)
	w.launch("reload", "shop", form("pool { size = 3 }"), "-y").want(0)
	w.size(cloud, 3)
	w.launch("status", "shop").want(0)
	w.launch("terminate", "shop").want(0)
	w.ended(cloud, 6)
}

// What cannot be started is told at once; a resume goes on when it can be.
func TestPoolWithoutCapacity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	none := 0
	cloud := w.cloud(ec2test.Options{Faults: ec2test.Faults{Capacity: &none}})
	w.launch("boot", w.plan("shop", poolPlan), "-n", "shop").want(1, "cannot start an instance", "InsufficientInstanceCapacity")
	cloud.SetFaults(ec2test.Faults{})
	w.launch("resume", "shop").want(0)
	w.launch("terminate", "shop").want(0)
	w.ended(cloud, 2)
}

// A launch that is killed around any commit while it makes, resizes or deletes a pool loses nothing of it.
func TestKilledWithPool(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many programs")
	}
	bin := buildCrashLaunch(t)
	for _, command := range []string{"boot", "reload", "replace", "terminate"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			killedAround(t, 8, func(_ int, point string) bool { return poolKilledAt(t, bin, command, point) })
		})
	}
}

// killedAround has a command killed before and after its commits, of which a sample leaves out less than step at a time.
func killedAround(t *testing.T, step int, run func(n int, point string) (killed bool)) {
	t.Helper()
	reached := 0
	for n, killed := 1, true; killed; n++ {
		for _, side := range []string{"before", "after"} {
			if killed = run(n, fmt.Sprintf("%d:%s", n, side)); killed {
				reached++
			}
		}
		if os.Getenv("LAUNCH_LONG") == "" {
			n += rand.IntN(step)
		}
	}
	if reached == 0 {
		t.Error("it was never killed")
	}
	t.Logf("killed at %d points", reached)
}

// killedAt runs a command that is killed at a point, and tells whether it came to that; else it must have ended well.
func (w *world) killedAt(bin, point string, args ...string) bool {
	w.t.Helper()
	cmd := exec.Command(bin, args...)
	env := w.env
	w.env = append(w.env, "LAUNCH_TEST_KILL_AT_WRITE="+point)
	r := w.start(cmd).end()
	w.env = env
	if r.status == -1 {
		return true
	}
	r.want(0)
	return false
}

func poolKilledAt(t *testing.T, bin, command, point string) (killed bool) {
	t.Helper()
	w := newWorld(t)
	cloud := w.cloud(ec2test.Options{})
	plan := w.plan("shop", poolPlan)
	args := map[string][]string{
		"boot":      {"boot", plan, "-n", "shop"},
		"reload":    {"reload", "shop", plan, "--var", "size=3", "--yes"},
		"replace":   {"reload", "shop", plan, "--var", "user_data=#!/bin/sh", "--yes"},
		"terminate": {"terminate", "shop"},
	}[command]
	if command != "boot" {
		w.launch("boot", plan, "-n", "shop").want(0)
	}
	killed = w.killedAt(bin, point, args...)
	switch command {
	case "boot":
		if w.launch("resume", "shop").status == exitNoRun {
			w.launch(args...).want(0) // it was killed before there was a run
		}
	case "reload", "replace": // before the new plan was recorded, the run is what it was
		w.launch("resume", "shop").want(0)
		w.launch(args...).want(0)
	}
	if command != "terminate" {
		w.launch("status", "shop").want(0)
		w.size(cloud, map[string]int{"boot": 2, "reload": 3, "replace": 2}[command])
	}
	if left := cloud.Report(); command != "terminate" && (left.Groups != 1 || left.Templates != 1) {
		t.Errorf("%s killed at %s: %d groups, %d templates", command, point, left.Groups, left.Templates)
	}
	w.launch("terminate", "shop").want(0)
	w.ended(cloud, cloud.Report().Started)
	return killed
}

// What a pool's machines are told can be made of what earlier services have: it is asked for when their turn has come,
// masked everywhere, and the pool is made anew when it changes.
func TestPoolIsToldOfServices(t *testing.T) {
	credentials(t)
	w := newWorld(t)
	cloud := w.cloud(ec2test.Options{})
	form := func(token string, size int) string {
		return w.plan("shop", fmt.Sprintf(`
			runner "ec2" "w" {
			  image         = "ami-12345678"
			  instance_type = "t3.micro"
			  pool { size = %d }
			}
			level "base" {
			  service "broker" {
			    boot { script = "echo token=%s > $LAUNCH_EXPORTS" }
			    export "token" {
			      type      = string
			      sensitive = true
			    }
			  }
			}
			level "pool" {
			  service "workers" {
			    runner    = runner.ec2.w
			    user_data = "#!/bin/sh\necho ${service.broker.token} >> %s\n"
			  }
			}
		`, size, token, w.path("told")))
	}
	told := func(token string) {
		t.Helper()
		for deadline := time.Now().Add(patience); !strings.Contains(w.content("told"), token); { // by a machine of the endpoint, of which there is no event
			if time.Now().After(deadline) {
				t.Fatalf("no machine was told %s:\n%s", token, w.content("told"))
			}
		}
	}
	plan := form("first-token-of-the-broker", 1)
	w.launch("validate", plan).want(0)
	w.launch("boot", plan, "--dry-run").want(0, "user_data", "known after base.broker")
	w.launch("boot", plan, "-n", "shop").want(0)
	told("first-token-of-the-broker")
	w.launch("status", "shop").want(0)
	_, first := w.member(cloud)

	w.launch("reload", "shop", form("first-token-of-the-broker", 2), "-y").want(0)
	w.size(cloud, 2)
	if _, now := w.member(cloud); !now.Equal(first) {
		t.Error("another size made another group")
	}
	w.launch("reload", "shop", form("second-token-of-the-broker", 2), "-y").want(0, "made of something else")
	told("second-token-of-the-broker")
	w.launch("status", "shop").want(0)
	w.launch("repair", "shop").want(0)
	w.size(cloud, 2)
	w.launch("history", "shop", "-o", "json").want(0).not("token-of-the-broker")
	w.launch("terminate", "shop").want(0)
	w.ended(cloud, cloud.Report().Started)
	if out := w.sh("grep -rl -e -token-of-the-broker --exclude-dir=files $LAUNCH_STATE | grep -v -e launch.db || true").want(0); out.stdout != "" {
		t.Errorf("the token is in\n%s", out.stdout)
	}
}
