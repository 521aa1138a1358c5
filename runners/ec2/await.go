package ec2

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/launchplan/launch/runners"
)

// Await implements runners.Provisioner.
func (r *Runner) Await(ctx context.Context, want runners.Want) (runners.Facts, error) {
	if r.config.Pool != nil {
		return r.awaitPool(ctx, want)
	}
	h, err := r.obtain(ctx, want)
	if err != nil {
		return runners.Facts{}, err
	}
	if h, err = r.awaitAddress(ctx, h); err != nil {
		return runners.Facts{}, err
	}
	return r.facts(h), nil
}

// obtain is the service's instance, asked for if it was not yet.
func (r *Runner) obtain(ctx context.Context, want runners.Want) (held, error) {
	h, ok := r.has(want.Service)
	switch {
	case want.Host != "" && ok && h.ID == want.Host:
		return h, nil
	case want.Host != "":
		h = held{
			runners.Resource{Kind: kindInstance, Key: "existing/" + want.Service, ID: want.Host, Service: want.Service, Status: "live"},
			record{Region: r.cloud.region, Asked: time.Now().UTC(), Existing: true},
		}
		return h, r.put(ctx, nil, h)
	case ok && h.Status == "live":
		return h, nil
	}
	if err := r.takeFailure(want.Service); err != nil {
		return held{}, err
	}
	if err := r.asked.request(ctx, r, want); err != nil {
		return held{}, err
	}
	if h, ok := r.has(want.Service); ok && h.Status == "live" {
		return h, nil
	}
	if err := r.takeFailure(want.Service); err != nil {
		return held{}, err
	}
	return held{}, fmt.Errorf("EC2 gave no instance for %s", want.Service)
}

// awaitAddress waits until the instance runs and has the address that the
// configuration wants, and records it.
func (r *Runner) awaitAddress(ctx context.Context, h held) (held, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, runTimeout, fmt.Errorf("it was not running after %v", runTimeout))
	defer cancel()
	begin, patience := time.Now(), r.patience(h.Service, "EC2")
	var runs time.Time // since when it has been seen to run
	pause := gather
	for ; ; pause = pauseAfter(time.Since(begin)) {
		s, err := r.fleet.look(ctx, h.ID, false, pause)
		if err != nil && !patience.bears(ctx, err) {
			return h, explain(err, "wait for the instance %s", h.ID)
		}
		if err != nil {
			continue
		}
		up, err := r.isUp(h, s.instance)
		if err != nil {
			return h, err
		}
		if !up {
			continue
		}
		if runs.IsZero() {
			runs = time.Now()
		}
		// Either address may come after the state, and a private one that is not needed is not worth the longest wait.
		h.Public, h.Private = addressesOf(s.instance)
		late := h.Existing || time.Since(runs) > addressTime
		switch address := r.address(h); {
		case address != "" && (h.Private != "" || late):
			return h, r.put(ctx, nil, h)
		case late:
			return h, fmt.Errorf("the instance %s runs but has no %s: set address or public_address in the runner block, or choose another subnet", h.ID, strings.TrimSpace(r.config.Address+" address"))
		}
	}
}

// isUp says whether an instance runs, and why it never will.
func (r *Runner) isUp(h held, i *types.Instance) (bool, error) {
	if i == nil {
		if h.Existing || time.Since(h.Asked) > consistency {
			return false, fmt.Errorf("the instance %s does not exist in %s", h.ID, r.cloud.region)
		}
		return false, nil // new, and not known everywhere yet
	}
	switch stateOf(i) {
	case types.InstanceStateNamePending, "":
		return false, nil
	case types.InstanceStateNameRunning:
		return true, nil
	default:
		return false, endError(h.ID, i)
	}
}

// addressesOf are an instance's addresses. In a network that has IPv6 alone, that one is both. Some compatible clouds
// write 0.0.0.0 where there is none.
func addressesOf(i *types.Instance) (public, private string) {
	some := func(address *string) string {
		if a, err := netip.ParseAddr(aws.ToString(address)); err == nil && a.IsUnspecified() {
			return ""
		}
		return aws.ToString(address)
	}
	public, private = some(i.PublicIpAddress), some(i.PrivateIpAddress)
	if public == "" && private == "" {
		public = some(i.Ipv6Address)
		private = public
	}
	return public, private
}

// endReason is why an instance no longer runs, as EC2 tells it.
func endReason(i *types.Instance) string {
	switch {
	case i.StateReason != nil && aws.ToString(i.StateReason.Message) != "":
		return clean(aws.ToString(i.StateReason.Message))
	case aws.ToString(i.StateTransitionReason) != "":
		return clean(aws.ToString(i.StateTransitionReason))
	}
	return "EC2 gives no reason"
}

// Fits implements runners.Provisioner. A pool is made to fit when it is asked for.
func (r *Runner) Fits(want runners.Want) error {
	if r.config.Pool != nil {
		if _, _, has := r.pool(want.Service); !has {
			return runners.ErrNoHost
		}
		return nil
	}
	h, ok := r.has(want.Service)
	switch {
	case !ok:
		return runners.ErrNoHost
	case want.Host != "" && h.ID != want.Host:
		return fmt.Errorf("the plan names another instance than %s", h.ID)
	case want.Host != "" || h.Made == "" && !h.Existing:
		return nil
	case h.Existing:
		return fmt.Errorf("the plan no longer names the instance %s", h.ID)
	}
	made, err := r.made()
	if err == nil && made != h.Made {
		err = errors.New("its machine would be made of something else now")
	}
	return err
}

// Inspect implements runners.Provisioner.
func (r *Runner) Inspect(ctx context.Context, service string) error {
	if r.config.Pool != nil {
		return r.inspectPool(ctx, service)
	}
	h, ok := r.has(service)
	if !ok || h.ID == "" {
		r.reload()
		if h, ok = r.has(service); !ok || h.ID == "" {
			return &endedError{service + " has no instance"}
		}
	}
	s, err := r.fleet.look(ctx, h.ID, true, gather)
	switch {
	case err != nil:
		return &runners.UntoldError{Err: explain(err, "look at the instance %s", h.ID)}
	case s.instance == nil && time.Since(h.Asked) < consistency && !h.Existing:
		return nil // not known everywhere yet
	case s.instance == nil && r.otherAccount(ctx) != nil:
		return &runners.UntoldError{Err: r.otherAccount(ctx)}
	case s.instance == nil:
		return &endedError{fmt.Sprintf("the instance %s is gone", h.ID)}
	case s.impaired != "":
		return fmt.Errorf("the instance %s is impaired: its %s status check fails", h.ID, s.impaired)
	}
	switch stateOf(s.instance) {
	case types.InstanceStateNameRunning, types.InstanceStateNamePending:
		return nil
	default:
		return endError(h.ID, s.instance)
	}
}

// endError tells of an instance that neither runs nor is about to.
func endError(id string, i *types.Instance) error {
	return &endedError{fmt.Sprintf("the instance %s is %s: %s", id, stateOf(i), endReason(i))}
}

// An endedError is runners.ErrGone, with how the instance stands.
type endedError struct{ text string }

func (e *endedError) Error() string        { return e.text }
func (e *endedError) Is(target error) bool { return target == runners.ErrGone }
