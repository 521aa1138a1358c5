//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/launchplan/launch/internal/ec2test"
)

// What goes with a machine that launch made is not ended by hand: terminate connects only where something runs, or
// where the plan says what is to be done at the end.
func TestTerminateConnectsWhereSomethingRuns(t *testing.T) {
	credentials(t)
	for _, c := range []struct {
		name, service string
		logins        int
	}{
		{"files alone", `boot { script = "echo 1 > file" }`, 0},
		{"a daemon", `boot { script = "sleep 1000 >/dev/null 2>&1 &" }`, 1},
		{"a process", `process { command = ["sleep", "1000"] }`, 1},
		{"a terminate program", "boot { command = [\"true\"] }\n terminate { script = \"true\" }", 1},
		{"a gone probe", "boot { command = [\"true\"] }\n gone { command = [\"true\"] }", 1},
		{"a program that failed", `boot { command = ["false"] }`, 0},
		{"services beside it", "boot { command = [\"true\"] }\n}\n}\nlevel \"two\" {\nservice \"beside\" {\non = service.web\nboot { command = [\"true\"] }", 0},
		{"a daemon beside it", "boot { command = [\"true\"] }\n}\n}\nlevel \"two\" {\nservice \"beside\" {\non = service.web\nboot { script = \"sleep 1000 >/dev/null 2>&1 &\" }", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			cloud := w.cloud(ec2test.Options{})
			plan := w.plan("shop", machines(cloud, original)+fmt.Sprintf(`
				level "one" {
				  service "web" {
				    runner = runner.ec2.m
				    %s
				  }
				}
			`, c.service))
			w.launch("boot", plan, "-n", "shop")
			before := cloud.Report().Logins
			if before == 0 {
				t.Error("boot did not connect")
			}
			w.launch("terminate", "shop").want(0, "one.web terminated")
			if got := cloud.Report().Logins - before; got != c.logins {
				t.Errorf("terminate connected %d times, want %d", got, c.logins)
			}
			w.ended(cloud, 1)
		})
	}
}

// An instance that the plan names stays: what launch has on it is ended and removed there, or told to be left.
func TestTerminateOnANamedInstance(t *testing.T) {
	credentials(t)
	for _, c := range []struct{ name, service string }{
		{"files alone", `boot { script = "echo 1 > file" }`},
		{"a process", `process { command = ["sleep", "1000"] }`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			cloud := w.cloud(ec2test.Options{})
			w.launch("boot", w.plan("base", machines(cloud, original)+"level \"one\" {\nservice \"base\" { runner = runner.ec2.m }\n}\n"), "-n", "base").want(0)
			id, _ := w.member(cloud)
			keys, err := filepath.Glob(filepath.Join(w.state, "runs", "*", "ec2-key"))
			if err != nil || len(keys) != 1 {
				t.Fatal(keys, err)
			}
			work := w.path("work")
			w.must(os.Mkdir(work, 0o700))
			plan := w.plan("guest", fmt.Sprintf(`
				runner "ec2" "m" {
				  ssh {
				    user            = "tester"
				    port            = %d
				    identity_file   = %q
				    host_key_policy = "accept-new"
				    work_root       = %q
				  }
				}
				level "one" {
				  service "web" {
				    runner = runner.ec2.m
				    host   = %q
				    %s
				  }
				}
			`, cloud.SSHPort, keys[0], work, id, c.service))
			w.launch("boot", plan, "-n", "guest").want(0)
			if left := folders(t, work); left == "" {
				t.Fatal("nothing was done on the instance")
			}
			hidden := keys[0] + ".hidden"
			w.must(os.Rename(keys[0], hidden))
			w.launch("terminate", "guest").want(1, "was not ended").not("its host is gone")
			w.must(os.Rename(hidden, keys[0]))
			w.launch("terminate", "guest").want(0, "one.web terminated")
			if left := folders(t, work); left != "" {
				t.Errorf("left on the instance: %s", left)
			}
			w.size(cloud, 1)
			w.launch("boot", plan, "-n", "left").want(0)
			w.must(os.Rename(keys[0], hidden))
			w.launch("terminate", "left", "--force").want(1, "run left is terminated, but something is left", "was not ended")
			w.must(os.Rename(hidden, keys[0]))
			if folders(t, work) == "" {
				t.Error("nothing is left, though the host could not be reached")
			}
			w.launch("terminate", "left").want(0)
			w.launch("purge", "left").want(0)
			before := folders(t, work)
			w.launch("boot", plan, "-n", "late").want(0)
			cloud.SetFaults(ec2test.Faults{Refuse: map[string]ec2test.Error{"DescribeInstances": {Code: "UnauthorizedOperation", Status: 403}}})
			w.launch("terminate", "late").want(1, "one.web terminated", "run late is not terminated: look for instances of the run: these credentials may not do that")
			cloud.SetFaults(ec2test.Faults{})
			w.launch("terminate", "late").want(0)
			if left := folders(t, work); left != before {
				t.Errorf("on the instance there is %s, and was %s", left, before)
			}
			w.launch("boot", plan, "-n", "late").want(0)
			w.must(cloud.Impair(id))
			w.launch("terminate", "late").want(1, id+" is impaired", "was not ended")
			w.must(cloud.Kill(id))
			w.launch("terminate", "late").want(0, "one.web terminated")
			w.launch("terminate", "base").want(0)
			w.ended(cloud, 1)
		})
	}
}

// Where a machine cannot be given back, the run is not terminated, though those that only share it have nothing left.
func TestTerminateThatCannotRelease(t *testing.T) {
	credentials(t)
	w := newWorld(t)
	cloud := w.cloud(ec2test.Options{})
	plan := w.plan("shop", machines(cloud, original)+`
		level "one" {
		  service "web" { runner = runner.ec2.m }
		}
		level "two" {
		  service "beside" {
		    on = service.web
		    boot { command = ["true"] }
		  }
		}
	`)
	refused := ec2test.Faults{Refuse: map[string]ec2test.Error{"TerminateInstances": {Code: "UnauthorizedOperation", Status: 403}}}
	w.launch("boot", plan, "-n", "shop").want(0)
	cloud.SetFaults(refused)
	w.launch("terminate", "shop").want(1, "one.web", "could not be released")
	w.launch("status", "shop").want(1)
	w.size(cloud, 1)
	cloud.SetFaults(ec2test.Faults{})
	w.launch("terminate", "shop").want(0)
	w.ended(cloud, 1)

	w.launch("boot", plan, "-n", "shop").want(0)
	cloud.SetFaults(refused)
	w.launch("terminate", "shop", "--force").want(1, "run shop is terminated, but something is left", "could not be released")
	w.size(cloud, 1)
	cloud.SetFaults(ec2test.Faults{})
	w.launch("clean", "--yes").want(0, "2 things ended")
	w.ended(cloud, 2)
}

// folders are the names in a folder.
func folders(t *testing.T, dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}
