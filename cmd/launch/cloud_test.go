//go:build unix

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/launchplan/launch/internal/ec2test"
)

// cloud starts an endpoint for the world's programs.
func (w *world) cloud(opt ec2test.Options) *ec2test.Server {
	w.t.Helper()
	cloud := ec2test.Start(w.t, opt)
	w.env = append(append(w.env, cloud.Env()...), "AWS_CONFIG_FILE="+os.DevNull)
	return cloud
}

// poolPlan is a service that is a pool, and one that uses it.
const poolPlan = `
	variable "size" {
	  type    = number
	  default = 2
	}
	variable "user_data" {
	  type    = string
	  default = ""
	}
	runner "ec2" "workers" {
	  image         = "ami-12345678"
	  instance_type = "t3.micro"
	  user_data     = var.user_data
	  pool { size = var.size }
	}
	level "pool" {
	  service "workers" { runner = runner.ec2.workers }
	}
	level "use" {
	  service "app" {
	    boot {
	      script = "echo $GROUP >> $WORLD/app"
	      env    = { GROUP = service.workers.address }
	    }
	  }
	}
`

// inCloud is what `history --cloud` lists: how many of a kind, and how their run is known.
func (w *world) inCloud(args ...string) map[string]int {
	w.t.Helper()
	r := w.launch(append([]string{"history", "--cloud", "-o", "json"}, args...)...).want(0)
	var things []thingView
	if err := json.Unmarshal([]byte(r.stdout), &things); err != nil || things == nil {
		w.t.Fatalf("history --cloud -o json: %v\n%s", err, r.stdout)
	}
	kinds := map[string]int{}
	for _, c := range things {
		kinds[c.Kind+" of "+c.Run+", "+c.runIs()+": "+strings.Join(c.Ends, ", ")]++
		if c.Created.IsZero() && c.Kind != "key-pair" || c.Region == "" || c.ID == "" {
			w.t.Errorf("of %s %s: since %v, in %q", c.Kind, c.ID, c.Created, c.Region)
		}
	}
	return kinds
}

// What the cloud has is listed with the run that it is of, whoever launched that; only looking is done.
func TestHistoryFindsByTag(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cloud := w.cloud(ec2test.Options{})
	if got := w.inCloud(); len(got) != 0 {
		t.Errorf("an empty cloud has %v", got)
	}
	w.launch("history", "--cloud").want(0, "nothing in the cloud")
	w.launch("boot", w.plan("shop", poolPlan), "-n", "shop").want(0)

	kinds := func(suffix string) map[string]int {
		return map[string]int{
			"instance of shop, " + suffix: 2, "scaling-group of shop, " + suffix: 1,
			"launch-template of shop, " + suffix: 1, "key-pair of shop, " + suffix: 1,
		}
	}
	before := cloud.Report().Calls
	if diff := cmp.Diff(kinds("live: launch terminate shop"), w.inCloud()); diff != "" {
		t.Errorf("of a live run (-want +got):\n%s", diff)
	}
	w.launch("history", "--cloud").want(0, "pool.workers", "run shop is live: `launch terminate shop` ends it")
	if diff := cmp.Diff(map[string]int{}, w.inCloud("another")); diff != "" {
		t.Errorf("of another run (-want +got):\n%s", diff)
	}
	w.launch("clean").want(0, "nothing is left")

	other := []string{"--state", filepath.Join(w.dir, "other")}
	if diff := cmp.Diff(kinds("unknown here: launch clean shop, launch adopt shop PLAN"), w.inCloud(other...)); diff != "" {
		t.Errorf("on another machine (-want +got):\n%s", diff)
	}
	w.launch(append(other, "history", "--cloud", "shop", "--region", "us-west-2")...).want(0, "`launch clean shop`", "`launch adopt shop PLAN`")
	for action, n := range cloud.Report().Calls {
		if n > before[action] && !strings.HasPrefix(action, "Describe") {
			t.Errorf("looking made %d calls of %s", n-before[action], action)
		}
	}

	w.launch("history", "--region", "us-west-2").want(2, "--cloud")
	w.launch("history", "--cloud", "--critical-path").want(2)
	cleaned := w.launch(append(other, "clean", "shop", "--yes", "-o", "json")...).want(0, "5 things ended")
	var ended []thingView
	if err := json.Unmarshal([]byte(cleaned.stdout), &ended); err != nil || len(ended) != 5 {
		t.Errorf("clean -o json: %v\n%s", err, cleaned.stdout)
	}
	w.launch("terminate", "shop").want(0)
	w.ended(cloud, 2)
}

// ended checks that n instances were started, and nothing is left.
func (w *world) ended(cloud *ec2test.Server, n int) {
	w.t.Helper()
	left := cloud.Report()
	if diff := cmp.Diff(map[string]int{"terminated": n}, left.States); diff != "" || left.KeyPairs+left.Groups+left.Templates > 0 {
		w.t.Errorf("left (-want +got):\n%s%d key pairs, %d groups, %d templates", diff, left.KeyPairs, left.Groups, left.Templates)
	}
	if got := w.inCloud(); len(got) != 0 {
		w.t.Errorf("found by tag: %v", got)
	}
}

// A name or id that launch did not give does not get into a command that somebody pastes into a shell.
func TestTagsOfOthers(t *testing.T) {
	for _, c := range []struct {
		thing cloudThing
		want  string
	}{
		{cloudThing{Run: "$(reboot)", RunID: "01JDQ4ZV0F8M9W6Y3K2T5R7C1B", Known: true}, "launch clean 01JDQ4ZV0F8M9W6Y3K2T5R7C1B"},
		{cloudThing{Run: "; reboot", RunID: "`reboot`"}, "launch clean --all"},
		{cloudThing{Run: "-y"}, "launch clean --all"},
	} {
		if got := c.thing.ends()[0]; got != c.want {
			t.Errorf("%+v is ended by %q, want %q", c.thing, got, c.want)
		}
	}
}
