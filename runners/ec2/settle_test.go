package ec2

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"

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

// age lets everything of the run have been asked for earlier.
func (w *world) age(by time.Duration) {
	w.t.Helper()
	for key, row := range w.ledger.rows {
		if row.Data == "" {
			continue
		}
		var record struct {
			Asked time.Time `json:"asked"`
		}
		if err := json.Unmarshal([]byte(row.Data), &record); err != nil {
			w.t.Fatal(err)
		}
		asked := func(at time.Time) string { return at.Format(time.RFC3339Nano) }
		row.Data = strings.Replace(row.Data, asked(record.Asked), asked(record.Asked.Add(-by)), 1)
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
		{Code: "Whatever", Status: 501}:                     false,
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
	_, err := w.runner().cloud.ec2.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{}, once)
	if !noEffect(err) {
		t.Errorf("a call that could not be sent may have had an effect: %v", err)
	}
	if text := explain(err, "look").Error(); !strings.HasPrefix(text, `look: the endpoint cannot be reached; check the region, the endpoint and the network (Post "http://127.0.0.1:1/": dial tcp`) {
		t.Errorf("told as %q", text)
	}
}

func TestAnswerThatIsNoneOfTheAPI(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{UnknownFilters: []string{"instance-state-name"}}})
	r := w.runner()
	in := &ec2.DescribeInstancesInput{Filters: []types.Filter{filter("instance-state-name", "running")}}
	_, err := r.cloud.ec2.DescribeInstances(t.Context(), in, r.cloud.retrying(func(error) bool { return false }))
	err = explain(err, "look for instances")
	want := "look for instances: the endpoint answers 500 (Internal Server Error) without an error that can be read: is it one of EC2?"
	if err == nil || err.Error() != want {
		t.Errorf("told as %v, want %s", err, want)
	}
	w.SetFaults(ec2test.Faults{BadGateways: map[string]int{"DescribeInstances": 1}}) // whose page can be read as XML
	_, err = r.cloud.ec2.DescribeInstances(t.Context(), in, r.cloud.retrying(func(error) bool { return false }))
	if text := explain(err, "look").Error(); text != "look: the endpoint answers 502 (Bad Gateway) without an error that can be read: is it one of EC2?" {
		t.Errorf("told as %s", text)
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

// What a page shows once more is one instance, not one too many.
func TestJoin(t *testing.T) {
	at := func(id string) types.Instance { return types.Instance{InstanceId: aws.String(id)} }
	var ids []string
	for _, i := range join([]types.Instance{at("a")}, []types.Instance{at("b"), at("a"), at("b"), at("c")}) {
		ids = append(ids, *i.InstanceId)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, ids); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
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

// What another runner block of the run is asking for at the moment is not taken for a call that was cut off.
func TestTwoBlocksAskAtOnce(t *testing.T) {
	w := newWorld(t, ec2test.Options{})
	asked, answer := make(chan struct{}), make(chan struct{})
	endpoint := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		body, err := io.ReadAll(p.In.Body)
		if err != nil {
			t.Error(err)
		}
		p.Out.Body = io.NopCloser(bytes.NewReader(body))
		p.Out.URL.Scheme, p.Out.URL.Host = "http", strings.TrimPrefix(w.URL, "http://")
		if strings.Contains(string(body), "Action=RunInstances") && strings.Contains(string(body), "t3.micro") {
			close(asked)
			<-answer
		}
	}})
	t.Cleanup(endpoint.Close)
	w.config.Endpoint = endpoint.URL
	first := w.runner()
	w.config.InstanceType = "t3.small"
	second := w.runner()
	var both sync.WaitGroup
	both.Go(func() {
		if err := first.Request(t.Context(), wants(1)); err != nil {
			t.Error(err)
		}
	})
	<-asked
	ctx, cancel := context.WithTimeout(t.Context(), consistency/4) // it would look for what cannot be seen
	defer cancel()
	if err := second.Request(ctx, []runners.Want{{Service: "db"}}); err != nil {
		t.Error(err)
	}
	close(answer)
	both.Wait()
	w.config.Endpoint = w.URL
	w.end(append(wants(1), runners.Want{Service: "db"}))
}

// A call that was cut off is that of the cloud where it was made, also where another one of the run has a region of the same name.
func TestCallOfAnotherCloud(t *testing.T) {
	w := newWorld(t, ec2test.Options{})
	here, list := w.config, wants(3)
	w.killed(list)
	second := ec2test.Start(t, ec2test.Options{})
	w.config.Endpoint = second.URL
	ctx, cancel := context.WithTimeout(t.Context(), consistency/4) // it would look for what cannot be seen
	defer cancel()
	there := []runners.Want{{Service: "db"}}
	if err := w.runner().Request(ctx, there); err != nil {
		t.Fatal(err)
	}
	if errs := w.runner().Release(ctx, names(there)); len(errs) > 0 {
		t.Fatal(errs)
	}
	w.config = here
	w.obtain(list)
	if n := second.Report().Started; n != 1 {
		t.Errorf("%d instances were started in the second cloud, want 1", n)
	}
	w.end(list)
	if n := w.Report().Started; n != 3 {
		t.Errorf("%d instances were started in the first cloud, want 3", n)
	}
}

// A block whose endpoint has another name now finds the call that was cut off, and makes another one where nothing came of it.
func TestCallBeforeANewName(t *testing.T) {
	for name, started := range map[string]bool{"started": true, "not started": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, ec2test.Options{})
			list := wants(3)
			if started {
				w.killed(list)
			} else {
				r := w.runner()
				tmpl, err := r.template(t.Context(), "")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := r.intend(t.Context(), tmpl, names(list), true); err != nil {
					t.Fatal(err)
				}
			}
			w.config.Endpoint += "/"
			w.obtain(list)
			w.end(list)
			if n := w.Report().Started; n != 3 {
				t.Errorf("%d instances were started, want 3", n)
			}
		})
	}
}
