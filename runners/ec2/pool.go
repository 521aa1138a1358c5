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
		if !pauseFor(ctx, pause) {
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
