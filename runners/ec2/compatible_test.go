package ec2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/launchplan/launch/internal/ec2test"
	"github.com/launchplan/launch/runners"
)

// Some clouds answer a filter that they do not know, here that for tokens, with a page of HTML.
func TestUnknownTokenFilter(t *testing.T) {
	for _, resumed := range []bool{true, false} {
		t.Run(fmt.Sprintf("resumed %v", resumed), func(t *testing.T) {
			w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{UnknownFilters: []string{"client-token"}}})
			list := wants(3)
			w.killed(list)
			if resumed {
				w.obtain(list)
				w.mustBe(map[string]int{"running": 3}, 1)
			}
			w.end(list)
			if n := w.Report().Started; n != 3 {
				t.Errorf("%d instances were started, want 3", n)
			}
		})
	}
}

// Where tokens are not honoured, a call is looked for before it is repeated.
func TestIgnoredTokens(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{IgnoreTokens: true, LoseAnswers: map[string]int{"RunInstances": 1}}})
	list := wants(3)
	w.obtain(list)
	w.mustBe(map[string]int{"running": 3}, 1)
	w.end(list)
}

// Where besides not all is seen at once, what the repeated call starts beyond what is needed ends.
func TestIgnoredTokensAndALateInstance(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{IgnoreTokens: true, LateFor: time.Hour}})
	list := wants(3)
	w.killed(list)
	r := w.runner()
	if err := r.Request(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	w.SetFaults(ec2test.Faults{})
	if _, errs := awaitAll(t, r, list); len(errs) > 0 {
		t.Fatal(errs)
	}
	// Of 6 that were started, 5 were seen and 2 too many; the run's end finds the sixth by its tags.
	w.mustBe(map[string]int{"running": 4, "terminated": 2}, 1)
	w.end(list)
}

func TestOnlyMinCount(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{OnlyMinCount: true}})
	w.obtain(wants(5))
	if n := w.Report().Calls["RunInstances"]; n != 1 {
		t.Errorf("%d calls for 5 instances, want 1", n)
	}
}

// Where filters are passed over, what belongs to others is told from the run's own here.
func TestIgnoredFilters(t *testing.T) {
	w := newWorld(t, ec2test.Options{Groups: []string{"web", "db"}, Faults: ec2test.Faults{IgnoreFilters: true}})
	other := w.runner()
	key := &ec2.CreateKeyPairInput{KeyName: aws.String("somebody's"), KeyType: types.KeyTypeEd25519}
	if _, err := other.cloud.ec2.CreateKeyPair(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	run := &ec2.RunInstancesInput{ImageId: aws.String("ami-12345678"), InstanceType: "t3.micro", MinCount: aws.Int32(2), MaxCount: aws.Int32(2)}
	if _, err := other.cloud.ec2.RunInstances(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	list := wants(3)
	w.config.SecurityGroups = []string{"web"}
	w.ledger.dieAt = atAssign
	if err := w.runner().Request(t.Context(), list); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	w.ledger.dieAt = 0
	w.obtain(list)
	w.mustBe(map[string]int{"running": 5}, 2)
	found, err := Find(t.Context(), w.config)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 4 {
		t.Errorf("found %d things of launch, want 3 instances and a key pair: %+v", len(found), found)
	}
	r := w.runner()
	if _, err := r.cloud.ec2.DeleteKeyPair(t.Context(), &ec2.DeleteKeyPairInput{KeyName: aws.String(r.keyPairName())}); err != nil {
		t.Fatal(err)
	}
	if there, err := r.keyPairIsThere(t.Context()); there || err != nil {
		t.Errorf("keyPairIsThere = %v, %v: somebody's key is taken for the run's", there, err)
	}
	if errs := r.Release(t.Context(), names(list)); len(errs) > 0 {
		t.Fatal(errs)
	}
	if err := r.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.mustBe(map[string]int{"running": 2, "terminated": 3}, 1)
}

func TestIgnoredFiltersOfPools(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{IgnoreFilters: true}})
	r := w.runner()
	run := &ec2.RunInstancesInput{ImageId: aws.String("ami-12345678"), InstanceType: "t3.micro", MinCount: aws.Int32(2), MaxCount: aws.Int32(2)}
	if _, err := r.cloud.ec2.RunInstances(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	w.config.Pool = &Pool{Size: 2}
	pool := w.runner()
	if _, err := pool.Await(t.Context(), runners.Want{Service: "workers"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), consistency/2)
	defer cancel()
	if errs := pool.Release(ctx, []string{"workers"}); len(errs) > 0 {
		t.Fatal(errs)
	}
	if err := pool.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	w.mustBe(map[string]int{"running": 2, "terminated": 2}, 0)
}

// Some clouds do not describe what has ended, and refuse to delete a key that is gone.
func TestWhatHasEndedIsForgotten(t *testing.T) {
	w := newWorld(t, ec2test.Options{Forget: 1})
	list := wants(2)
	w.obtain(list)
	w.SetFaults(ec2test.Faults{Refuse: map[string]ec2test.Error{"DeleteKeyPair": {Code: "InvalidKeyPair.NotFound"}}})
	ctx, cancel := context.WithTimeout(t.Context(), consistency/2)
	defer cancel()
	r := w.runner()
	if errs := r.Release(ctx, names(list)); len(errs) > 0 {
		t.Fatal(errs)
	}
	if err := r.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	w.mustBe(map[string]int{"terminated": 2}, 1)
}

// The tags of the call that starts instances may be passed over.
func TestDroppedTags(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{NoTagSpecs: true, NotFoundFor: 20 * time.Millisecond}})
	r := w.runner()
	if _, errs := awaitAll(t, r, wants(30)); len(errs) > 0 {
		t.Fatal(errs)
	}
	r.background.Wait()
	found, err := Find(t.Context(), w.config)
	if err != nil {
		t.Fatal(err)
	}
	services := map[string]bool{}
	for _, f := range found {
		if f.Kind == kindInstance {
			services[f.Service] = true
		}
	}
	if len(services) != 30 {
		t.Errorf("%d services by the tags of their instances, want 30", len(services))
	}
	if !slices.Contains(w.notes, ": the cloud did not tag 30 new instances; launch tags them by a call of its own") {
		t.Errorf("notes: %q", w.notes)
	}
}

// Some networks have IPv6 alone, and some clouds write 0.0.0.0 for an address that is not there.
func TestAddresses(t *testing.T) {
	private := false
	for name, c := range map[string]struct {
		faults ec2test.Faults
		public *bool
	}{
		"IPv6 alone":  {ec2test.Faults{OnlyIPv6: true}, nil},
		"written out": {ec2test.Faults{ZeroAddresses: true}, &private},
		"both":        {ec2test.Faults{OnlyIPv6: true, ZeroAddresses: true}, &private},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, ec2test.Options{Faults: c.faults})
			w.config.PublicAddress = c.public
			facts := w.obtain(wants(1))["web[0]"]
			if facts.Address != facts.PrivateAddress || strings.Contains(facts.Address, ":") != c.faults.OnlyIPv6 {
				t.Errorf("facts: %+v", facts)
			}
			h, err := w.runner().Connect(t.Context(), runners.Target{Service: "web[0]"})
			if err != nil {
				t.Fatal(err)
			}
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// An endpoint whose answers have no end does not keep launch reading.
func TestTheSamePageAgain(t *testing.T) {
	w := newWorld(t, ec2test.Options{Groups: []string{"web"}, Faults: ec2test.Faults{SamePage: true}})
	w.config.SecurityGroups = []string{"web"}
	r := w.runner()
	running := types.Instance{InstanceId: aws.String("i-1"), State: &types.InstanceState{Name: types.InstanceStateNameRunning}}
	for name, look := range map[string]func() error{
		"instances": func() error { _, err := r.cloud.findInstances(t.Context()); return err },
		"checks": func() error {
			_, err := r.fleet.impaired(t.Context(), []string{"i-1"}, map[string]*types.Instance{"i-1": &running})
			return err
		},
		"templates": func() error { _, err := r.cloud.findTemplates(t.Context()); return err },
		"groups":    func() error { _, err := r.cloud.findGroups(t.Context()); return err },
		"security":  func() error { _, err := r.securityGroups(t.Context()); return err },
	} {
		if err := look(); !errors.Is(err, errSamePage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Tags may be refused for one of the things that a call makes.
func TestUntaggableVolumes(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{
		Refuse:      map[string]ec2test.Error{"RunInstances": {Code: "InvalidParameterValue", Message: "'volume' is not a valid taggable resource type for this operation."}},
		RefuseTimes: map[string]int{"RunInstances": 1},
	}})
	w.obtain(wants(2))
	w.end(wants(2))
}

func TestMetadataUnset(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{NoMetadata: true}})
	w.config.Metadata = "unset"
	w.obtain(wants(1))
	w.config.Pool = &Pool{Size: 1}
	if _, err := w.runner().Await(t.Context(), runners.Want{Service: "workers"}); err != nil {
		t.Fatal(err)
	}
	w.config.MetadataHops = 2
	if err := w.config.Check(); err == nil || !strings.Contains(err.Error(), `metadata = "unset"`) {
		t.Errorf("check = %v", err)
	}
}

// Not every cloud tells of the health of a pool's instances.
func TestHealthThatIsNotTold(t *testing.T) {
	in := func(health *string, state astypes.LifecycleState) astypes.Instance {
		return astypes.Instance{HealthStatus: health, LifecycleState: state}
	}
	up := astypes.LifecycleStateInService
	g := &astypes.AutoScalingGroup{Instances: []astypes.Instance{
		in(nil, up), in(aws.String("Healthy"), up), in(aws.String("Unhealthy"), up), in(nil, astypes.LifecycleStatePending),
	}}
	if n := inService(g); n != 2 {
		t.Errorf("%d in service, want 2", n)
	}
}

// The latest output is there at once, but not of every type of instance, and not on every cloud.
func TestKeysOnTheLatestConsole(t *testing.T) {
	for name, faults := range map[string]ec2test.Faults{"latest": {OnlyLatest: true}, "not latest": {NoLatest: true}, "not encoded": {PlainConsole: true}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, ec2test.Options{Faults: faults})
			w.config.HostKey = "console"
			w.obtain(wants(1))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			h, err := w.runner().Connect(ctx, runners.Target{Service: "web[0]"})
			if err != nil {
				t.Fatal(err)
			}
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A host on the way is found as in an ssh runner: by ~/.ssh/config.
func TestJumpHostIsAnAlias(t *testing.T) {
	w := newWorld(t, ec2test.Options{})
	facts := w.obtain(wants(2))
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	hostKey, err := readKey(filepath.Join(w.dir, hostKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	known := filepath.Join(home, "known")
	address := net.JoinHostPort(facts["web[0]"].Address, strconv.Itoa(w.SSHPort))
	for name, content := range map[string]string{
		known: knownhosts.Line([]string{address}, hostKey.signer.PublicKey()),
		filepath.Join(home, ".ssh", "config"): fmt.Sprintf("Host bastion\nHostName %s\nPort %d\nUser jumper\nIdentityFile %s\nUserKnownHostsFile %s\n",
			facts["web[0]"].Address, w.SSHPort, filepath.Join(w.dir, clientKeyFile), known),
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.config.SSH.ProxyJump = []string{"bastion"}
	w.environ = []string{"HOME=" + home}
	h, err := w.runner().Connect(t.Context(), runners.Target{Service: "web[1]"})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if n := w.Report().Logins; n != 2 {
		t.Errorf("%d logins, want one on the way and one there", n)
	}
}
