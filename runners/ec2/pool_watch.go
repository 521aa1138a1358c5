package ec2

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/launchplan/launch/runners"
)

// retryGrace is how long a group that could not start an instance before is given to try again.
const retryGrace = time.Minute

// group describes a service's group; nil where there is none.
func (r *Runner) group(ctx context.Context, name string) (*astypes.AutoScalingGroup, error) {
	out, err := call(ctx, r.cloud, r.cloud.scaling.DescribeAutoScalingGroups, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{name}})
	if err != nil {
		return nil, explain(err, "look at the Auto Scaling group %s", name)
	}
	for i, g := range out.AutoScalingGroups {
		if aws.ToString(g.AutoScalingGroupName) == name {
			return &out.AutoScalingGroups[i], nil
		}
	}
	return nil, nil
}

func inService(g *astypes.AutoScalingGroup) int {
	n := 0
	for _, i := range g.Instances {
		if i.LifecycleState == astypes.LifecycleStateInService && aws.ToString(i.HealthStatus) != "Unhealthy" { // not every cloud tells of health
			n++
		}
	}
	return n
}

// awaitPool makes the group where it was not asked for, and waits until all of
// its instances are in service.
func (r *Runner) awaitPool(ctx context.Context, want runners.Want) (runners.Facts, error) {
	service := want.Service
	if err := r.asked.request(ctx, r, want); err != nil {
		return runners.Facts{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, runTimeout, fmt.Errorf("it was not at its size after %v", runTimeout))
	defer cancel()
	name, begin, patience := r.poolName(service), time.Now(), r.patience(service, "Auto Scaling")
	for {
		g, err := r.group(ctx, name)
		switch {
		case err != nil && !patience.bears(ctx, err):
			return runners.Facts{}, err
		case g != nil && inService(g) >= r.config.Pool.Size:
			return runners.Facts{NoHost: true, InstanceID: name, Address: name}, nil
		case g != nil:
			failed, err := r.startFailure(ctx, name)
			if err != nil && !patience.bears(ctx, err) {
				return runners.Facts{}, err
			}
			// What failed before this command may go well when the group tries again.
			if failed != nil && (failed.id != r.failureBefore(service) || time.Since(begin) > retryGrace) {
				return runners.Facts{}, failed
			}
		}
		if !pauseFor(ctx, pauseAfter(time.Since(begin))) {
			return runners.Facts{}, fmt.Errorf("wait for the Auto Scaling group %s: %w", name, context.Cause(ctx))
		}
	}
}

// foundFailed keeps the failed attempt that a group had behind it when this command first looked after it.
func (r *Runner) foundFailed(service, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.failedBefore[service]; !known {
		r.failedBefore[service] = id
	}
}

// failureBefore names the failed attempt that foundFailed keeps, "" where there is none.
func (r *Runner) failureBefore(service string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failedBefore[service]
}

// A startError is why a group's latest attempt to start an instance failed.
type startError struct{ id, group, message string }

func (e *startError) Error() string {
	return fmt.Sprintf("the Auto Scaling group %s cannot start an instance: %s", e.group, e.message)
}

// startFailure returns nil where the group's latest attempt did not fail.
func (r *Runner) startFailure(ctx context.Context, name string) (*startError, error) {
	out, err := call(ctx, r.cloud, r.cloud.scaling.DescribeScalingActivities, &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: aws.String(name), MaxRecords: aws.Int32(1)})
	if err != nil {
		return nil, explain(err, "look at the activities of the Auto Scaling group %s", name)
	}
	if len(out.Activities) == 0 || out.Activities[0].StatusCode != astypes.ScalingActivityStatusCodeFailed {
		return nil, nil
	}
	a := out.Activities[0]
	if of := aws.ToString(a.AutoScalingGroupName); of != "" && of != name {
		return nil, nil // a compatible cloud may tell of all groups
	}
	return &startError{aws.ToString(a.ActivityId), name, clean(aws.ToString(a.StatusMessage))}, nil
}

func (r *Runner) inspectPool(ctx context.Context, service string) error {
	name := r.poolName(service)
	g, err := r.group(ctx, name)
	switch {
	case err != nil:
		return &runners.UntoldError{Err: err}
	case g == nil && r.otherAccount(ctx) != nil:
		return &runners.UntoldError{Err: r.otherAccount(ctx)}
	case g == nil || aws.ToString(g.Status) != "":
		return fmt.Errorf("the Auto Scaling group %s is gone", name)
	case int(aws.ToInt32(g.DesiredCapacity)) != r.config.Pool.Size:
		return fmt.Errorf("the Auto Scaling group %s has the size %d, the plan says %d", name, aws.ToInt32(g.DesiredCapacity), r.config.Pool.Size)
	}
	n := inService(g)
	if n >= r.config.Pool.Size {
		return nil
	}
	short := fmt.Errorf("the Auto Scaling group %s has %d of %d instances in service", name, n, r.config.Pool.Size)
	if failed, err := r.startFailure(ctx, name); err == nil && failed != nil {
		return fmt.Errorf("%w: it cannot start one: %s", short, failed.message)
	}
	return short
}
