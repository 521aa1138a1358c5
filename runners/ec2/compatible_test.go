package ec2

import (
	"context"
	"encoding/json"
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
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/launchplan/launch/internal/ec2test"
	"github.com/launchplan/launch/runners"
)

// atAssign is the Put that records what a run's first RunInstances call has started.
const atAssign = 4

// killed asks for instances by a launch that is killed before it has recorded what came of the call.
func (w *world) killed(list []runners.Want) {
	w.t.Helper()
	w.ledger.dieAt = atAssign
	if err := w.runner().Request(w.t.Context(), list); !errors.Is(err, errKilled) {
		w.t.Fatalf("Request = %v, want it to be killed", err)
	}
	w.ledger.dieAt = 0
	if n := w.Report().Started; n != len(list) {
		w.t.Fatalf("%d instances were started before the kill, want %d", n, len(list))
	}
}

// age lets the calls of the run have been made earlier.
func (w *world) age(by time.Duration) {
	w.t.Helper()
	for key, row := range w.ledger.rows {
		if row.Kind != kindBatch {
			continue
		}
		var b batchRecord
		if err := json.Unmarshal([]byte(row.Data), &b); err != nil {
			w.t.Fatal(err)
		}
		b.Asked = b.Asked.Add(-by)
		data, err := json.Marshal(b)
		if err != nil {
			w.t.Fatal(err)
		}
		row.Data = string(data)
		w.ledger.rows[key] = row
	}
}

// obtain asks for instances and waits for them.
func (w *world) obtain(list []runners.Want) map[string]runners.Facts {
	w.t.Helper()
	r := w.runner()
	if err := r.Request(w.t.Context(), list); err != nil {
		w.t.Fatal(err)
	}
	facts, errs := awaitAll(w.t, r, list)
	if len(errs) > 0 {
		w.t.Fatal(errs)
	}
	return facts
}

// end ends the run, and nothing of it may be left.
func (w *world) end(list []runners.Want) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), consistency/2) // who waits longer waits for what cannot be seen
	defer cancel()
	r := w.runner()
	if errs := r.Release(ctx, names(list)); len(errs) > 0 {
		w.t.Fatal(errs)
	}
	if err := r.Sweep(ctx); err != nil {
		w.t.Fatal(err)
	}
	if got := w.Report(); got.States["terminated"] != got.Started || got.KeyPairs != 0 {
		w.t.Errorf("left of the run: %+v", got)
	}
}

// A call that is repeated and then refused may have had its effect before.
func TestRefusedRepeatLosesNothing(t *testing.T) {
	for _, refusal := range []ec2test.Error{{Code: "ExpiredToken"}, {Code: "InsufficientInstanceCapacity", Status: 500}, {Code: "InvalidAMIID.NotFound"}} {
		for name, unseen := range map[string]ec2test.Faults{
			"some seen": {LateFor: 1500 * time.Millisecond},
			"none seen": {NotFoundFor: 1500 * time.Millisecond},
		} {
			t.Run(refusal.Code+" "+name+" after a lost answer", func(t *testing.T) {
				faults := unseen
				faults.Refuse = map[string]ec2test.Error{"RunInstances": refusal}
				faults.RefuseAfter, faults.LoseAnswers = map[string]int{"RunInstances": 1}, map[string]int{"RunInstances": 1}
				w := newWorld(t, ec2test.Options{Faults: faults})
				w.obtain(wants(3))
				w.mustBe(map[string]int{"running": 3}, 1)
			})
			t.Run(refusal.Code+" "+name+" after a kill", func(t *testing.T) {
				w := newWorld(t, ec2test.Options{Faults: unseen})
				w.killed(wants(3))
				faults := unseen
				faults.Refuse = map[string]ec2test.Error{"RunInstances": refusal}
				w.SetFaults(faults)
				w.obtain(wants(3))
				w.mustBe(map[string]int{"running": 3}, 1)
			})
		}
	}
}

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

// EC2 refuses the token of a call of which an instance has ended.
func TestInstancesThatEndedBeforeTheResume(t *testing.T) {
	for name, forget := range map[string]time.Duration{"described": time.Hour, "forgotten": 1} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, ec2test.Options{Forget: forget})
			list := wants(3)
			w.killed(list)
			w.age(time.Hour)
			found, err := Find(t.Context(), w.config)
			if err != nil {
				t.Fatal(err)
			}
			kept := map[string]string{}
			for _, f := range found {
				switch {
				case f.Kind != kindInstance:
				case f.index == 0:
					if err := w.Kill(f.ID); err != nil {
						t.Fatal(err)
					}
				default:
					kept[fmt.Sprintf("web[%d]", f.index)] = f.ID
				}
			}
			facts := w.obtain(list)
			got := map[string]string{"web[1]": facts["web[1]"].InstanceID, "web[2]": facts["web[2]"].InstanceID}
			if diff := cmp.Diff(kept, got); diff != "" {
				t.Errorf("those that went on belong to (-want +got):\n%s", diff)
			}
			if n := w.Report().Started; n != 4 {
				t.Errorf("%d instances were started, want 4", n)
			}
		})
	}
}

func TestAnswersWithoutEffect(t *testing.T) {
	w := newWorld(t, ec2test.Options{})
	r := w.runner()
	once := r.cloud.retrying(func(error) bool { return false })
	for answer, want := range map[ec2test.Error]bool{
		{Code: "NoSuchEntity", Status: 404}:                 true,
		{Code: "Whatever", Status: 400}:                     true,
		{Code: "ReservationCapacityExceeded", Status: 500}:  true,
		{Code: "InsufficientInstanceCapacity", Status: 500}: true,
		{Code: "RequestTimeout", Status: 408}:               false,
		{Code: "Conflict", Status: 409}:                     false,
		{Code: "Unheard", Status: 429}:                      false,
		{Code: "UnknownError", Status: 500}:                 false,
		{Code: "InternalError", Status: 500}:                false,
		{Code: "Unavailable", Status: 503}:                  false,
	} {
		w.SetFaults(ec2test.Faults{Refuse: map[string]ec2test.Error{"DescribeInstances": answer}})
		_, err := r.cloud.ec2.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{}, once)
		if err == nil || noEffect(err) != want {
			t.Errorf("noEffect(%d %s) = %v, want %v (%v)", answer.Status, answer.Code, !want, want, err)
		}
	}
	w.config.Endpoint = "http://127.0.0.1:1" // where nothing listens
	if _, err := w.runner().cloud.ec2.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{}, once); !noEffect(err) {
		t.Errorf("a call that could not be sent may have had an effect: %v", err)
	}
}

// A refusal with a code that nobody has listed leaves nothing to look for.
func TestUnlistedRefusalIsARefusal(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{Refuse: map[string]ec2test.Error{"RunInstances": {Code: "NoSuchEntity", Status: 404, Message: "no such profile"}}}})
	if err := w.runner().Request(t.Context(), wants(2)); err == nil || !strings.Contains(err.Error(), "no such profile") {
		t.Fatalf("Request = %v", err)
	}
	for _, b := range w.ledger.List(kindBatch) {
		if b.Status != "gone" {
			t.Errorf("the call is %s in the ledger", b.Status)
		}
	}
	if n := w.Report().Calls["RunInstances"]; n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
	w.end(wants(2))
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

func TestPlace(t *testing.T) {
	at := func(id string, index int32, state types.InstanceStateName) types.Instance {
		return types.Instance{InstanceId: aws.String(id), AmiLaunchIndex: aws.Int32(index), State: &types.InstanceState{Name: state}}
	}
	const up, down = types.InstanceStateNameRunning, types.InstanceStateNameTerminated
	for name, c := range map[string]struct {
		instances []types.Instance
		count     int
		placed    []string
		excess    []string
	}{
		"in order":      {[]types.Instance{at("b", 1, up), at("a", 0, up)}, 2, []string{"a", "b"}, nil},
		"one not seen":  {[]types.Instance{at("c", 2, up), at("a", 0, up)}, 3, []string{"a", "", "c"}, nil},
		"not numbered":  {[]types.Instance{at("c", 0, up), at("a", 0, up), at("b", 0, up)}, 3, []string{"a", "b", "c"}, nil},
		"started twice": {[]types.Instance{at("a", 0, up), at("b", 1, up), at("c", 0, up), at("d", 1, up)}, 2, []string{"a", "b"}, []string{"c", "d"}},
		"one has ended": {[]types.Instance{at("a", 0, down), at("b", 1, up)}, 2, []string{"", "b"}, nil},
		"beyond":        {[]types.Instance{at("a", 0, up), at("b", 7, up)}, 2, []string{"a", "b"}, nil},
	} {
		placed, excess := place(slices.Clone(c.instances), c.count)
		id := func(list []*types.Instance) (out []string) {
			for _, i := range list {
				if i == nil {
					out = append(out, "")
				} else {
					out = append(out, *i.InstanceId)
				}
			}
			return out
		}
		if diff := cmp.Diff([][]string{c.placed, c.excess}, [][]string{id(placed), id(excess)}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
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

func TestMetadataUnset(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{NoMetadata: true}})
	w.config.Metadata = "unset"
	w.obtain(wants(1))
	w.config.Pool = &Pool{Size: 1}
	if _, err := w.runner().Await(t.Context(), runners.Want{Service: "workers"}); err != nil {
		t.Fatal(err)
	}
	w.config.MetadataHops = 2
	if err := w.config.check(); err == nil || !strings.Contains(err.Error(), `metadata = "unset"`) {
		t.Errorf("check = %v", err)
	}
}

// The latest output is there at once, but not of every type of instance, and not on every cloud.
func TestKeysOnTheLatestConsole(t *testing.T) {
	for name, faults := range map[string]ec2test.Faults{"latest": {OnlyLatest: true}, "not latest": {NoLatest: true}} {
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
