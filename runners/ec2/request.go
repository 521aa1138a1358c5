package ec2

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"golang.org/x/sync/errgroup"

	"github.com/launchplan/launch/runners"
)

const (
	// batchesAtATime keeps calls, which take seconds, from queueing for tokens only.
	batchesAtATime = 8
	// taggedOneByOne is how many instances of a request get a tag of their own
	// with their service, for those who look at a console: a call each, so only
	// for small runs. What launch itself needs is in the tags of the batch.
	taggedOneByOne = 20
)

// Request implements runners.Provisioner.
func (r *Runner) Request(ctx context.Context, wants []runners.Want) error {
	r.requesting.Lock()
	defer r.requesting.Unlock()
	if r.resumed { // what is not seen there is not missing
		if err := r.otherAccount(ctx); err != nil {
			return err
		}
	}
	r.reload()
	if err := r.settle(ctx, true); err != nil {
		return err
	}
	var fresh []string
	var unsettled []held
	for _, w := range wants {
		switch h, has := r.has(w.Service); {
		case r.config.Pool != nil:
			if err := r.requestPool(ctx, w); err != nil {
				return err
			}
		case w.Host == "" && !has:
			fresh = append(fresh, w.Service)
		case w.Host == "" && h.ID == "": // of a call before the block had this profile or endpoint, of which nothing is to be seen
			h.Status = "gone"
			fresh, unsettled = append(fresh, w.Service), append(unsettled, h)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	if err := r.put(ctx, nil, unsettled...); err != nil {
		return err
	}
	t, err := r.template(ctx, r.config.UserData)
	if err != nil {
		return err
	}
	batches, err := r.intend(ctx, t, fresh, true)
	if err != nil {
		return err
	}
	return r.startAll(ctx, t, batches)
}

// startAll makes the calls. An error that is not about capacity is about all
// services: what was not asked for yet is not asked for then.
func (r *Runner) startAll(ctx context.Context, t *template, batches []*batch) error {
	var mu sync.Mutex
	var started []held
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(batchesAtATime)
	for _, b := range batches {
		group.Go(func() error {
			if inner.Err() != nil {
				return r.giveUp(ctx, b) // another one has failed before this was sent
			}
			list, err := r.start(ctx, t, b)
			mu.Lock()
			started = append(started, list...)
			mu.Unlock()
			return err
		})
	}
	err := group.Wait()
	if total := len(started); err == nil && total > 1 && total <= taggedOneByOne {
		r.background.Go(func() { r.tagServices(context.WithoutCancel(ctx), started) })
	}
	return err
}

// start makes the call of one batch, and asks once more for what is missing, so
// that the answer tells why it is. The first call is for all or none, since some
// compatible clouds start no more than the least that they are asked for.
func (r *Runner) start(ctx context.Context, t *template, b *batch) ([]held, error) {
	list, err := r.ask(ctx, t, b, nil)
	short, answered := errors.AsType[*Error](err)
	noRoom := answered && (short.kind == lacksCapacity || short.kind == overQuota)
	switch {
	case err != nil && !noRoom:
		return list, err
	case noRoom && b.least() == 1:
		r.fail(b.services, err)
		return nil, nil // each of them tells it by itself
	case len(list) == 0 && b.least() == 1:
		// Asking on would not end, and may start what nobody is told of.
		why := b.died
		if why == nil {
			why = fmt.Errorf("the endpoint took the call, but no instance of it can be seen; look at what the cloud itself lists before you try again")
		}
		r.fail(b.services, fmt.Errorf("start %s: %w", b.what(r.config), why))
		return nil, nil
	}
	missing := b.without(list)
	if len(missing) == 0 {
		return list, nil
	}
	if noRoom {
		r.env.Note("", fmt.Sprintf("EC2 cannot start %d instances at once (%s); asking for as many as it can", len(missing), short.Code))
	} else {
		r.env.Note("", fmt.Sprintf("EC2 started %d of %d instances; asking for the other %d again", len(list), len(b.services), len(missing)))
	}
	again, err := r.intend(ctx, t, missing, false)
	if err != nil {
		return list, err
	}
	for _, b := range again {
		more, err := r.start(ctx, t, b)
		list = append(list, more...)
		if err != nil {
			return list, err
		}
	}
	return list, nil
}

// ask makes the call of a batch and records what came of it. Not every cloud
// keeps to the client token, so a call whose outcome is not known is looked for
// before it is repeated, also by the SDK. seen is what an earlier command's call
// is known to have started; it is not nil where there was one.
func (r *Runner) ask(ctx context.Context, t *template, b *batch, seen []types.Instance) ([]held, error) {
	repeated := seen != nil
	pause := firstPause
	for try := 1; ; try++ {
		before := b.Repeated
		if repeated {
			if err := r.recordRepeat(ctx, b); err != nil {
				return nil, err
			}
		}
		in := t.request(b)
		r.cloud.leaveOut(in)
		out, err := call(ctx, r.cloud, r.cloud.ec2.RunInstances, in, r.cloud.retrying(func(err error) bool {
			k := kindOf(err) // a call that is signed with a wrong time has no effect, and the SDK knows better then
			return k == throttled || k == badCredentials || k == wrongTime || neverSent(err)
		}), r.cloud.starting)
		told := explain(err, "start %s", b.what(r.config))
		switch {
		case err == nil:
			b.owner = aws.ToString(out.OwnerId)
			r.tagUntagged(ctx, t, b, out.Instances)
			if seen = join(seen, out.Instances); len(seen) < b.least() {
				return r.settleByLooking(ctx, b) // more were started than the answer tells of
			}
			return r.assign(ctx, b, seen)
		case r.canLeaveOut(in, err):
			continue
		case !repeated && r.keyIsLate(err):
			if !pauseFor(ctx, pause) {
				return nil, told
			}
			pause = min(2*pause, longestPause)
			continue
		case repeated && noEffect(err), kindOf(err) == usedToken:
			// This call is refused; one before it may have started what is not seen yet.
			b.Repeated = before
			return r.settleByLooking(ctx, b)
		case noEffect(err):
			if err := r.giveUp(ctx, b); err != nil {
				return nil, err
			}
			return nil, told
		case try >= attempts || ctx.Err() != nil:
			return nil, told // the intent stays, and the next command finds out
		}
		repeated = true
		if !pauseFor(ctx, pause) {
			return nil, told
		}
		pause = min(2*pause, longestPause)
		if seen, err = r.startedBy(ctx, b); err != nil {
			return nil, told
		}
		if len(seen) >= b.Count {
			return r.assign(ctx, b, seen)
		}
	}
}

// canLeaveOut says whether a call is refused for something that launch can do without on this cloud, and from then on does.
func (r *Runner) canLeaveOut(in *ec2.RunInstancesInput, err error) bool {
	switch {
	case in.TagSpecifications != nil && aboutTags(err):
		r.cloud.takesNoTags.Store(true)
	case in.ClientToken != nil && about(err, "clienttoken"):
		if !r.cloud.takesNoToken.Swap(true) {
			r.env.Note("", "the cloud takes no client tokens; what a call has started is found by its tags alone")
		}
	default:
		return false
	}
	return true
}

// leaveOut takes out of a call what this cloud refuses.
func (c *cloud) leaveOut(in *ec2.RunInstancesInput) {
	if c.takesNoTags.Load() {
		in.TagSpecifications = nil
	}
	if c.takesNoToken.Load() {
		in.ClientToken = nil
	}
}

// keyIsLate says whether a call is refused for the run's key pair, which this command has imported and one server of the
// API may not know yet.
func (r *Runner) keyIsLate(err error) bool {
	e, ok := answerOf(err)
	return ok && e.ErrorCode() == "InvalidKeyPair.NotFound" && time.Since(r.keyMade) < consistency
}

// pauseFor returns false where ctx ends before the pause.
func pauseFor(ctx context.Context, pause time.Duration) bool {
	select {
	case <-time.After(pause):
		return true
	case <-ctx.Done():
		return false
	}
}
