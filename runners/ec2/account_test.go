package ec2

import (
	"bytes"
	"errors"
	"io"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/launchplan/launch/internal/ec2test"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/ssh"
)

// Credentials of another account do not see what the run has. That is not taken for gone.
func TestOtherAccount(t *testing.T) {
	w := newWorld(t, ec2test.Options{})
	elsewhere := ec2test.Start(t, ec2test.Options{Account: "210987654321"})
	var other atomic.Bool // the endpoint answers for the other account
	endpoint := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		to := w.URL
		if other.Load() {
			to = elsewhere.URL
		}
		p.Out.URL.Scheme, p.Out.URL.Host = "http", strings.TrimPrefix(to, "http://")
	}})
	t.Cleanup(endpoint.Close)
	w.config.Endpoint = endpoint.URL
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

	other.Store(true)
	const told = "these credentials are for the account 210987654321, and the run has its machines in 123456789012: set AWS_PROFILE"
	for _, c := range []struct {
		config  Config
		service string
	}{{here, "web[0]"}, {pooled, "workers"}} {
		w.config = c.config
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
	other.Store(false)
	w.config = pooled
	if errs := w.runner().Release(t.Context(), []string{"workers"}); len(errs) > 0 {
		t.Error(errs)
	}
	w.config = here
	w.end(list)
}

// What owns the machines of a cloud may have another name there than whom the credentials are said to be for.
func TestAccountOfTwoNames(t *testing.T) {
	w := newWorld(t, ec2test.Options{Forget: 1})
	names := ec2test.Start(t, ec2test.Options{Account: "210987654321"})
	endpoint := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		body, err := io.ReadAll(p.In.Body)
		if err != nil {
			t.Error(err)
		}
		p.Out.Body = io.NopCloser(bytes.NewReader(body))
		to := w.URL
		if strings.Contains(string(body), "Action=GetCallerIdentity") {
			to = names.URL
		}
		p.Out.URL.Scheme, p.Out.URL.Host = "http", strings.TrimPrefix(to, "http://")
	}})
	t.Cleanup(endpoint.Close)
	w.config.Endpoint = endpoint.URL
	list := wants(2)
	facts := w.obtain(list)
	if err := w.Kill(facts["web[0]"].InstanceID); err != nil {
		t.Fatal(err)
	}
	w.age(time.Hour)
	if err := w.runner().Inspect(t.Context(), "web[0]"); !errors.Is(err, runners.ErrGone) {
		t.Errorf("Inspect = %v", err)
	}
	w.end(list)
}

// Two clouds of one run have an account each.
func TestTwoClouds(t *testing.T) {
	w := newWorld(t, ec2test.Options{})
	here := w.config
	list := wants(1)
	w.obtain(list)
	second := ec2test.Start(t, ec2test.Options{Account: "210987654321"})
	w.config.Endpoint, w.config.SSH = second.URL, &ssh.Config{Port: second.SSHPort, User: "tester"}
	there := []runners.Want{{Service: "db"}}
	r := w.runner()
	if err := r.Request(t.Context(), there); err != nil {
		t.Fatal(err)
	}
	if _, errs := awaitAll(t, r, there); len(errs) > 0 {
		t.Fatal(errs)
	}
	row, _ := w.ledgerOf("db")
	row.ID = "i-0123456789abcdef0" // it is no more, and forgotten
	if err := w.ledger.Put(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	w.age(time.Hour)
	r = w.runner()
	if err := r.Inspect(t.Context(), "db"); !errors.Is(err, runners.ErrGone) {
		t.Errorf("Inspect = %v", err)
	}
	if errs := r.Release(t.Context(), names(there)); len(errs) > 0 {
		t.Error(errs)
	}
	w.config = here
	w.end(list)
}
