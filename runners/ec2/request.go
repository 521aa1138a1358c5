package ec2

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"

	"github.com/launchplan/launch/runners"
)

const (
	// batchSize is what one RunInstances call asks for: the reference recommends
	// several calls for a hundred each to one for five hundred.
	batchSize = 100
	// batchesAtATime keeps calls, which take seconds, from queueing for tokens only.
	batchesAtATime = 8
	// tokenLife is how long EC2 remembers a client token for certain.
	tokenLife = 12 * time.Hour
	// taggedOneByOne is how many instances of a request get a tag of their own
	// with their service, for those who look at a console: a call each, so only
	// for small runs. What launch itself needs is in the tags of the batch.
	taggedOneByOne = 20
)

// A batch is one RunInstances call: instance k is that of services[k].
type batch struct {
	token    string
	services []string
	shared   []string // services as tag values
	asked    time.Time
	resource runners.Resource
}

// batchRecord is what the ledger keeps of a batch.
type batchRecord struct {
	Region      string    `json:"region"`
	Count       int       `json:"count"`
	Fingerprint string    `json:"fingerprint"`
	Asked       time.Time `json:"asked"`
}

// Request implements runners.Provisioner.
func (r *Runner) Request(ctx context.Context, wants []runners.Want) error {
	r.requesting.Lock()
	defer r.requesting.Unlock()
	r.reload()
	if err := r.settle(ctx, true); err != nil {
		return err
	}
	var fresh []string
	for _, w := range wants {
		switch _, has := r.has(w.Service); {
		case r.config.Pool != nil:
			if err := r.requestPool(ctx, w); err != nil {
				return err
			}
		case w.Host == "" && !has:
			fresh = append(fresh, w.Service)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	t, err := r.template(ctx, r.config.UserData)
	if err != nil {
		return err
	}
	batches, err := r.intend(ctx, t, fresh)
	if err != nil {
		return err
	}
	return r.startAll(ctx, t, batches)
}

// intend cuts services into batches and records them all, in one transaction,
// before any call.
func (r *Runner) intend(ctx context.Context, t *template, services []string) ([]*batch, error) {
	var batches []*batch
	var rows []held
	made, err := r.made()
	if err != nil {
		return nil, err
	}
	for len(services) > 0 {
		n := min(len(services), batchSize)
		shared, ok := shareOut(services[:n])
		for ; !ok && n > 1; shared, ok = shareOut(services[:n]) {
			n /= 2 // their names do not fit into the tags
		}
		b := &batch{token: newToken(r.env.RunID), services: services[:n], shared: shared, asked: time.Now().UTC()}
		services = services[n:]
		print, err := r.fingerprint(t.request(b))
		if err != nil {
			return nil, err
		}
		data, err := json.Marshal(batchRecord{r.cloud.region, n, print, b.asked})
		if err != nil {
			return nil, err
		}
		b.resource = runners.Resource{Kind: kindBatch, Key: b.token, Status: "wanted", Data: string(data)}
		for k, service := range b.services {
			rows = append(rows, held{
				runners.Resource{Kind: kindInstance, Key: instanceKey(b.token, k), Service: service, Status: "wanted"},
				record{Region: r.cloud.region, Batch: b.token, Index: k, Asked: b.asked, HostKey: t.hostKey, Made: made},
			})
		}
		batches = append(batches, b)
	}
	all := make([]runners.Resource, 0, len(batches))
	for _, b := range batches {
		all = append(all, b.resource)
	}
	return batches, r.put(ctx, all, rows...)
}

func instanceKey(token string, k int) string { return fmt.Sprintf("%s#%04d", token, k) }

// newToken makes a client token: the run's id and 64 random bits, within EC2's 64 characters.
func newToken(runID string) string {
	var b [8]byte
	rand.Read(b[:])
	return "launch-" + runID + "-" + hex.EncodeToString(b[:])
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

// start makes the call of one batch, records what came of it, and asks once more
// for what is missing, so that the answer tells why it is.
func (r *Runner) start(ctx context.Context, t *template, b *batch) ([]held, error) {
	out, err := call(ctx, r.cloud, r.cloud.ec2.RunInstances, t.request(b))
	switch {
	case kindOf(err) == mismatch:
		// The token was used, by a request of this run that differed: it took effect.
		return r.settleByLooking(ctx, b)
	case err != nil && !refused(err):
		// It may have taken effect. The intent stays, and the next command finds out.
		return nil, explain(err, "start %s", b.what(r.config))
	case err != nil:
		if gerr := r.giveUp(ctx, b); gerr != nil {
			return nil, gerr
		}
		err = explain(err, "start %s", b.what(r.config))
		if k := err.(*Error).kind; k == lacksCapacity || k == overQuota {
			r.fail(b.services, err)
			return nil, nil // each of them tells it by itself
		}
		return nil, err
	}
	list, err := r.assign(ctx, b, out.Instances)
	if err != nil || len(list) >= len(b.services) {
		return list, err
	}
	missing := b.services[len(list):]
	r.env.Note("", fmt.Sprintf("EC2 started %d of %d instances; asking for the other %d again", len(list), len(b.services), len(missing)))
	again, err := r.intend(ctx, t, missing)
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

func (b *batch) what(c Config) string {
	if len(b.services) == 1 {
		return fmt.Sprintf("an instance of %s for %s", c.InstanceType, b.services[0])
	}
	return fmt.Sprintf("%d instances of %s for %s to %s", len(b.services), c.InstanceType, b.services[0], b.services[len(b.services)-1])
}

// refused says whether an error of RunInstances means that nothing was started.
func refused(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return false
	}
	switch kindOf(err) {
	case lacksCapacity, overQuota, notAllowed, badCredentials, badParameter, notFound:
		return true
	}
	return api.ErrorFault() == smithy.FaultClient
}

// giveUp records that a batch was not started.
func (r *Runner) giveUp(ctx context.Context, b *batch) error {
	var rows []held
	for _, h := range r.all() {
		if h.Batch == b.token && h.Status == "wanted" {
			h.Status = "gone"
			rows = append(rows, h)
		}
	}
	b.resource.Status = "gone"
	return r.put(ctx, []runners.Resource{b.resource}, rows...)
}

// assign gives the instances of a batch to its services by their launch index,
// the same way whoever does it, and records that.
func (r *Runner) assign(ctx context.Context, b *batch, instances []types.Instance) ([]held, error) {
	slices.SortFunc(instances, func(x, y types.Instance) int {
		return cmp.Or(cmp.Compare(aws.ToInt32(x.AmiLaunchIndex), aws.ToInt32(y.AmiLaunchIndex)), strings.Compare(aws.ToString(x.InstanceId), aws.ToString(y.InstanceId)))
	})
	var rows, live []held
	for _, h := range r.all() {
		if h.Batch != b.token || h.Status != "wanted" {
			continue
		}
		if h.Index < len(instances) {
			h.ID, h.Status = aws.ToString(instances[h.Index].InstanceId), "live"
			live = append(live, h)
		} else {
			h.Status = "gone"
		}
		rows = append(rows, h)
	}
	b.resource.Status = "live"
	return live, r.put(ctx, []runners.Resource{b.resource}, rows...)
}

// tagServices tags each instance with its service. It is for people who look at
// a console, so that it fails is worth a note only.
func (r *Runner) tagServices(ctx context.Context, list []held) {
	ctx, cancel := context.WithTimeout(ctx, tagTime)
	defer cancel()
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i, h := range list {
		wg.Go(func() {
			tags := map[string]string{tagService: cut(h.Service)}
			if r.config.Tags["Name"] == "" {
				tags["Name"] = cut(r.env.Run + " " + h.Service)
			}
			errs[i] = r.tagOne(ctx, h.ID, tags)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		r.env.Note("", clean("some instances have no "+tagService+" tag: "+err.Error()))
	}
}

// tagOne tags an instance, which the API may not know yet.
func (r *Runner) tagOne(ctx context.Context, id string, tags map[string]string) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		_, err := call(ctx, r.cloud, r.cloud.ec2.CreateTags, &ec2.CreateTagsInput{Resources: []string{id}, Tags: sdkTags(tags)})
		if kindOf(err) != notFound {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}
