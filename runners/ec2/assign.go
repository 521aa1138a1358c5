package ec2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// assign gives the instances of a batch to its services, records that, and ends
// those that are too many.
func (r *Runner) assign(ctx context.Context, b *batch, instances []types.Instance) ([]held, error) {
	placed, excess := place(instances, b.Count)
	if at := slices.IndexFunc(instances, func(i types.Instance) bool { return ended(&i) }); at >= 0 {
		b.died = endError(aws.ToString(instances[at].InstanceId), &instances[at])
	}
	var rows, live []held
	for _, h := range r.all() {
		if h.Batch != b.token || h.Status != "wanted" {
			continue
		}
		if i := placed[h.Index]; i != nil {
			h.ID, h.Status = aws.ToString(i.InstanceId), "live"
			live = append(live, h)
		} else {
			h.Status = "gone"
		}
		rows = append(rows, h)
	}
	var ids []string
	for _, i := range excess {
		ids = append(ids, aws.ToString(i.InstanceId))
		rows = append(rows, r.orphan(aws.ToString(i.InstanceId), time.Now().UTC()))
	}
	status := "live"
	if len(live) == 0 {
		status = "gone"
	}
	row, err := b.resource(status)
	if err != nil {
		return nil, err
	}
	if err := r.put(ctx, append(r.accountRow(ctx, b.owner), row), rows...); err != nil || len(ids) == 0 {
		return live, err
	}
	r.env.Note("", fmt.Sprintf("a repeated call has started %d instances too many; launch ends them (%s)", len(ids), strings.Join(ids, ", ")))
	if _, err := call(ctx, r.cloud, r.cloud.ec2.TerminateInstances, &ec2.TerminateInstancesInput{InstanceIds: ids}); err != nil {
		r.env.Note("", clean("they go with the run: "+explain(err, "end %d instances", len(ids)).Error())) // Sweep knows them
	}
	return live, nil
}

// place gives each service of a batch the instance of its launch index, which
// is what the tags say, too, the same way whoever does it. Where a cloud does
// not number them, or a repeated call has numbered them again, the others fill
// the gaps in their order, and the rest is excess. What has ended is nobody's.
func place(instances []types.Instance, count int) (placed []*types.Instance, excess []*types.Instance) {
	slices.SortFunc(instances, func(x, y types.Instance) int {
		return cmp.Or(cmp.Compare(aws.ToInt32(x.AmiLaunchIndex), aws.ToInt32(y.AmiLaunchIndex)), strings.Compare(aws.ToString(x.InstanceId), aws.ToString(y.InstanceId)))
	})
	placed = make([]*types.Instance, count)
	for i := range instances {
		at := int(aws.ToInt32(instances[i].AmiLaunchIndex))
		switch {
		case ended(&instances[i]):
		case at >= 0 && at < count && placed[at] == nil:
			placed[at] = &instances[i]
		default:
			excess = append(excess, &instances[i])
		}
	}
	for k := range placed {
		if placed[k] == nil && len(excess) > 0 {
			placed[k], excess = excess[0], excess[1:]
		}
	}
	return placed, excess
}

func ended(i *types.Instance) bool {
	return stateOf(i) == types.InstanceStateNameTerminated || stateOf(i) == types.InstanceStateNameShuttingDown
}

// join is both lists without what is in them twice, as where a page shows once more what moved there from the one before.
func join(x, y []types.Instance) []types.Instance {
	out := slices.Clone(x)
	for _, i := range y {
		if !slices.ContainsFunc(out, func(o types.Instance) bool { return aws.ToString(o.InstanceId) == aws.ToString(i.InstanceId) }) {
			out = append(out, i)
		}
	}
	return out
}

// tagUntagged tags new instances on clouds that pass over the tags of the call
// which starts them. Without its tags an instance that nobody has a record of is not found again.
func (r *Runner) tagUntagged(ctx context.Context, t *template, b *batch, instances []types.Instance) {
	var ids []string
	for _, i := range instances {
		if tagMap(i.Tags)[tagRunID] != r.env.RunID {
			ids = append(ids, aws.ToString(i.InstanceId))
		}
	}
	if len(ids) == 0 {
		return
	}
	r.env.Note("", fmt.Sprintf("the cloud did not tag %d new instances; launch tags them by a call of its own", len(ids)))
	r.background.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tagTime)
		defer cancel()
		if err := r.tag(ctx, t.tagsOf(b), ids...); err != nil {
			r.env.Note("", clean("they have no tags, so launch clean cannot find them on another machine: "+explain(err, "tag %d instances", len(ids)).Error()))
		}
	})
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
			errs[i] = r.tag(ctx, tags, h.ID)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		r.env.Note("", clean("some instances have no "+tagService+" tag: "+err.Error()))
	}
}

// tag tags instances, which the API may not know yet.
func (r *Runner) tag(ctx context.Context, tags map[string]string, ids ...string) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		_, err := call(ctx, r.cloud, r.cloud.ec2.CreateTags, &ec2.CreateTagsInput{Resources: ids, Tags: sdkTags(tags)})
		if kindOf(err) != notFound {
			return err
		}
		if !pauseFor(ctx, pause) {
			return err
		}
	}
}
