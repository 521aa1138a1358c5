//go:build unix

package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/launchplan/launch/internal/ec2test"
)

// machines is the block of a runner, runner.ec2.m, whose machines can be logged in to.
func machines(cloud *ec2test.Server, settings string) string {
	return fmt.Sprintf(`
		runner "ec2" "m" {
		  %s
		  ssh {
		    user = "tester"
		    port = %d
		  }
		}
	`, settings, cloud.SSHPort)
}

// machinePlan is a service on an instance of its own, and one that runs beside it.
func (w *world) machinePlan(cloud *ec2test.Server, settings string) string {
	return w.plan("shop", machines(cloud, settings)+fmt.Sprintf(`
		level "one" {
		  service "web" {
		    runner = runner.ec2.m
		    process { command = ["sleep", "1000"] }
		  }
		}
		level "two" {
		  service "beside" {
		    on = service.web
		    boot { script = "echo beside >> %s" }
		  }
		}
	`, w.path("log")))
}

const (
	original = "image = \"ami-12345678\"\ninstance_type = \"t3.micro\""
	another  = "image = \"ami-87654321\"\ninstance_type = \"t3.micro\""
)

// What makes another machine of a service's instance replaces it; what does not leaves it in place.
func TestReloadReplacesMachine(t *testing.T) {
	credentials(t)
	w := newWorld(t)
	cloud := w.cloud(ec2test.Options{Images: []string{"ami-12345678", "ami-87654321"}})
	w.launch("boot", w.machinePlan(cloud, original), "-n", "shop").want(0)
	machine, _ := w.member(cloud)

	w.launch("reload", "shop", w.machinePlan(cloud, original+"\nmetadata = \"v2\"\ntags = { team = \"shop\" }"), "-y").
		want(0, "~ one.web is ended and brought up again").not("machine made anew")
	if now, _ := w.member(cloud); now != machine {
		t.Errorf("another tag made %s of %s", now, machine)
	}
	started := 1
	for _, settings := range []string{
		another,
		"image = \"ami-87654321\"\ninstance_type = \"t3.small\"",
		another + "\nuser_data = \"#!/bin/sh\\ntrue\"",
		another + "\nmetadata_hops = 2",
	} {
		plan := w.machinePlan(cloud, settings)
		w.launch("reload", "shop", plan).want(2, "~ one.web is ended and brought up again on a machine made anew", "~ two.beside is ended and brought up again")
		if now, _ := w.member(cloud); now != machine {
			t.Errorf("a reload that was not confirmed made %s of %s", now, machine)
		}
		w.launch("reload", "shop", plan, "-y").want(0, "machine made anew", "made of something else")
		now, _ := w.member(cloud)
		if now == machine {
			t.Errorf("with %s, the machine is %s as before", settings, now)
		}
		machine = now
		started++
		w.size(cloud, 1)
		w.launch("status", "shop").want(0)
		w.launch("reload", "shop", plan, "-y").want(0, "no service of run shop differs")
	}
	w.launch("terminate", "shop").want(0)
	w.ended(cloud, started)
}

// Where the cloud refuses what the plan asks for, the plan has to be changed, and what brings the change in is told.
func TestReloadMendsRefusedRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cloud := w.cloud(ec2test.Options{})
	w.launch("boot", w.machinePlan(cloud, another), "-n", "shop").want(exitFailed, "InvalidAMIID.NotFound", "correct the runner block, then `launch reload`")
	w.launch("status", "shop").want(exitFailed, "`launch reload shop PLAN` where the plan is to blame")
	w.launch("reload", "shop", w.machinePlan(cloud, original), "-y").want(exitOK, "run shop is ready")
	w.launch("terminate", "shop").want(exitOK)
	w.ended(cloud, 1)
}

// What the cloud says of a request may have in it what the plan gave the runner block as a secret.
func TestRefusedRequestKeepsSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cloud := w.cloud(ec2test.Options{})
	plan := `variable "type" { sensitive = true }` + "\n" + machines(cloud, "image = \"ami-12345678\"\ninstance_type = var.type") + `
		level "one" {
		  service "web" { runner = runner.ec2.m }
		}
	`
	const secret = "correct.horse"
	w.launch("boot", w.plan("p", plan), "-n", "r", "--var", "type="+secret).want(exitFailed, "Invalid value '(sensitive)'").not(secret)
	w.launch("status", "r", "--cached").want(exitFailed, "'(sensitive)'").not(secret)
	w.launch("resume", "r", "-o", "json", "--var", "type="+secret).want(exitFailed, "(sensitive)").not(secret)
	w.launch("history", "r").want(exitOK, "(sensitive)").not(secret)
	if store := w.content("state/launch.db"); strings.Contains(store, secret) {
		t.Error("the secret is in the store")
	}
	w.launch("terminate", "r", "--var", "type="+secret).want(exitOK)
}

// An instance that ends before anything was done with it is replaced at once; where that one ends too, the service has failed, and a resume
// goes on with another.
func TestMachineThatDiesWhileStarting(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		die, status int
		pending     time.Duration
	}{{1, exitOK, 50 * time.Millisecond}, {2, exitFailed, 50 * time.Millisecond}, {1, exitOK, 0}} {
		w := newWorld(t)
		cloud := w.cloud(ec2test.Options{Pending: ec2test.Delay{Min: c.pending}, Faults: ec2test.Faults{DieStarting: c.die}})
		plan := w.plan("shop", machines(cloud, original)+`
			level "one" {
			  service "web" {
			    runner = runner.ec2.m
			    boot { script = "true" }
			  }
			}
		`)
		w.launch("boot", plan, "-n", "shop").want(c.status, "Internal error on launch", "another one is asked for")
		w.launch("resume", "shop").want(exitOK)
		w.size(cloud, 1)
		w.launch("terminate", "shop").want(exitOK)
		w.ended(cloud, c.die+1)
	}
}

// A service that moves off its instance leaves nothing of it, and gets another one when it moves back.
func TestReloadMovesOffMachine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cloud := w.cloud(ec2test.Options{})
	form := func(other string) string {
		return w.plan("shop", machines(cloud, original)+fmt.Sprintf(`
			level "one" {
			  service "first" {
			    runner = runner.ec2.m
			    boot { script = "true" }
			  }
			}
			level "two" {
			  service "second" {
			    %s
			    process { command = ["sleep", "1000"] }
			  }
			}
		`, other))
	}
	own := "runner = runner.ec2.m"
	w.launch("boot", form(own), "-n", "shop").want(0)
	w.size(cloud, 2)
	for _, other := range []string{"on = service.first", ""} {
		w.launch("reload", "shop", form(other), "-y").want(0, "two.second is ended and brought up again")
		w.size(cloud, 1)
		w.launch("status", "shop").want(0)
		w.launch("reload", "shop", form(own), "-y").want(0, "two.second is ended and brought up again on a machine made anew")
		w.size(cloud, 2)
		w.launch("status", "shop").want(0)
	}
	w.launch("terminate", "shop").want(0)
	w.ended(cloud, 4)
	w.wantNoProcess()
}

// A service whose host the plan names otherwise is ended where it is, and brought up where it is to be.
func TestReloadMovesToAnotherHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	place := overSSH(t)
	form := func(host string) string {
		return w.plan("shop", place.runner+fmt.Sprintf(`
			level "one" {
			  service "moves" {
			    runner = runner.ssh.r
			    host   = %q
			    process { script = "echo up >> %s; echo $$ > %[2]s.pid; exec sleep 1000" }
			    ready { command = ["test", "-e", "%[2]s.pid"] }
			    terminate { script = "echo down >> %[2]s; rm %[2]s.pid" }
			  }
			}
		`, host, w.path("record")))
	}
	w.launch("boot", form("127.0.5.1"), "-n", "shop").want(0)
	pid, err := strconv.Atoi(strings.TrimSpace(w.content("record.pid")))
	w.must(err)
	w.launch("reload", "shop", form("127.0.5.2"), "-y").want(0, "one.moves is ended and brought up again", "the plan has it on another host now")
	w.gone(pid)
	if got := w.status("shop").Levels[0].Services[0].Host; got != "127.0.5.2" {
		t.Errorf("its host is %s", got)
	}
	w.launch("reload", "shop", form("127.0.5.2"), "-y").want(0, "no service of run shop differs")
	w.launch("terminate", "shop").want(0)
	if got := w.content("record"); got != "up\ndown\nup\ndown\n" {
		t.Errorf("its programs ran as %q", got)
	}
	w.wantNoProcess()
}

// A launch that is killed around any commit while it replaces a machine has one in the end, and none after a terminate.
func TestKilledWhileReplacingMachine(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many programs")
	}
	t.Parallel()
	bin := buildCrashLaunch(t)
	killedAround(t, 6, func(n int, point string) bool { return replacementKilledAt(t, bin, point, n%2 == 0) })
}

func replacementKilledAt(t *testing.T, bin, point string, straightToTheEnd bool) (killed bool) {
	t.Helper()
	w := newWorld(t)
	cloud := w.cloud(ec2test.Options{Images: []string{"ami-12345678", "ami-87654321"}})
	w.launch("boot", w.machinePlan(cloud, original), "-n", "shop").want(0)
	args := []string{"reload", "shop", w.machinePlan(cloud, another), "-y"}
	killed = w.killedAt(bin, point, args...)
	if !straightToTheEnd {
		w.launch("resume", "shop").want(0) // before the new plan was recorded, the run is what it was
		w.launch(args...).want(0)
		w.launch("status", "shop").want(0)
		w.size(cloud, 1)
	}
	w.launch("terminate", "shop").want(0)
	w.ended(cloud, cloud.Report().Started)
	return killed
}
