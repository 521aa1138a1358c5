package ec2

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/launchplan/launch/internal/ec2test"
	"github.com/launchplan/launch/runners"
)

// A key pair and a launch template that were just made may be unknown to the calls that name them.
func TestNamesThatAreLate(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{NamesLateFor: 1200 * time.Millisecond}})
	w.obtain(wants(2))
	w.config.Pool = &Pool{Size: 1}
	if _, err := w.runner().Await(t.Context(), runners.Want{Service: "workers"}); err != nil {
		t.Error(err)
	}
	w.mustBe(map[string]int{"running": 3}, 1)
}

// A key pair that somebody has removed is no late one.
func TestKeyPairThatIsNotThere(t *testing.T) {
	w := newWorld(t, ec2test.Options{})
	w.config.KeyName = "mine"
	if err := w.runner().Request(t.Context(), wants(1)); err == nil || !strings.Contains(err.Error(), "'mine' does not exist") {
		t.Errorf("Request = %v", err)
	}
	if n := w.Report().Calls["RunInstances"]; n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}

// A gateway that fails is waited out, also while instances, pools and console output are waited for.
func TestBadGateways(t *testing.T) {
	fail := func(action string, looks int) ec2test.Faults {
		return ec2test.Faults{BadGateways: map[string]int{action: looks * attempts}}
	}
	told := func(w *world, service, api string) {
		t.Helper()
		want := service + ": the " + api + " API does not answer; launch keeps trying: the endpoint answers 502 (Bad Gateway) without an error that can be read: is it one of EC2?"
		if !slices.Contains(w.notes, want) {
			t.Errorf("notes: %q", w.notes)
		}
	}
	t.Run("at the end", func(t *testing.T) {
		w := newWorld(t, ec2test.Options{Ending: 100 * time.Millisecond})
		w.obtain(wants(2))
		r := w.runner()
		w.SetFaults(fail("DescribeInstances", 1))
		if errs := r.Release(t.Context(), names(wants(2))); len(errs) > 0 {
			t.Error(errs)
		}
		w.mustBe(map[string]int{"terminated": 2}, 1)
		told(w, "", "EC2")
	})
	t.Run("of a pool", func(t *testing.T) {
		w := newWorld(t, ec2test.Options{})
		w.config.Pool = &Pool{Size: 1}
		r := w.runner()
		if _, err := r.Await(t.Context(), runners.Want{Service: "workers"}); err != nil {
			t.Fatal(err)
		}
		w.SetFaults(fail("DescribeAutoScalingGroups", 2))
		if errs := r.Release(t.Context(), []string{"workers"}); len(errs) > 0 {
			t.Error(errs)
		}
		w.mustBe(map[string]int{"terminated": 1}, 1)
		told(w, "workers", "Auto Scaling")
	})
	t.Run("on the console", func(t *testing.T) {
		w := newWorld(t, ec2test.Options{})
		w.config.HostKey = "console"
		w.obtain(wants(1))
		w.SetFaults(fail("GetConsoleOutput", 1))
		h, err := w.runner().Connect(t.Context(), runners.Target{Service: "web[0]"})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		told(w, "", "EC2")
	})
}

// Where nobody saw it before it ended, the service is told why all the same, and that it is gone.
func TestInstancesThatDieUnseen(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{DieStarting: 4, LoseAnswers: map[string]int{"RunInstances": 2}}})
	_, errs := awaitAll(t, w.runner(), wants(2))
	for _, want := range wants(2) {
		if err := errs[want.Service]; !errors.Is(err, runners.ErrGone) || !strings.Contains(err.Error(), "Internal error on launch") {
			t.Errorf("Await(%s): %v", want.Service, err)
		}
	}
}

// An instance that ends while launch waits to be let in is told of, once.
func TestInstanceThatDiesWhileBooting(t *testing.T) {
	w := newWorld(t, ec2test.Options{Boot: ec2test.Delay{Min: time.Hour}})
	facts := w.obtain(wants(1))["web[0]"]
	if err := w.Kill(facts.InstanceID); err != nil {
		t.Fatal(err)
	}
	_, err := w.runner().Connect(t.Context(), runners.Target{Service: "web[0]"})
	want := "connect to " + facts.InstanceID + " (" + facts.Address + "): the instance " + facts.InstanceID + " is terminated: Server.InternalError: the host failed"
	if err == nil || err.Error() != want || !errors.Is(err, runners.ErrGone) {
		t.Errorf("Connect = %v, want %s", err, want)
	}
}

// A group's name is that of the network where the instance goes.
func TestGroupsOfTwoNetworks(t *testing.T) {
	w := newWorld(t, ec2test.Options{Groups: []string{"web"}, OtherVPC: true})
	w.config.SecurityGroups = []string{"web", "default"}
	w.obtain(wants(1))
	w.SetFaults(ec2test.Faults{Refuse: map[string]ec2test.Error{"DescribeSubnets": {Code: "UnauthorizedOperation", Status: 403}}})
	if err := w.runner().Request(t.Context(), wants(2)); err == nil || !strings.Contains(err.Error(), `2 security groups are named "web"`) {
		t.Errorf("Request = %v", err)
	}
}

// A group that is busy is asked to end again.
func TestBusyGroup(t *testing.T) {
	w := newWorld(t, ec2test.Options{})
	w.config.Pool = &Pool{Size: 1}
	r := w.runner()
	if _, err := r.Await(t.Context(), runners.Want{Service: "workers"}); err != nil {
		t.Fatal(err)
	}
	busy := ec2test.Faults{
		Refuse:      map[string]ec2test.Error{"DeleteAutoScalingGroup": {Code: "ScalingActivityInProgress"}},
		RefuseTimes: map[string]int{"DeleteAutoScalingGroup": 2},
	}
	w.SetFaults(busy)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if errs := r.Release(ctx, []string{"workers"}); len(errs) > 0 {
		t.Error(errs)
	}
	w.mustBe(map[string]int{"terminated": 1}, 1)

	// Who cleans is told.
	w.ledger = newLedger()
	if _, err := w.runner().Await(t.Context(), runners.Want{Service: "workers"}); err != nil {
		t.Fatal(err)
	}
	found, err := Find(t.Context(), w.config)
	if err != nil {
		t.Fatal(err)
	}
	w.SetFaults(busy)
	if errs := End(t.Context(), w.config, found); errs[w.runner().poolName("workers")] == nil {
		t.Errorf("End = %v", errs)
	}
}

// Whatever the refusal of several is called, each of them is tried.
func TestEndInHalves(t *testing.T) {
	w := newWorld(t, ec2test.Options{})
	list := wants(3)
	w.obtain(list)
	w.SetFaults(ec2test.Faults{
		Refuse:      map[string]ec2test.Error{"TerminateInstances": {Code: "IncorrectInstanceState", Message: "one of them is locked"}},
		RefuseTimes: map[string]int{"TerminateInstances": 3}, // of all, and of the first, which is there and so is tried again
	})
	errs := w.runner().Release(t.Context(), names(list))
	if len(errs) != 1 || !strings.Contains(errors.Join(errs["web[0]"], errs["web[1]"], errs["web[2]"]).Error(), "one of them is locked") {
		t.Errorf("Release = %v", errs)
	}
	w.mustBe(map[string]int{"running": 1, "terminated": 2}, 1)
}

// A cloud may go on to describe what has ended, and yet not know it when it is to be ended.
func TestEndedAndNotThere(t *testing.T) {
	w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{Unterminated: true}})
	facts := w.obtain(wants(2))
	if err := w.Kill(facts["web[0]"].InstanceID); err != nil {
		t.Fatal(err)
	}
	w.end(wants(2))
}

// The SDK learns the endpoint's time from an answer, and calls go on with it.
func TestWrongClock(t *testing.T) {
	for _, ahead := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			w := newWorld(t, ec2test.Options{Faults: ec2test.Faults{ClockAhead: ahead, LoseAnswers: map[string]int{"ImportKeyPair": 2}}})
			w.obtain(wants(1))
			w.end(wants(1))
		})
	}
}
