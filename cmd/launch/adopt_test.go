//go:build unix

package main

import (
	"strings"
	"testing"

	"github.com/launchplan/launch/internal/ec2test"
)

// A run whose record was lost is taken over by what its instances' tags tell: it can be looked at, repaired and ended.
func TestAdopt(t *testing.T) {
	credentials(t)
	w := newWorld(t)
	cloud := w.cloud(ec2test.Options{})
	plan := w.plan("shop", machines(cloud, original)+`
		level "one" {
		  service "db" {
		    runner = runner.ec2.m
		    boot { script = "echo url=db > $LAUNCH_EXPORTS" }
		    exports = { url = string }
		  }
		  service "here" {
		    boot { command = ["true"] }
		  }
		}
		level "two" {
		  service "beside" {
		    on = service.db
		    process { command = ["sleep", "1000"] }
		  }
		}
	`)
	w.launch("boot", plan, "-n", "shop").want(0)

	w.state = w.path("other")
	w.env = append(w.env, "LAUNCH_STATE="+w.state)
	w.launch("adopt", "market", plan).want(3, `nothing in the cloud has the tags of run "market"`)
	lines := strings.Split(strings.TrimSpace(w.launch("adopt", "shop", plan, "-o", "json").want(0).stdout), "\n")
	summary := w.object(lines[len(lines)-1])
	w.wantFields("summary", summary, "type run id status services failed outputs")
	w.launch("adopt", "shop", plan).want(1, "is known here already")
	w.launch("status", "shop").want(1, "the key of this run's instances cannot be read")
	w.launch("terminate", "shop").want(0)
	w.ended(cloud, 1)

	w.launch("boot", plan, "-n", "shop").want(0)
	w.state = w.path("third")
	w.env = append(w.env, "LAUNCH_STATE="+w.state)
	w.launch("boot", w.plan("local", `level "one" {
	  service "s" {
	    boot { command = ["true"] }
	  }
	}`), "-n", "shop").want(0)
	w.launch("adopt", "shop", plan).want(2, "another run named shop is live here: end it with `launch terminate shop`")
	w.launch("terminate", "shop").want(0)
	w.launch("adopt", "shop", plan).want(0, "1 service of 3 found", "`launch repair shop` replaces them")
	w.launch("repair", "shop").want(0, "3 ready")
	w.launch("terminate", "shop").want(0)
	w.ended(cloud, 3)
}
