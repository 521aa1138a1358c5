//go:build unix

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/launchplan/launch/internal/ec2test"
)

// bare is a service that is its machine alone.
const bare = `
	level "one" {
	  service "web" { runner = runner.ec2.m }
	}
`

// A run whose plan names no region stays where it began, whatever region a later command has in its environment.
func TestRunStaysInItsRegion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cloud := w.cloud(ec2test.Options{})
	plan := w.machinePlan(cloud, original)
	w.launch("boot", plan, "-n", "shop").want(0)
	w.env = append(w.env, "AWS_REGION=us-east-1")
	w.launch("status", "shop").want(0)
	w.launch("history", "--cloud").want(0, "one.web", "us-west-2", "live")
	w.launch("repair", "shop").want(0)
	w.launch("terminate", "shop").want(0)
	w.env = append(w.env, "AWS_REGION=us-west-2") // where it is looked for by tag
	w.ended(cloud, 1)
}

// So does a run that is adopted: what was found is neither lost nor started again.
func TestAdoptedRunStaysInItsRegion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cloud := w.cloud(ec2test.Options{})
	plan := w.machinePlan(cloud, original)
	w.launch("boot", plan, "-n", "shop").want(0)
	other := func(args ...string) result {
		return w.launch(append([]string{"--state", filepath.Join(w.dir, "other")}, args...)...)
	}
	here := w.plan("here", machines(cloud, original+"\nregion = \"us-east-1\"")+bare)
	other("adopt", "shop", here, "--region", "us-west-2").want(2, "name the region us-east-1, not us-west-2")
	w.env = append(w.env, "AWS_REGION=us-east-1")
	other("adopt", "shop", plan, "--region", "us-west-2").want(0, "is adopted")
	other("terminate", "shop").want(0)
	w.env = append(w.env, "AWS_REGION=us-west-2")
	w.ended(cloud, 1)
}

// What another endpoint does not know is not taken for gone, nor started there again.
func TestOtherEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cloud := w.cloud(ec2test.Options{})
	w.launch("boot", w.machinePlan(cloud, original), "-n", "shop").want(0)
	w.edit(`UPDATE resources SET data = json_set(data, '$.asked', '2020-01-01T00:00:00Z') WHERE kind = 'instance'`)
	home := w.env
	another := w.cloud(ec2test.Options{})
	told := "the calls go to the endpoint " + another.URL + ", and the run began with the endpoint " + cloud.URL
	w.launch("status", "shop").want(0) // its machine answers
	w.launch("repair", "shop").want(0, told, "2 ready").not("brought up again")
	keys, err := filepath.Glob(filepath.Join(w.state, "runs", "*", "ec2-key"))
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	w.must(os.Rename(keys[0], keys[0]+".hidden")) // it does not let launch in
	w.launch("status", "shop").want(1, told)
	w.launch("repair", "shop").want(1, told)
	w.must(os.Rename(keys[0]+".hidden", keys[0]))
	w.launch("terminate", "shop").want(1, told)
	if made := another.Report().Calls["RunInstances"]; made > 0 {
		t.Errorf("%d calls started instances there", made)
	}
	w.env = home
	w.launch("terminate", "shop").want(0)
	w.ended(cloud, 1)
}

// A place that does not answer any more does not keep the others from being cleaned.
func TestCleanBesideAPlaceThatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cloud := w.cloud(ec2test.Options{})
	w.launch("--state", filepath.Join(w.dir, "other"), "boot", w.machinePlan(cloud, original), "-n", "shop").want(0)
	gone := `endpoint = "http://127.0.0.1:1"`
	w.launch("boot", w.plan("gone", machines(cloud, original+"\n"+gone)+bare), "-n", "gone").
		want(1, "the endpoint cannot be reached; check the region, the endpoint and the network")
	w.launch("boot", w.plan("none", machines(cloud, original)+bare), "-n", "none").want(0)
	w.launch("terminate", "none").want(0)
	w.launch("history", "--cloud", "shop").want(1, "one.web", "cannot be reached")
	w.launch("clean", "shop", "-y").want(1, "2 things ended", "cannot be reached")
	if r := cloud.Report(); r.States["terminated"] != 2 || r.KeyPairs > 0 {
		t.Errorf("left: %v, %d key pairs", r.States, r.KeyPairs)
	}
}

// What is wrong with the way to the cloud is said with what to do about it, and without the SDK's frames.
func TestNoWayToTheCloud(t *testing.T) {
	t.Parallel()
	for env, want := range map[string]string{
		"AWS_ACCESS_KEY_ID=":                "there are no AWS credentials to sign the call with; set AWS_PROFILE",
		"AWS_ENDPOINT_URL=localhost:4566":   `the endpoint "localhost:4566" is no URL: it has to begin with http:// or https://`,
		"AWS_ENDPOINT_URL_EC2=10.0.0.1":     `the endpoint "10.0.0.1" is no URL`,
		"AWS_REGION=":                       "no AWS region: set region in the runner block",
		"AWS_ENDPOINT_URL=http://127.0.0.1": "the endpoint cannot be reached; check the region",
	} {
		t.Run(env, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			cloud := w.cloud(ec2test.Options{})
			w.env = append(w.env, env)
			w.launch("boot", w.machinePlan(cloud, original), "-n", "shop").want(1, want).not("operation error EC2")
			w.launch("terminate", "shop")
		})
	}
}
