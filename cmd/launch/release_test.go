//go:build unix

package main

import (
	"fmt"
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
