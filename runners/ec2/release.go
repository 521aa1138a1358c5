package ec2

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/launchplan/launch/runners"
)

// endBatch is how many instances one TerminateInstances call ends: the limit is
// 1000, but a call that fails for one id fails for all.
const endBatch = 500

// Release implements runners.Provisioner.
func (r *Runner) Release(ctx context.Context, services []string) map[string]error {
	r.requesting.Lock()
	defer r.requesting.Unlock()
	errs := map[string]error{}
	failAll := func(err error) map[string]error {
		for _, s := range services {
			errs[s] = err
		}
		return errs
	}
	r.reload()
	if r.config.Pool != nil {
		for _, s := range services {
			if err := r.deletePool(ctx, s); err != nil {
				errs[s] = err
			}
		}
		return errs
	}
	if err := r.settle(ctx, false); err != nil {
		return failAll(err)
	}
	ours := map[string]bool{}
	for _, s := range services {
		ours[s] = true
	}
	var ending, left []held
	for _, h := range r.all() {
		switch {
		case !ours[h.Service]:
		case h.Existing || h.ID == "":
			h.Status = "gone"
			left = append(left, h)
		default:
			h.Status = "ending"
			ending = append(ending, h)
		}
	}
	if err := r.put(ctx, nil, append(left, ending...)...); err != nil {
		return failAll(err)
	}
	for id, err := range r.endInstances(ctx, ending) {
		for _, h := range ending {
			if h.ID == id {
				errs[h.Service] = err
			}
		}
	}
	return errs
}

// endInstances ends instances, waits until they are gone and records it. What
// could not be ended is told by id.
func (r *Runner) endInstances(ctx context.Context, list []held) map[string]error {
	errs := map[string]error{}
	var mu sync.Mutex
	var parts sync.WaitGroup
	for _, part := range chunks(list, endBatch) {
		parts.Go(func() {
			for id, err := range r.terminate(ctx, part) {
				mu.Lock()
				errs[id] = err
				mu.Unlock()
			}
		})
	}
	parts.Wait()
	ctx, cancel := context.WithTimeoutCause(ctx, endTimeout, fmt.Errorf("it was not gone after %v", endTimeout))
	defer cancel()
	patience := r.patience("", "EC2")
	var gone []held
	var each sync.WaitGroup
	for _, h := range list {
		if errs[h.ID] != nil {
			continue
		}
		each.Go(func() {
			err := r.awaitGone(ctx, h, patience)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs[h.ID] = err
				return
			}
			h.Status = "gone"
			gone = append(gone, h)
		})
	}
	each.Wait()
	if err := r.put(context.WithoutCancel(ctx), nil, gone...); err != nil {
		for _, h := range gone {
			errs[h.ID] = err
		}
	}
	return errs
}

// terminate makes the call for a part. Where the endpoint's word on several is no, they
// are ended in halves, so that one that cannot be ended does not keep the others.
func (r *Runner) terminate(ctx context.Context, part []held) map[string]error {
	if len(part) == 0 {
		return nil
	}
	ids := make([]string, len(part))
	for i, h := range part {
		ids[i] = h.ID
	}
	_, err := call(ctx, r.cloud, r.cloud.ec2.TerminateInstances, &ec2.TerminateInstancesInput{InstanceIds: ids})
	switch k := kindOf(err); {
	case err == nil:
		return nil
	case k == notFound, len(part) == 1 && refused(err): // as some compatible clouds tell that they do not know it
		return r.terminateKnown(ctx, part)
	case len(part) > 1 && final(err) && k != badCredentials && k != wrongTime:
		errs := r.terminate(ctx, part[:len(part)/2])
		for id, err := range r.terminate(ctx, part[len(part)/2:]) {
			if errs == nil {
				errs = map[string]error{}
			}
			errs[id] = err
		}
		return errs
	}
	errs := map[string]error{}
	for _, h := range part {
		errs[h.ID] = explain(err, "end the instance %s", h.ID)
	}
	return errs
}

// terminateKnown ends those that the API knows. One that it does not know is
// gone, unless it is so new that it may become known yet: one server of the API
// may not know what another has told of.
func (r *Runner) terminateKnown(ctx context.Context, part []held) map[string]error {
	errs := map[string]error{}
	begin := time.Now()
	for pause := firstPause; len(part) > 0; pause = min(2*pause, longestPause) {
		known, unknown, err := r.knownOf(ctx, part, errs)
		if err != nil {
			for _, h := range part {
				errs[h.ID] = explain(err, "look at the instance %s", h.ID)
			}
			return errs
		}
		if len(known) > 0 {
			_, err := call(ctx, r.cloud, r.cloud.ec2.TerminateInstances, &ec2.TerminateInstancesInput{InstanceIds: known})
			switch {
			case kindOf(err) == notFound && time.Since(begin) < consistency: // known here, and not there yet: the next round
				unknown = part
			case err != nil:
				for _, id := range known {
					errs[id] = explain(err, "end the instance %s", id)
				}
			}
		}
		part = unknown
		if len(part) > 0 && !pauseFor(ctx, pause) {
			for _, h := range part {
				errs[h.ID] = context.Cause(ctx)
			}
			return errs
		}
	}
	return errs
}

// knownOf tells those of some instances that the API knows, and those that it may know yet. The others are gone, or
// stand in errs.
func (r *Runner) knownOf(ctx context.Context, part []held, errs map[string]error) (known []string, unknown []held, err error) {
	ids := map[string]bool{}
	for _, h := range part {
		ids[h.ID] = true
	}
	seen, err := r.fleet.describe(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	for _, h := range part {
		switch i := seen[h.ID]; {
		case i != nil && ended(i): // some clouds do not take it for known then
		case i != nil:
			known = append(known, h.ID)
		case time.Since(h.Asked) < consistency:
			unknown = append(unknown, h)
		case r.otherAccount(ctx) != nil:
			errs[h.ID] = fmt.Errorf("end the instance %s: %w", h.ID, r.otherAccount(ctx))
		default:
			r.env.Note(h.Service, fmt.Sprintf("EC2 knows no instance %s in %s; it is taken for ended", h.ID, r.cloud.region))
		}
	}
	return known, unknown, nil
}

// awaitGone returns when an instance is terminated, or no longer known: some
// compatible clouds forget what has ended at once.
func (r *Runner) awaitGone(ctx context.Context, h held, patience *patience) error {
	begin, known := time.Now(), h.known()
	for pause := gather; ; pause = pauseAfter(time.Since(begin)) {
		s, err := r.fleet.look(ctx, h.ID, false, pause)
		switch {
		case err != nil && patience.bears(ctx, err):
		case err != nil:
			return explain(err, "wait for the end of the instance %s", h.ID)
		case s.instance == nil && (known || time.Since(h.Asked) > consistency):
			return nil
		case s.instance != nil && stateOf(s.instance) == types.InstanceStateNameTerminated:
			return nil
		}
		known = known || s.instance != nil
	}
}

// known says whether the API has told of the instance since it was asked for.
func (h held) known() bool { return h.Public != "" || h.Private != "" }

// Sweep implements runners.Provisioner.
func (r *Runner) Sweep(ctx context.Context) error {
	r.requesting.Lock()
	defer r.requesting.Unlock()
	if err := errors.Join(r.settle(ctx, false), r.sweepPools(ctx), r.sweepInstances(ctx)); err != nil {
		// What has the run's keys is not all gone, or out of sight: they go with the last of it.
		return err
	}
	return errors.Join(r.deleteKeyPairs(ctx), r.removeKeys())
}

// sweepInstances ends what is the run's by its tag or its key pair, or stands in
// its ledger, and belongs to no service any more.
func (r *Runner) sweepInstances(ctx context.Context) error {
	owned := map[string]bool{}
	var orphans []held
	for _, h := range r.all() {
		if h.Status == "live" || h.Status == "wanted" || h.Existing {
			owned[h.ID] = true
		} else if h.ID != "" {
			orphans = append(orphans, h)
			owned[h.ID] = true
		}
	}
	left, err := r.leftOfRun(ctx)
	if err != nil {
		return explain(err, "look for instances of the run")
	}
	for _, i := range left {
		if id := aws.ToString(i.InstanceId); !owned[id] {
			orphans = append(orphans, r.orphan(id, time.Time{}))
		}
	}
	if err := r.put(ctx, nil, orphans...); err != nil {
		return err
	}
	var errs []error
	for _, err := range r.endInstances(ctx, orphans) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// leftOfRun are the instances that have the run's tag and have not ended. A compatible cloud may take neither tags nor a
// token with a call: what one has started whose answer was lost is known by the run's own key pair alone.
func (r *Runner) leftOfRun(ctx context.Context) ([]types.Instance, error) {
	there := filter("instance-state-name", "pending", "running", "stopping", "stopped")
	tagged := func(i *types.Instance) bool { return tagMap(i.Tags)[tagRunID] == r.env.RunID && !ended(i) }
	list, err := r.cloud.instances(ctx, tagged, []types.Filter{filter("tag:"+tagRunID, r.env.RunID), there})
	if err != nil || r.cloud.isAWS() {
		return list, err
	}
	keyed := func(i *types.Instance) bool { return aws.ToString(i.KeyName) == r.keyPairName() && !ended(i) }
	more, err := r.cloud.instances(ctx, keyed, []types.Filter{filter("key-name", r.keyPairName()), there})
	return join(list, more), err
}

// orphan is an instance of the run that is no service's and has to end; asked is when it was started, where it has
// not been seen by itself yet.
func (r *Runner) orphan(id string, asked time.Time) held {
	return held{runners.Resource{Kind: kindInstance, Key: "orphan/" + id, ID: id, Status: "ending"}, record{Region: r.cloud.region, Asked: asked}}
}

// removeKeys forgets the run's private keys once nothing is left that takes them.
func (r *Runner) removeKeys() error {
	for _, res := range r.env.Ledger.List(kindKeyPair) {
		if res.Status != "gone" {
			return nil
		}
	}
	for _, res := range r.env.Ledger.List(kindInstance) {
		if res.Status != "gone" {
			return nil
		}
	}
	var errs []error
	for _, name := range []string{clientKeyFile, hostKeyFile} {
		if err := os.Remove(filepath.Join(r.env.Dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
