package ec2

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// deletePool ends a service's group with its instances, waits until they are
// gone, and then deletes the template.
func (r *Runner) deletePool(ctx context.Context, service string) error {
	res, _, has := r.pool(service)
	if !has {
		return nil
	}
	g, err := r.group(ctx, res.Key)
	if g == nil && err == nil {
		if err := r.otherAccount(ctx); err != nil {
			return fmt.Errorf("delete the Auto Scaling group %s: %w", res.Key, err)
		}
	}
	made := res.Status != "wanted" || !refused(err) // a cloud without Auto Scaling has no group of that name
	if made {
		res.Status = "ending"
		if err := r.env.Ledger.Put(ctx, res); err != nil {
			return err
		}
		if err := r.endPool(ctx, res.Key, service); err != nil {
			return err
		}
	}
	_, err = call(ctx, r.cloud, r.cloud.ec2.DeleteLaunchTemplate, &ec2.DeleteLaunchTemplateInput{LaunchTemplateName: aws.String(res.Key)})
	if err != nil && kindOf(err) != notFound && (made || !refused(err)) {
		return explain(err, "delete the launch template %s", res.Key)
	}
	res.Status = "gone"
	return r.env.Ledger.Put(ctx, res)
}

// endPool deletes a group and returns when it is gone, and its instances.
func (r *Runner) endPool(ctx context.Context, name, service string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, endTimeout, fmt.Errorf("it was not gone after %v", endTimeout))
	defer cancel()
	patience := r.patience(service, "Auto Scaling")
	if err := r.cloud.deleteGroup(ctx, name); err != nil && kindOf(err) != inUse { // also one that cannot be seen yet
		return err
	}
	for begin := time.Now(); ; {
		left, err := r.leftOfPool(ctx, name, service)
		switch {
		case err == nil && !left:
			return nil
		case err != nil && !patience.bears(ctx, err):
			return err
		}
		if !pauseFor(ctx, pauseAfter(time.Since(begin))) {
			return fmt.Errorf("wait for the end of the Auto Scaling group %s: %w", name, context.Cause(ctx))
		}
	}
}

// leftOfPool says whether a group or instances of it are there, and has that ended which is not on its way out.
func (r *Runner) leftOfPool(ctx context.Context, name, service string) (bool, error) {
	g, err := r.group(ctx, name)
	if err != nil {
		return false, err
	}
	if g != nil {
		if aws.ToString(g.Status) == "" {
			err = r.cloud.deleteGroup(ctx, name)
		}
		if kindOf(err) == inUse {
			err = nil // it is asked again
		}
		return true, err
	}
	member := func(i *types.Instance) bool {
		tags := tagMap(i.Tags)
		return tags[tagRunID] == r.env.RunID && tags[tagService] == cut(service) && stateOf(i) != types.InstanceStateNameTerminated
	}
	members, err := r.cloud.instances(ctx, member, []types.Filter{
		filter("tag:"+tagRunID, r.env.RunID), filter("tag:"+tagService, cut(service)),
		filter("instance-state-name", "pending", "running", "shutting-down", "stopping", "stopped"),
	})
	if err != nil {
		return false, explain(err, "look for the instances of %s", name)
	}
	return len(members) > 0, r.endMembers(ctx, name, members)
}

// endMembers ends instances that go on although their group is gone: not every cloud ends them with it.
func (r *Runner) endMembers(ctx context.Context, name string, members []types.Instance) error {
	var ids []string
	for _, i := range members {
		if !ended(&i) {
			ids = append(ids, aws.ToString(i.InstanceId))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := call(ctx, r.cloud, r.cloud.ec2.TerminateInstances, &ec2.TerminateInstancesInput{InstanceIds: ids})
	if kindOf(err) == notFound {
		return nil // one of them has ended meanwhile: they are looked at again
	}
	return explain(err, "end the instances of %s", name)
}

// deleteGroup asks for the end of a group and its instances. It is no error where the group is gone, which is told as a
// bad parameter. Where it is busy, it has to be asked again.
func (c *cloud) deleteGroup(ctx context.Context, name string) error {
	_, err := call(ctx, c, c.scaling.DeleteAutoScalingGroup, &autoscaling.DeleteAutoScalingGroupInput{AutoScalingGroupName: aws.String(name), ForceDelete: aws.Bool(true)})
	switch kindOf(err) {
	case badParameter, notFound:
		return nil
	}
	return explain(err, "delete the Auto Scaling group %s", name)
}

// sweepPools deletes pools that a terminate of their service did not.
func (r *Runner) sweepPools(ctx context.Context) error {
	var errs []error
	for _, res := range r.env.Ledger.List(kindPool) {
		if res.Status != "gone" {
			errs = append(errs, r.deletePool(ctx, res.Service))
		}
	}
	return errors.Join(errs...)
}
