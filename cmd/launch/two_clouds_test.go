//go:build unix

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/launchplan/launch/internal/ec2test"
)

// A run can have machines in two clouds, which have a region of the same name: neither takes the other's for its own.
func TestTwoCloudsInOneRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	second := ec2test.Start(t, ec2test.Options{Account: "210987654321"})
	first := w.cloud(ec2test.Options{})
	plan := w.plan("shop", machines(first, original)+secondMachines(second, "us-west-2")+`
		level "one" {
		  service "web" { runner = runner.ec2.m }
		  service "db" { runner = runner.ec2.n }
		}
	`)
	w.launch("boot", plan, "-n", "shop").want(0, "2 ready")
	w.launch("status", "shop").want(0)
	w.launch("repair", "shop").want(0, "2 ready").not("brought up again")
	if found := w.launch("history", "--cloud").want(0).stdout; strings.Count(found, "\nkey-pair ") != 2 { // of one name
		t.Errorf("not a key pair of each cloud:\n%s", found)
	}
	w.launch("terminate", "shop").want(0)
	bothEnded(t, first, second)
}

// A run that is adopted goes on where each of its runner blocks has it, whatever was found first.
func TestAdoptInTwoRegions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	second := ec2test.Start(t, ec2test.Options{Region: "us-east-1"})
	first := w.cloud(ec2test.Options{})
	plan := w.plan("shop", machines(first, original)+secondMachines(second, "us-east-1")+`
		level "one" {
		  service "db" { runner = runner.ec2.n }
		  service "web" { runner = runner.ec2.m }
		}
	`)
	w.launch("boot", plan, "-n", "shop").want(0, "2 ready")
	w.state = w.path("other")
	w.env = append(w.env, "LAUNCH_STATE="+w.state)
	w.launch("adopt", "shop", plan, "--region", "us-west-2").want(0, "2 services of 2 found")
	w.env = append(w.env, "AWS_REGION=us-east-2")
	w.launch("terminate", "shop").want(0)
	bothEnded(t, first, second)
}

// secondMachines is a runner block for machines of another endpoint than the environment's.
func secondMachines(cloud *ec2test.Server, region string) string {
	return fmt.Sprintf(`
		runner "ec2" "n" {
		  image         = "ami-12345678"
		  instance_type = "t3.micro"
		  endpoint      = %q
		  region        = %q
		  ssh {
		    user = "tester"
		    port = %d
		  }
		}
	`, cloud.URL, region, cloud.SSHPort)
}

func bothEnded(t *testing.T, clouds ...*ec2test.Server) {
	t.Helper()
	for i, cloud := range clouds {
		if r := cloud.Report(); r.Started != 1 || r.States["terminated"] != 1 || r.KeyPairs > 0 {
			t.Errorf("left in cloud %d: %v of %d, %d key pairs", i, r.States, r.Started, r.KeyPairs)
		}
	}
}
