package ec2

import (
	"strings"
	"testing"
	"time"

	"github.com/launchplan/launch/internal/ec2test"
	"github.com/launchplan/launch/runners"
)

// Credentials of another account do not see what the run has. That is not taken for gone.
func TestOtherAccount(t *testing.T) {
	w := newWorld(t, ec2test.Options{})
	list := wants(2)
	w.obtain(list)
	pooled := w.config
	pooled.Pool = &Pool{Size: 1}
	here := w.config
	w.config = pooled
	if _, err := w.runner().Await(t.Context(), runners.Want{Service: "workers"}); err != nil {
		t.Fatal(err)
	}
	w.config = here
	w.age(time.Hour)

	elsewhere := ec2test.Start(t, ec2test.Options{Account: "210987654321"})
	const told = "these credentials are for the account 210987654321, and the run has its machines in 123456789012: set AWS_PROFILE"
	for _, c := range []struct {
		config  Config
		service string
	}{{here, "web[0]"}, {pooled, "workers"}} {
		w.config = c.config
		w.config.Endpoint = elsewhere.URL
		r := w.runner()
		if err := r.Inspect(t.Context(), c.service); err == nil || !strings.Contains(err.Error(), told) {
			t.Errorf("Inspect(%s) = %v", c.service, err)
		}
		if errs := r.Release(t.Context(), []string{c.service}); errs[c.service] == nil || !strings.Contains(errs[c.service].Error(), told) {
			t.Errorf("Release(%s) = %v", c.service, errs)
		}
		if err := r.Sweep(t.Context()); err == nil || !strings.Contains(err.Error(), told) {
			t.Errorf("Sweep = %v", err)
		}
	}
	w.config = pooled
	if errs := w.runner().Release(t.Context(), []string{"workers"}); len(errs) > 0 {
		t.Error(errs)
	}
	w.config = here
	w.end(list)
}
