package ec2

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/launchplan/launch/runners"
)

// A pool is one service that is an Auto Scaling group: EC2 keeps it at its size.
const kindPool = "pool" // key and ID: the name of the group and of its launch template

// poolRecord is what the ledger keeps of a pool.
type poolRecord struct {
	Region string    `json:"region"`
	Size   int       `json:"size"`
	Min    int       `json:"min"`
	Max    int       `json:"max"`
	Asked  time.Time `json:"asked"`
	Made   string    `json:"made,omitempty"` // fingerprint of what its machines are made of; "" where it was adopted
}

// maxTemplateName is how long the name of a launch template may be.
const maxTemplateName = 128

// poolName is a name for the group of a service and its template, the same in every command.
func (r *Runner) poolName(service string) string {
	name := "launch-" + r.env.RunID + "-" + strings.ReplaceAll(runners.DirName(service), "@", "-")
	if len(name) <= maxTemplateName {
		return name
	}
	sum := sha256.Sum256([]byte(service))
	end := "-" + hex.EncodeToString(sum[:5])
	return name[:maxTemplateName-len(end)] + end
}

// pool returns the pool of a service in this region, if it has one.
func (r *Runner) pool(service string) (runners.Resource, poolRecord, bool) {
	for _, res := range r.env.Ledger.List(kindPool) {
		var rec poolRecord
		if res.Service == service && res.Status != "gone" && json.Unmarshal([]byte(res.Data), &rec) == nil && rec.Region == r.cloud.region {
			return res, rec, true
		}
	}
	return runners.Resource{}, poolRecord{}, false
}

func (r *Runner) putPool(ctx context.Context, service, status string, asked time.Time, made string) error {
	p := r.config.Pool
	data, err := json.Marshal(poolRecord{r.cloud.region, p.Size, p.smallest(), p.largest(), asked, made})
	if err != nil {
		return err
	}
	name := r.poolName(service)
	return r.record(ctx, runners.Resource{Kind: kindPool, Key: name, ID: name, Service: service, Status: status, Data: string(data)})
}

// requestPool makes the group of a service what the plan says: it is made, gets another size, or, where its
// machines would be made of something else now, is replaced. The calls have names of their own, so that repeating
// them after a crash makes nothing twice.
func (r *Runner) requestPool(ctx context.Context, want runners.Want) error {
	service, userData := want.Service, cmp.Or(want.UserData, r.config.UserData)
	made, err := r.madeOf(userData)
	if err != nil {
		return err
	}
	asked := time.Now().UTC()
	if res, rec, has := r.pool(service); has {
		same := rec.Made == "" || rec.Made == made
		g, err := r.group(ctx, res.Key)
		if err != nil {
			return err
		}
		switch there := g != nil && aws.ToString(g.Status) == ""; {
		case same && there && res.Status == "live":
			return r.resizePool(ctx, service, g, rec)
		case same && res.Status == "wanted":
			asked = rec.Asked // an earlier command began to make it
		default:
			if res.Status != "ending" {
				r.env.Note(service, fmt.Sprintf("the Auto Scaling group %s is made anew: %s", res.Key, whyAnew(there)))
			}
			if err := r.deletePool(ctx, service); err != nil {
				return err
			}
		}
	}
	r.foundFailed(service, "")
	if err := r.putPool(ctx, service, "wanted", asked, made); err != nil {
		return err
	}
	t, err := r.template(ctx, userData)
	if err != nil {
		return err
	}
	if err := r.launchTemplate(ctx, t, service); err != nil {
		return err
	}
	if err := r.newGroup(ctx, t, service); lacksAction(err) {
		return errors.Join(err, r.deletePool(ctx, service)) // nothing of it can be there but the template
	} else if err != nil {
		return err
	}
	return r.putPool(ctx, service, "live", asked, made)
}

func whyAnew(there bool) string {
	if there {
		return "its machines are made of something else now"
	}
	return "it was gone"
}

func (r *Runner) launchTemplate(ctx context.Context, t *template, service string) error {
	name := r.poolName(service)
	in := t.input
	data := &types.RequestLaunchTemplateData{
		ImageId: in.ImageId, InstanceType: in.InstanceType, KeyName: in.KeyName, UserData: in.UserData,
		SecurityGroupIds: in.SecurityGroupIds,
	}
	if o := in.MetadataOptions; o != nil {
		data.MetadataOptions = &types.LaunchTemplateInstanceMetadataOptionsRequest{
			HttpEndpoint: types.LaunchTemplateInstanceMetadataEndpointStateEnabled,
			HttpTokens:   types.LaunchTemplateHttpTokensState(o.HttpTokens), HttpPutResponseHopLimit: o.HttpPutResponseHopLimit,
		}
	}
	tags := r.poolTags(t, service)
	data.TagSpecifications = []types.LaunchTemplateTagSpecificationRequest{
		{ResourceType: types.ResourceTypeInstance, Tags: sdkTags(tags)}, {ResourceType: types.ResourceTypeVolume, Tags: sdkTags(tags)},
	}
	if in.IamInstanceProfile != nil {
		data.IamInstanceProfile = &types.LaunchTemplateIamInstanceProfileSpecificationRequest{Arn: in.IamInstanceProfile.Arn, Name: in.IamInstanceProfile.Name}
	}
	if in.InstanceMarketOptions != nil {
		// The group itself replaces what is interrupted; a template takes the price only.
		data.InstanceMarketOptions = &types.LaunchTemplateInstanceMarketOptionsRequest{
			MarketType:  types.MarketTypeSpot,
			SpotOptions: &types.LaunchTemplateSpotMarketOptionsRequest{MaxPrice: in.InstanceMarketOptions.SpotOptions.MaxPrice, SpotInstanceType: types.SpotInstanceTypeOneTime},
		}
	}
	for _, m := range in.BlockDeviceMappings {
		data.BlockDeviceMappings = append(data.BlockDeviceMappings, types.LaunchTemplateBlockDeviceMappingRequest{DeviceName: m.DeviceName, Ebs: &types.LaunchTemplateEbsBlockDeviceRequest{
			DeleteOnTermination: m.Ebs.DeleteOnTermination, Encrypted: m.Ebs.Encrypted, Iops: m.Ebs.Iops, KmsKeyId: m.Ebs.KmsKeyId,
			Throughput: m.Ebs.Throughput, VolumeSize: m.Ebs.VolumeSize, VolumeType: m.Ebs.VolumeType,
		}})
	}
	for _, n := range in.NetworkInterfaces {
		// Where the group puts its instances is the group's business, so no subnet here.
		data.NetworkInterfaces = append(data.NetworkInterfaces, types.LaunchTemplateInstanceNetworkInterfaceSpecificationRequest{
			DeviceIndex: n.DeviceIndex, Groups: n.Groups, AssociatePublicIpAddress: n.AssociatePublicIpAddress, DeleteOnTermination: n.DeleteOnTermination,
		})
	}
	out, err := call(ctx, r.cloud, r.cloud.ec2.CreateLaunchTemplate, &ec2.CreateLaunchTemplateInput{
		LaunchTemplateName: aws.String(name), LaunchTemplateData: data,
		TagSpecifications: tagSpecs(tags, types.ResourceTypeLaunchTemplate),
	})
	if kindOf(err) == alreadyThere {
		return nil // an earlier call took effect; its name is this run's and this service's
	}
	if err != nil {
		return explain(err, "make the launch template %s", name)
	}
	if made := out.LaunchTemplate; made != nil {
		if row := r.accountRow(ctx, accountOf(aws.ToString(made.CreatedBy))); row != nil {
			return r.record(ctx, row...)
		}
	}
	return nil
}

func (r *Runner) poolTags(t *template, service string) map[string]string {
	tags := map[string]string{tagService: cut(service)}
	for k, v := range t.tags {
		tags[k] = v
	}
	return tags
}

// newGroup makes a group of the template that was just made, which Auto Scaling may not know of yet.
func (r *Runner) newGroup(ctx context.Context, t *template, service string) error {
	unknown := func(err error) bool {
		e, ok := errors.AsType[*Error](err)
		return ok && strings.Contains(messageOf(e.Err), r.poolName(service)+", does not exist")
	}
	begin := time.Now()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := r.scalingGroup(ctx, t, service)
		if !unknown(err) || time.Since(begin) > consistency {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (r *Runner) scalingGroup(ctx context.Context, t *template, service string) error {
	p, name := r.config.Pool, r.poolName(service)
	in := &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: aws.String(name),
		LaunchTemplate:       &astypes.LaunchTemplateSpecification{LaunchTemplateName: aws.String(name), Version: aws.String("$Latest")},
		MinSize:              aws.Int32(int32(p.smallest())), MaxSize: aws.Int32(int32(p.largest())), DesiredCapacity: aws.Int32(int32(p.Size)),
	}
	for k, v := range r.poolTags(t, service) {
		in.Tags = append(in.Tags, astypes.Tag{
			Key: aws.String(k), Value: aws.String(v), PropagateAtLaunch: aws.Bool(false), // the template tags them
			ResourceId: aws.String(name), ResourceType: aws.String("auto-scaling-group"),
		})
	}
	switch {
	case r.config.Subnet != "":
		in.VPCZoneIdentifier = aws.String(r.config.Subnet)
	case r.config.AvailabilityZone != "":
		in.AvailabilityZones = []string{r.config.AvailabilityZone}
	default:
		subnets, err := r.defaultSubnets(ctx)
		if err != nil {
			return err
		}
		if len(subnets) == 0 {
			return fmt.Errorf("there are no default subnets in %s: a pool needs subnet in the runner block", r.cloud.region)
		}
		var ids []string
		for _, s := range subnets {
			ids = append(ids, aws.ToString(s.SubnetId))
		}
		in.VPCZoneIdentifier = aws.String(strings.Join(ids, ","))
	}
	_, err := call(ctx, r.cloud, r.cloud.scaling.CreateAutoScalingGroup, in)
	if kindOf(err) == alreadyThere {
		return nil
	}
	return explain(err, "make the Auto Scaling group %s", name)
}

// defaultSubnets are those of the default VPC, one per zone.
func (r *Runner) defaultSubnets(ctx context.Context) ([]types.Subnet, error) {
	out, err := call(ctx, r.cloud, r.cloud.ec2.DescribeSubnets, &ec2.DescribeSubnetsInput{Filters: []types.Filter{filter("default-for-az", "true")}})
	if err != nil {
		return nil, explain(err, "look up the default subnets")
	}
	return slices.DeleteFunc(out.Subnets, func(s types.Subnet) bool { return !aws.ToBool(s.DefaultForAz) }), nil
}

// resizePool gives a group the size that the plan says, where it has another one: by an earlier plan, or by somebody's hand.
func (r *Runner) resizePool(ctx context.Context, service string, g *astypes.AutoScalingGroup, rec poolRecord) error {
	p, name := r.config.Pool, r.poolName(service)
	if int(aws.ToInt32(g.DesiredCapacity)) == p.Size && int(aws.ToInt32(g.MinSize)) == p.smallest() && int(aws.ToInt32(g.MaxSize)) == p.largest() {
		failed, err := r.startFailure(ctx, name)
		if err != nil {
			return err
		}
		if failed != nil {
			r.foundFailed(service, failed.id)
		}
		if rec.Size == p.Size {
			return nil
		}
		return r.putPool(ctx, service, "live", rec.Asked, rec.Made)
	}
	r.foundFailed(service, "")
	_, err := call(ctx, r.cloud, r.cloud.scaling.UpdateAutoScalingGroup, &autoscaling.UpdateAutoScalingGroupInput{
		AutoScalingGroupName: aws.String(name),
		MinSize:              aws.Int32(int32(p.smallest())), MaxSize: aws.Int32(int32(p.largest())), DesiredCapacity: aws.Int32(int32(p.Size)),
	})
	if err != nil {
		return explain(err, "resize the Auto Scaling group %s", name)
	}
	return r.putPool(ctx, service, "live", rec.Asked, rec.Made)
}

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
		select {
		case <-time.After(pauseAfter(time.Since(begin))):
		case <-ctx.Done():
			return fmt.Errorf("wait for the end of the Auto Scaling group %s: %w", name, context.Cause(ctx))
		}
	}
}

// leftOfPool says whether a group or instances of it are there, and has the group deleted where it is not on its way out.
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
	return len(members) > 0, explain(err, "look for the instances of %s", name)
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
