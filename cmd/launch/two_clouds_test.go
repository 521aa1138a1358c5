//go:build unix

package main

import (
	"strconv"
	"testing"

	"github.com/launchplan/launch/internal/ec2test"
)

// A run can have machines in two clouds, which have a region of the same name: neither takes the other's for its own.
func TestTwoCloudsInOneRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	second := ec2test.Start(t, ec2test.Options{Account: "210987654321"})
	first := w.cloud(ec2test.Options{})
	plan := w.plan("shop", machines(first, original)+`
		runner "ec2" "n" {
		  image         = "ami-12345678"
		  instance_type = "t3.micro"
		  endpoint      = "`+second.URL+`"
		  ssh {
		    user = "tester"
		    port = `+strconv.Itoa(second.SSHPort)+`
		  }
		}
		level "one" {
		  service "web" { runner = runner.ec2.m }
		  service "db" { runner = runner.ec2.n }
		}
	`)
	w.launch("boot", plan, "-n", "shop").want(0, "2 ready")
	w.launch("status", "shop").want(0)
	w.launch("repair", "shop").want(0, "2 ready").not("brought up again")
	w.launch("terminate", "shop").want(0)
	for name, cloud := range map[string]*ec2test.Server{"first": first, "second": second} {
		if r := cloud.Report(); r.Started != 1 || r.States["terminated"] != 1 || r.KeyPairs > 0 {
			t.Errorf("left in the %s: %v of %d, %d key pairs", name, r.States, r.Started, r.KeyPairs)
		}
	}
}
