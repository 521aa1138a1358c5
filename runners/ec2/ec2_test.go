package ec2

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/launchplan/launch/internal/ec2test"
	"github.com/launchplan/launch/runners"
)

func TestFromRequestToSweep(t *testing.T) {
	w := newWorld(t, ec2test.Options{Pending: ec2test.Delay{Min: 50 * time.Millisecond}, Ending: 50 * time.Millisecond})
	r := w.runner()
	list := wants(3)
	if err := r.Request(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	facts, errs := awaitAll(t, r, list)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	ids := map[string]bool{}
	for _, want := range list {
		f := facts[want.Service]
		ids[f.InstanceID] = true
		if f.Address == "" || f.Address != f.PublicAddress || f.PrivateAddress == "" || f.NoHost {
			t.Errorf("facts of %s: %+v", want.Service, f)
		}
		if err := r.Inspect(t.Context(), want.Service); err != nil {
			t.Error(err)
		}
		h, err := r.Connect(t.Context(), runners.Target{Service: want.Service})
		if err != nil {
			t.Fatal(err)
		}
		if got := h.Facts().InstanceID; got != f.InstanceID {
			t.Errorf("connected to %s, want %s", got, f.InstanceID)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(ids) != 3 {
		t.Errorf("%d instances for 3 services", len(ids))
	}
	w.mustBe(map[string]int{"running": 3}, 1)
	if errs := w.runner().Release(t.Context(), names(list)); len(errs) > 0 {
		t.Fatal(errs)
	}
	if err := w.runner().Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.mustBe(map[string]int{"terminated": 3}, 0)
}

// A launch process is killed at every point at which it records something, and
// another goes on: in the end each service has one instance, and no other was started.
func TestKilledAtEveryRecord(t *testing.T) {
	for at := 1; ; at++ {
		w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{NotFoundFor: 20 * time.Millisecond}})
		list := wants(5)
		w.ledger.dieAt = at
		killed := w.runner()
		err := killed.Request(t.Context(), list)
		if err == nil {
			_, errs := awaitAll(t, killed, list)
			if len(errs) == 0 && w.ledger.puts < at {
				if at < 6 {
					t.Errorf("only %d records", at-1)
				}
				return
			}
		} else if !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		w.ledger.dieAt = 0
		next := w.runner()
		if err := next.Request(t.Context(), list); err != nil {
			t.Fatalf("killed at record %d: %v", at, err)
		}
		if _, errs := awaitAll(t, next, list); len(errs) > 0 {
			t.Fatalf("killed at record %d: %v", at, errs)
		}
		if n := w.Report().Started; n != 5 {
			t.Errorf("killed at record %d: %d instances were started for 5 services", at, n)
		}
		if errs := next.Release(t.Context(), names(list)); len(errs) > 0 {
			t.Fatal(errs)
		}
		if err := next.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.mustBe(map[string]int{"terminated": 5}, 0)
	}
}

// The same, but the next command ends the run.
func TestKilledThenTerminated(t *testing.T) {
	for at := 1; at <= 7; at++ {
		w := newWorld(t, ec2test.Options{})
		list := wants(5)
		w.ledger.dieAt = at
		if err := w.runner().Request(t.Context(), list); err != nil && !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		w.ledger.dieAt = 0
		for key, row := range w.ledger.rows { // so that the test need not wait as launch has to
			row.Data = strings.ReplaceAll(row.Data, time.Now().UTC().Format("2006-"), "1999-")
			w.ledger.rows[key] = row
		}
		next := w.runner()
		if errs := next.Release(t.Context(), names(list)); len(errs) > 0 {
			t.Fatalf("killed at record %d: %v", at, errs)
		}
		if err := next.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r := w.Report(); r.States["terminated"] != r.Started || r.KeyPairs != 0 {
			t.Errorf("killed at record %d: %+v", at, r)
		}
	}
}

func TestLostAnswers(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{LoseAnswers: map[string]int{
		"ImportKeyPair": 1, "RunInstances": 2, "DescribeInstances": 1, "TerminateInstances": 1, "DeleteKeyPair": 1,
	}}})
	r := w.runner()
	list := wants(150)
	if err := r.Request(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	if _, errs := awaitAll(t, r, list); len(errs) > 0 {
		t.Fatal(errs)
	}
	w.mustBe(map[string]int{"running": 150}, 1)
	if errs := r.Release(t.Context(), names(list)); len(errs) > 0 {
		t.Fatal(errs)
	}
	if err := r.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.mustBe(map[string]int{"terminated": 150}, 0)
}

func TestNewInstancesAreUnknownForAWhile(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{NotFoundFor: 1500 * time.Millisecond, TagsHiddenFor: time.Hour}})
	r := w.runner()
	list := wants(2)
	if err := r.Request(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	for _, want := range list {
		if err := r.Inspect(t.Context(), want.Service); err != nil {
			t.Errorf("a new instance: %v", err)
		}
	}
	if errs := r.Release(t.Context(), names(list[:1])); len(errs) > 0 {
		t.Fatal(errs)
	}
	if _, errs := awaitAll(t, r, list[1:]); len(errs) > 0 {
		t.Fatal(errs)
	}
	w.mustBe(map[string]int{"running": 1, "terminated": 1}, 1)
}

func TestMissingCapacityFailsThoseThatGetNone(t *testing.T) {
	three := 3
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{Capacity: &three}})
	r := w.runner()
	list := wants(5)
	if err := r.Request(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	facts, errs := awaitAll(t, r, list)
	if len(facts) != 3 || len(errs) != 2 {
		t.Fatalf("%d have an instance, %v", len(facts), errs)
	}
	for _, err := range errs {
		if !strings.Contains(err.Error(), "EC2 does not have the capacity at the moment") || !strings.Contains(err.Error(), "us-west-2a") {
			t.Errorf("the error is %q", err)
		}
	}
	// Capacity comes back, and the failed ones are asked for again.
	w.SetFaults(ec2test.Faults{})
	if _, errs := awaitAll(t, w.runner(), list); len(errs) > 0 {
		t.Fatal(errs)
	}
	w.mustBe(map[string]int{"running": 5}, 1)
}

func TestErrorsAreSentences(t *testing.T) {
	w := newWorld(t, ec2test.Options{Groups: []string{"web", "db"}})
	refuse := func(code string, status int) ec2test.Faults {
		return ec2test.Faults{Refuse: map[string]ec2test.Error{"RunInstances": {Code: code, Status: status, Message: "said the API. Encoded authorization failure message: 6f2c"}}}
	}
	type world struct {
		change func(*Config)
		faults ec2test.Faults
		want   string
	}
	for name, c := range map[string]world{
		"unknown group": {func(c *Config) { c.SecurityGroups = []string{"web", "wbe"} }, ec2test.Faults{}, `there is no security group named "wbe" in us-west-2`},
		"unknown image": {func(c *Config) { c.Image = "ami-87654321" }, ec2test.Faults{}, "the request is wrong; correct the runner block, then `launch reload` (InvalidAMIID.NotFound: The image id '[ami-87654321]' does not exist)"},
		"unknown type":  {func(c *Config) { c.InstanceType = "m99.huge" }, ec2test.Faults{}, "InvalidParameterValue"},
		"not allowed":   {nil, refuse("UnauthorizedOperation", 403), "these credentials may not do that; the account's administrator can allow it (UnauthorizedOperation: said the API.)"},
		"bad login":     {nil, refuse("AuthFailure", 401), "AWS does not accept these credentials"},
		"not there":     {nil, refuse("Unsupported", 400), "the request is wrong; correct the runner block, then `launch reload` (Unsupported: said the API.)"},
		"wrong time":    {nil, refuse("RequestExpired", 400), "this machine's clock and that of AWS differ; set it right"},
		"no image":      {func(c *Config) { c.Image = "" }, ec2test.Faults{}, "needs image and instance_type"},
		"profile":       {func(c *Config) { c.IAMProfile = "nobody" }, ec2test.Faults{}, "Invalid IAM Instance Profile name"},
		"subnet":        {func(c *Config) { c.Subnet = "subnet-1"; c.SecurityGroups = []string{"db"} }, ec2test.Faults{}, "look up the subnet subnet-1"},
		"user data":     {func(c *Config) { c.UserData = "hello" }, ec2test.Faults{}, `user_data begins with "hello"`},
	} {
		t.Run(name, func(t *testing.T) {
			w.SetFaults(c.faults)
			config := w.config
			defer func() { w.config = config }()
			if c.change != nil {
				c.change(&w.config)
			}
			err := w.runner().Request(t.Context(), wants(2))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "6f2c") {
				t.Errorf("Request = %v, want %q in it", err, c.want)
			}
		})
	}
	if n := w.Report().Started; n != 0 {
		t.Errorf("%d instances were started", n)
	}
}

func TestQuotaIsToldAtOnce(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{MaxVCPUs: 1}})
	_, errs := awaitAll(t, w.runner(), wants(1))
	if err := errs["web[0]"]; err == nil || !strings.Contains(err.Error(), "above a quota of this AWS account") {
		t.Errorf("Await: %v", err)
	}
	if n := w.Report().Calls["RunInstances"]; n != 1 {
		t.Errorf("%d calls", n)
	}
}

func TestThrottledButNothingLost(t *testing.T) {
	slow := ec2test.Error{Code: "RequestLimitExceeded", Status: 503}
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{
		Rate: 20, Burst: 3, StartRate: 400, StartBurst: 120, // which a slow machine may never come up against
		Refuse:      map[string]ec2test.Error{"RunInstances": slow, "DescribeInstances": slow},
		RefuseTimes: map[string]int{"RunInstances": attempts + 1, "DescribeInstances": 2}, // the first is more than the SDK tries
	}})
	r := w.runner()
	list := wants(300)
	if err := r.Request(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	if facts, errs := awaitAll(t, r, list); len(facts) != 300 {
		t.Fatal(errs)
	}
	got := w.Report()
	t.Logf("%d calls, of which throttled %d", got.Total, got.Errors["RequestLimitExceeded"])
	if got.Errors["RequestLimitExceeded"] == 0 || got.Started != 300 {
		t.Errorf("report %+v", got)
	}
}

func TestManyInFewCalls(t *testing.T) {
	w := newWorld(t, ec2test.Options{Pending: ec2test.Delay{Min: 1 * time.Second, Max: 3 * time.Second}, Ending: time.Second})
	r := w.runner()
	list := wants(1850)
	begin := time.Now()
	if err := r.Request(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	if facts, errs := awaitAll(t, r, list); len(facts) != 1850 {
		t.Fatal(errs)
	}
	t.Logf("all after %v, the endpoint's minimum is %v", time.Since(begin), w.Report().Minimum)
	if errs := r.Release(t.Context(), names(list)); len(errs) > 0 {
		t.Fatal(errs)
	}
	if err := r.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := w.Report()
	t.Logf("%d calls: %v", got.Total, got.Calls)
	if got.Total >= 100 || got.States["terminated"] != 1850 {
		t.Errorf("%d calls, states %v", got.Total, got.States)
	}
}

func TestInspectSeesDeathAndImpairment(t *testing.T) {
	w := newWorld(t, ec2test.Options{})
	r := w.runner()
	facts, errs := awaitAll(t, r, wants(3))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if err := errors.Join(w.Kill(facts["web[0]"].InstanceID), w.Impair(facts["web[1]"].InstanceID)); err != nil {
		t.Fatal(err)
	}
	for service, want := range map[string]string{"web[0]": "is terminated: Server.InternalError", "web[1]": "its system status check fails", "web[2]": "<nil>"} {
		if err := r.Inspect(t.Context(), service); !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("Inspect(%s) = %v, want %q in it", service, err, want)
		}
	}
	// Repair: the old one is released, and the service gets another.
	if errs := r.Release(t.Context(), []string{"web[0]"}); len(errs) > 0 {
		t.Fatal(errs)
	}
	again, err := r.Await(t.Context(), runners.Want{Service: "web[0]"})
	if err != nil || again.InstanceID == facts["web[0]"].InstanceID {
		t.Errorf("after the repair: %+v, %v", again, err)
	}
}

func TestInstanceThatDiesWhileStarting(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{DieStarting: 1}})
	_, errs := awaitAll(t, w.runner(), wants(2))
	if err := errors.Join(errs["web[0]"], errs["web[1]"]); len(errs) != 1 || !strings.Contains(err.Error(), "Internal error on launch") {
		t.Errorf("Await: %v", errs)
	}
}

func TestExistingInstanceIsUsedAndLeftAlone(t *testing.T) {
	w := newWorld(t, ec2test.Options{})
	mine, errs := awaitAll(t, w.runner(), wants(1))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	id := mine["web[0]"].InstanceID
	w.ledger = newLedger() // another run
	r := w.runner()
	want := runners.Want{Service: "db", Host: id}
	if err := r.Request(t.Context(), []runners.Want{want}); err != nil {
		t.Fatal(err)
	}
	got, err := r.Await(t.Context(), want)
	if err != nil || got != mine["web[0]"] {
		t.Errorf("Await = %+v, %v; want %+v", got, err, mine["web[0]"])
	}
	if errs := r.Release(t.Context(), []string{"db"}); len(errs) > 0 {
		t.Fatal(errs)
	}
	w.mustBe(map[string]int{"running": 1}, 1)
	if _, err := r.Await(t.Context(), runners.Want{Service: "db", Host: "i-0123"}); err == nil || !strings.Contains(err.Error(), "the instance i-0123 does not exist in us-west-2") {
		t.Errorf("an unknown instance: %v", err)
	}
}

func TestPoolKeepsItsSize(t *testing.T) {
	w := newWorld(t, ec2test.Options{Pending: ec2test.Delay{Min: 20 * time.Millisecond}, Ending: 20 * time.Millisecond})
	w.config.Pool = &Pool{Size: 3}
	r := w.runner()
	facts, err := r.Await(t.Context(), runners.Want{Service: "workers"})
	if err != nil || !facts.NoHost {
		t.Fatalf("Await = %+v, %v", facts, err)
	}
	if err := r.Inspect(t.Context(), "workers"); err != nil {
		t.Error(err)
	}
	w.config.Pool = &Pool{Size: 5}
	larger := w.runner()
	if err := larger.Inspect(t.Context(), "workers"); err == nil {
		t.Error("a pool of another size passes")
	}
	if _, err := larger.Await(t.Context(), runners.Want{Service: "workers"}); err != nil {
		t.Fatal(err)
	}
	w.mustBe(map[string]int{"running": 5}, 1)
	found, err := Find(t.Context(), w.config)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, f := range found {
		kinds[f.Kind+" "+f.Service+" of "+f.Run]++
	}
	if diff := cmp.Diff(map[string]int{"instance workers of night": 5, "key-pair  of night": 1, "launch-template workers of night": 1, "scaling-group workers of night": 1}, kinds); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	if errs := larger.Release(t.Context(), []string{"workers"}); len(errs) > 0 {
		t.Fatal(errs)
	}
	if err := larger.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.mustBe(map[string]int{"terminated": 5}, 0)
	if got := w.Report(); got.Groups != 0 || got.Templates != 0 {
		t.Errorf("left: %+v", got)
	}
}

func TestOrphansAreFoundByTheirTags(t *testing.T) {
	w := newWorld(t, ec2test.Options{})
	if _, errs := awaitAll(t, w.runner(), wants(30)); len(errs) > 0 {
		t.Fatal(errs)
	}
	found, err := Find(t.Context(), w.config)
	if err != nil {
		t.Fatal(err)
	}
	services := map[string]bool{}
	for _, f := range found {
		if f.Run != "night" || f.RunID != "01JDQ4ZV0F8M9W6Y3K2T5R7C1B" || f.Plan != "/plans/full" {
			t.Errorf("found %+v", f)
		}
		if f.Kind == kindInstance {
			services[f.Service] = true
			if h, ok := w.ledgerOf(f.Service); !ok || h.ID != f.ID {
				t.Errorf("%s is that of %s by its tags, of %s by the ledger", f.ID, f.Service, h.ID)
			}
		}
	}
	if len(services) != 30 {
		t.Errorf("%d services by their tags, want 30", len(services))
	}
	if errs := End(t.Context(), w.config, found); len(errs) > 0 {
		t.Fatal(errs)
	}
	w.mustBe(map[string]int{"terminated": 30}, 0)
}
