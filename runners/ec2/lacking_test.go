package ec2

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/launchplan/launch/internal/ec2test"
	"github.com/launchplan/launch/runners"
)

// unknownAction is what an endpoint answers to calls that it does not have.
var unknownAction = ec2test.Error{Code: "InvalidAction", Message: "The action is not valid for this web service."}

func lacking(actions ...string) ec2test.Faults {
	f := ec2test.Faults{Refuse: map[string]ec2test.Error{}}
	for _, a := range actions {
		f.Refuse[a] = unknownAction
	}
	return f
}

var scalingCalls = []string{
	"CreateAutoScalingGroup", "UpdateAutoScalingGroup", "DescribeAutoScalingGroups", "DescribeScalingActivities", "DeleteAutoScalingGroup",
}

// everyFilter are the filters of launch's calls.
var everyFilter = []string{"instance-id", "client-token", "tag:launch:run-id", "tag:launch:batch", "tag-key", "instance-state-name", "key-name", "group-name"}

// Where filters are refused, or nothing matches them, everything is looked through.
func TestFiltersThatAreNotThere(t *testing.T) {
	for name, faults := range map[string]ec2test.Faults{
		"refused": {UnknownFilters: everyFilter},
		"blind":   {BlindFilters: everyFilter},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, ec2test.Options{Groups: []string{"web", "db"}, Faults: faults})
			w.config.SecurityGroups = []string{"web"}
			list := wants(3)
			w.killed(list)
			w.obtain(list)
			w.mustBe(map[string]int{"running": 3}, 1)
			found, err := Find(t.Context(), w.config)
			if err != nil || len(found) != 4 {
				t.Errorf("Find: %v; %d things, want 3 instances and a key pair", err, len(found))
			}
			calls := w.Report().Calls["DescribeInstances"]
			w.end(list)
			if n := w.Report().Calls["DescribeInstances"] - calls; n > 20 {
				t.Errorf("%d calls to see the end of 3 instances", n)
			}
		})
	}
}

// One filter that is heeded does not make an empty answer to two of them believed.
func TestFilterBesideOneThatIsHeeded(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{BlindFilters: []string{"instance-state-name"}}})
	list := wants(2)
	w.obtain(list)
	r := w.runner()
	all := func(*types.Instance) bool { return true }
	ofRun := filter("tag:"+tagRunID, r.env.RunID)
	for _, filters := range [][]types.Filter{{ofRun}, {ofRun, filter("instance-state-name", "running")}} {
		if found, err := r.cloud.instances(t.Context(), all, filters); err != nil || len(found) != 2 {
			t.Errorf("%s: %d instances, %v; want 2", namesOf(filters), len(found), err)
		}
	}
	w.end(list)
}

// Without status checks, launch goes by the state.
func TestNoStatusChecks(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: lacking("DescribeInstanceStatus")})
	facts := w.obtain(wants(1))
	r := w.runner()
	if err := r.Inspect(t.Context(), "web[0]"); err != nil {
		t.Errorf("Inspect = %v", err)
	}
	if err := w.Kill(facts["web[0]"].InstanceID); err != nil {
		t.Fatal(err)
	}
	if err := r.Inspect(t.Context(), "web[0]"); err == nil {
		t.Error("a dead instance is well")
	}
}

// Neither pools nor templates: what launch made is found and ended all the same.
func TestNothingForPools(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: lacking(append([]string{"DescribeLaunchTemplates"}, scalingCalls...)...)})
	w.obtain(wants(2))
	found, err := Find(t.Context(), w.config)
	if err != nil || len(found) != 3 {
		t.Fatalf("Find: %v; %d things, want 2 instances and a key pair", err, len(found))
	}
	if errs := End(t.Context(), w.config, found); len(errs) > 0 {
		t.Error(errs)
	}
	w.mustBe(map[string]int{"terminated": 2}, 0)
}

// A pool where there is no Auto Scaling is refused, and leaves nothing behind: not a template, nor a service that cannot be ended.
func TestPoolWithoutAutoScaling(t *testing.T) {
	templateCalls := []string{"CreateLaunchTemplate", "DeleteLaunchTemplate", "DescribeLaunchTemplates"}
	for name, c := range map[string]struct {
		lacks  []string
		answer ec2test.Error
		dieAt  int
		told   string
		leaves string // the pool's status
	}{
		"told":         {lacks: scalingCalls, answer: unknownAction, told: "this cloud cannot do that (InvalidAction", leaves: "gone"},
		"killed":       {lacks: scalingCalls, answer: unknownAction, dieAt: 5, told: "this cloud cannot do that (InvalidAction", leaves: "wanted"}, // where its end is recorded
		"501":          {lacks: scalingCalls, answer: ec2test.Error{Code: "InternalFailure", Status: 501}, told: "this cloud", leaves: "gone"},
		"another code": {lacks: append(templateCalls, scalingCalls...), answer: ec2test.Error{Code: "InvalidRequest"}, told: "InvalidRequest", leaves: "wanted"},
	} {
		t.Run(name, func(t *testing.T) {
			faults := ec2test.Faults{Refuse: map[string]ec2test.Error{}}
			for _, action := range c.lacks {
				faults.Refuse[action] = c.answer
			}
			w := newWorld(t, ec2test.Options{Faults: faults})
			w.config.Pool = &Pool{Size: 2}
			w.ledger.dieAt = c.dieAt
			_, err := w.runner().Await(t.Context(), runners.Want{Service: "workers"})
			if err == nil || !strings.Contains(err.Error(), c.told) {
				t.Errorf("Await = %v", err)
			}
			if pools := w.ledger.List(kindPool); pools[0].Status != c.leaves {
				t.Errorf("the pool is %s, want %s", pools[0].Status, c.leaves)
			}
			w.ledger.dieAt = 0
			r := w.runner()
			if errs := r.Release(t.Context(), []string{"workers"}); len(errs) > 0 {
				t.Error(errs)
			}
			if err := r.Sweep(t.Context()); err != nil {
				t.Error(err)
			}
			if left := w.Report(); left.Templates+left.KeyPairs > 0 {
				t.Errorf("left: %d templates, %d key pairs", left.Templates, left.KeyPairs)
			}
		})
	}
}

// Where instances outlive their group, they are ended all the same.
func TestMembersThatGoOn(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{KeepsMembers: true}})
	w.config.Pool = &Pool{Size: 2}
	r := w.runner()
	if _, err := r.Await(t.Context(), runners.Want{Service: "workers"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // it would wait for their end
	defer cancel()
	if errs := r.Release(ctx, []string{"workers"}); len(errs) > 0 {
		t.Fatal(errs)
	}
	w.mustBe(map[string]int{"terminated": 2}, 1)
}

// A cloud that refuses tags in the calls that make something is told them by calls of their own.
func TestRefusedTagSpecs(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{RefuseTagSpecs: true, LoseAnswers: map[string]int{"RunInstances": 2}}})
	r := w.runner()
	if _, errs := awaitAll(t, r, wants(3)); len(errs) > 0 {
		t.Fatal(errs)
	}
	r.background.Wait()
	w.mustBe(map[string]int{"running": 3}, 1)
	found, err := Find(t.Context(), w.config)
	if err != nil || len(found) != 3 {
		t.Errorf("Find: %v; %d things, want 3 instances", err, len(found))
	}
	w.end(wants(3))
}

// A cloud that refuses client tokens starts nothing twice all the same: what a call has started is found by its tags.
func TestRefusedTokens(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{RefuseTokens: true}})
	list := wants(3)
	w.killed(list)
	lost := ec2test.Faults{RefuseTokens: true, LoseAnswers: map[string]int{"RunInstances": 2}} // the first is the refusal
	w.SetFaults(lost)
	list = append(list, runners.Want{Service: "db"})
	w.obtain(list)
	w.mustBe(map[string]int{"running": 4}, 1)
	w.end(list)
}

// Whatever a cloud calls it that something is there already, or is not there any more, launch looks for itself.
func TestRefusalsInOtherWords(t *testing.T) {
	w := newWorld(t, ec2test.Options{Forget: 1})
	list := wants(2)
	facts := w.obtain(list)
	for _, row := range w.ledger.List(kindKeyPair) {
		row.Status = "wanted" // the answer that told of it was lost
		if err := w.ledger.Put(t.Context(), row); err != nil {
			t.Fatal(err)
		}
	}
	words := ec2test.Error{Code: "Whatever", Message: "cannot do that"}
	w.SetFaults(ec2test.Faults{Refuse: map[string]ec2test.Error{"ImportKeyPair": words}})
	list = append(list, runners.Want{Service: "db"})
	w.obtain(list)
	r := w.runner()
	if _, err := r.cloud.ec2.DeleteKeyPair(t.Context(), &ec2.DeleteKeyPairInput{KeyName: aws.String(r.keyPairName())}); err != nil {
		t.Fatal(err)
	}
	if err := w.Kill(facts["web[0]"].InstanceID); err != nil {
		t.Fatal(err)
	}
	w.age(time.Hour)
	w.SetFaults(ec2test.Faults{Refuse: map[string]ec2test.Error{"TerminateInstances": words}})
	if errs := r.Release(t.Context(), []string{"web[0]"}); len(errs) > 0 {
		t.Error(errs)
	}
	w.SetFaults(ec2test.Faults{Refuse: map[string]ec2test.Error{"DeleteKeyPair": words}})
	w.end(list)
}

// Groups have names also where networks are nothing that can be asked for.
func TestGroupsWithoutNetworks(t *testing.T) {
	w := newWorld(t, ec2test.Options{Groups: []string{"web"}, Faults: lacking("DescribeSubnets")})
	w.config.Subnet, w.config.SecurityGroups = "subnet-00000000", []string{"web"}
	if groups, err := w.runner().securityGroups(t.Context()); err != nil || len(groups) != 1 {
		t.Errorf("securityGroups = %v, %v", groups, err)
	}
}

// Where instances are not numbered, whose each of them is can be told as long as all of their call are there.
func TestUnnumberedInstances(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{Unnumbered: true}})
	list := wants(taggedOneByOne + 1)
	facts := w.obtain(list)
	found, err := Find(t.Context(), w.config)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if f.Kind == kindInstance && facts[f.Service].InstanceID != f.ID {
			t.Errorf("%s is found as the instance of %q", f.ID, f.Service)
		}
	}
	if err := w.Kill(facts["web[3]"].InstanceID); err != nil {
		t.Fatal(err)
	}
	if found, err = Find(t.Context(), w.config); err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if f.Service != "" {
			t.Errorf("%s is found as the instance of %s, which nobody can know", f.ID, f.Service)
		}
	}
	w.end(list)
}

// What a call has started of which nobody heard, and that took neither tags nor a token, goes with the run.
func TestStartedUnheardOf(t *testing.T) {
	w := newWorld(t, ec2test.Options{})
	list := wants(1)
	w.obtain(list)
	r := w.runner()
	unheard := &ec2.RunInstancesInput{
		ImageId: aws.String("ami-12345678"), InstanceType: "t3.micro", MinCount: aws.Int32(2), MaxCount: aws.Int32(2), KeyName: aws.String(r.keyPairName()),
	}
	if _, err := r.cloud.ec2.RunInstances(t.Context(), unheard); err != nil {
		t.Fatal(err)
	}
	w.end(list)
}

func TestRefusedMetadataOptionsAreNamed(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{NoMetadata: true}})
	if err := w.runner().Request(t.Context(), wants(1)); err == nil || !strings.Contains(err.Error(), `set metadata = "unset"`) {
		t.Errorf("Request = %v", err)
	}
}

// An answer that tells of no instance is no reason to start more of them.
func TestUntoldInstances(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{Untold: true}})
	w.obtain(wants(3))
	w.mustBe(map[string]int{"running": 3}, 1)
	w.end(wants(3))
}

// A call that has started nothing, by its answer and by looking, is not made again and again.
func TestNothingStarted(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{Untold: true, NotFoundFor: time.Hour}})
	r := w.runner()
	tmpl, err := r.template(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	batches, err := r.intend(t.Context(), tmpl, []string{"web"}, true)
	if err != nil {
		t.Fatal(err)
	}
	batches[0].Asked = time.Now().Add(-consistency) // so that looking has an end
	if err := r.startAll(t.Context(), tmpl, batches); err != nil {
		t.Fatal(err)
	}
	if err := r.takeFailure("web"); err == nil || !strings.Contains(err.Error(), "no instance of it can be seen") {
		t.Errorf("the service is told %v", err)
	}
	if n := w.Report().Calls["RunInstances"]; n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}

func TestKindsOfAnswers(t *testing.T) {
	w := newWorld(t, ec2test.Options{})
	r := w.runner()
	once := r.cloud.retrying(func(error) bool { return false })
	for answer, want := range map[ec2test.Error]kind{
		{Code: "Whatever", Status: 429}:                     throttled,
		{Code: "RequestLimitExceeded", Status: 503}:         throttled,
		{Code: "InsufficientFlavorCapacity", Status: 500}:   lacksCapacity,
		{Code: "CoresLimitExceeded", Status: 400}:           overQuota,
		{Code: "InstanceQuotaExceeded", Status: 403}:        overQuota,
		{Code: "InvalidKeyPair.Format", Status: 400}:        badParameter,
		{Code: "InvalidInstanceID.NotFound", Status: 400}:   notFound,
		{Code: "InvalidInstanceID.Malformed", Status: 400}:  badParameter,
		{Code: "ServiceUnavailable", Status: 503}:           other,
		{Code: "UnauthorizedOperation", Status: 403}:        notAllowed,
		{Code: "InvalidClientTokenId", Status: 403}:         badCredentials,
		{Code: "InvalidKeyPair.Duplicate", Status: 400}:     alreadyThere,
		{Code: "FilterLimitExceeded", Status: 400}:          badParameter,
		{Code: "InsufficientInstanceCapacity", Status: 500}: lacksCapacity,
		{Code: "IdempotentParameterMismatch", Status: 400}:  usedToken,
		{Code: "ScalingActivityInProgress", Status: 400}:    inUse,
		{Code: "UnknownError", Status: 400}:                 other,
		{Code: "UnsupportedOperation", Status: 400}:         badParameter,
		{Code: "InsufficientReservedCapacity", Status: 500}: lacksCapacity,
		{Code: "NoSuchInstanceNotFound", Status: 404}:       notFound,
		{Code: "KeyPairAlreadyExists", Status: 409}:         alreadyThere,
	} {
		w.SetFaults(ec2test.Faults{Refuse: map[string]ec2test.Error{"DescribeKeyPairs": answer}})
		_, err := r.cloud.ec2.DescribeKeyPairs(t.Context(), &ec2.DescribeKeyPairsInput{}, once)
		if got := kindOf(err); got != want {
			t.Errorf("%d %s is of kind %d, want %d", answer.Status, answer.Code, got, want)
		}
	}
}

// Some clouds answer when all machines of a call are made, one after the other.
func TestAnswersAreBounded(t *testing.T) {
	for endpoint, want := range map[string]time.Duration{
		"https://ec2.us-west-2.amazonaws.com": answerTimeout, "": answerTimeout, "http://127.0.0.1:1": startTimeout,
	} {
		c, err := openCloud(t.Context(), Config{Endpoint: endpoint}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.http.Timeout != answerTimeout {
			t.Errorf("an answer whose end does not come is waited for %v, want %v", c.http.Timeout, answerTimeout)
		}
		if got := c.startClient().Timeout; got != want {
			t.Errorf("%s is given %v to start instances, want %v", endpoint, got, want)
		}
	}
}

// Server errors while an instance is waited for are waited out, also when the SDK has given up.
func TestServerErrorsWhileWaiting(t *testing.T) {
	w := newWorld(t, ec2test.Options{})
	there, err := url.Parse(w.URL)
	if err != nil {
		t.Fatal(err)
	}
	var looks atomic.Int32
	forward := httputil.NewSingleHostReverseProxy(there)
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if strings.Contains(string(body), "Action=DescribeInstances&") && looks.Add(1) <= attempts {
			http.Error(rw, "<html><body>503 Service Temporarily Unavailable</body></html>", http.StatusServiceUnavailable)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		forward.ServeHTTP(rw, r)
	}))
	t.Cleanup(front.Close)
	w.config.Endpoint = front.URL
	w.obtain(wants(1))
	const told = "web[0]: the EC2 API does not answer; launch keeps trying: the endpoint answers 503 (Service Unavailable) without an error that can be read: is it one of EC2?"
	if !slices.Contains(w.notes, told) {
		t.Errorf("notes: %q", w.notes)
	}
}
