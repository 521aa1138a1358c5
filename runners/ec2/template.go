package ec2

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"golang.org/x/crypto/ssh"
)

// A template is everything that the instances of a runner block have in common.
type template struct {
	input   ec2.RunInstancesInput // without counts, token and tags
	tags    map[string]string
	hostKey string // public; "" where it is read from the console
}

// template looks up what the block names, makes the keys, and puts the request
// together. The same configuration gives the same request.
func (r *Runner) template(ctx context.Context, userData string) (*template, error) {
	c := r.config
	if c.Image == "" || c.InstanceType == "" {
		return nil, fmt.Errorf("a new instance needs image and instance_type in the runner block")
	}
	key, err := r.keyPair(ctx)
	if err != nil {
		return nil, err
	}
	t := &template{tags: r.runTags(), input: ec2.RunInstancesInput{
		ImageId:      aws.String(c.Image),
		InstanceType: types.InstanceType(c.InstanceType),
		KeyName:      aws.String(key),
	}}
	if c.Metadata != "unset" {
		t.input.MetadataOptions = metadataOptions(c)
	}
	if c.AvailabilityZone != "" {
		t.input.Placement = &types.Placement{AvailabilityZone: aws.String(c.AvailabilityZone)}
	}
	if c.IAMProfile != "" {
		t.input.IamInstanceProfile = &types.IamInstanceProfileSpecification{}
		if strings.HasPrefix(c.IAMProfile, "arn:") {
			t.input.IamInstanceProfile.Arn = aws.String(c.IAMProfile)
		} else {
			t.input.IamInstanceProfile.Name = aws.String(c.IAMProfile)
		}
	}
	if c.Spot != nil {
		t.input.InstanceMarketOptions = spotOptions(c.Spot)
	}
	if err := r.network(ctx, t); err != nil {
		return nil, err
	}
	if err := r.rootVolume(ctx, t); err != nil {
		return nil, err
	}
	return t, r.userData(t, userData)
}

func metadataOptions(c Config) *types.InstanceMetadataOptionsRequest {
	o := &types.InstanceMetadataOptionsRequest{
		HttpEndpoint: types.InstanceMetadataEndpointStateEnabled,
		HttpTokens:   types.HttpTokensStateRequired,
	}
	if c.Metadata == "v1" {
		o.HttpTokens = types.HttpTokensStateOptional
	}
	if c.MetadataHops > 0 {
		o.HttpPutResponseHopLimit = aws.Int32(int32(c.MetadataHops))
	}
	return o
}

func spotOptions(s *Spot) *types.InstanceMarketOptionsRequest {
	o := &types.SpotMarketOptions{
		SpotInstanceType:             types.SpotInstanceTypeOneTime,
		InstanceInterruptionBehavior: types.InstanceInterruptionBehaviorTerminate,
	}
	if s.MaxPrice != "" {
		o.MaxPrice = aws.String(s.MaxPrice)
	}
	return &types.InstanceMarketOptionsRequest{MarketType: types.MarketTypeSpot, SpotOptions: o}
}

// network puts subnet and groups where EC2 wants them: into an interface where
// the public address is said, else into the request itself.
func (r *Runner) network(ctx context.Context, t *template) error {
	groups, err := r.securityGroups(ctx)
	if err != nil {
		return err
	}
	var subnet *string
	if r.config.Subnet != "" {
		subnet = aws.String(r.config.Subnet)
	}
	if r.config.PublicAddress == nil {
		t.input.SubnetId, t.input.SecurityGroupIds = subnet, groups
		return nil
	}
	t.input.NetworkInterfaces = []types.InstanceNetworkInterfaceSpecification{{
		DeviceIndex: aws.Int32(0), SubnetId: subnet, Groups: groups,
		AssociatePublicIpAddress: r.config.PublicAddress, DeleteOnTermination: aws.Bool(true),
	}}
	return nil
}

// securityGroups turns names into ids. A name that nobody knows is an error,
// and so is one that two groups have.
func (r *Runner) securityGroups(ctx context.Context) ([]string, error) {
	var names []string
	for _, g := range r.config.SecurityGroups {
		if !strings.HasPrefix(g, "sg-") {
			names = append(names, g)
		}
	}
	if len(names) == 0 {
		return r.config.SecurityGroups, nil
	}
	filters := []types.Filter{filter("group-name", names...)}
	var vpc string
	if r.config.Subnet != "" {
		var err error
		if vpc, err = r.vpcOf(ctx, r.config.Subnet); err != nil {
			return nil, err
		}
	}
	if vpc != "" {
		filters = append(filters, filter("vpc-id", vpc))
	}
	named, err := r.groupsByName(ctx, filters)
	if err != nil {
		return nil, explain(err, "look up the security groups %s", strings.Join(names, ", "))
	}
	if vpc == "" && slices.ContainsFunc(names, func(name string) bool { return len(named[name]) > 1 }) {
		vpc = r.defaultVPC(ctx)
	}
	var out []string
	for _, g := range r.config.SecurityGroups {
		if strings.HasPrefix(g, "sg-") {
			out = append(out, g)
			continue
		}
		var ids []string
		for _, group := range named[g] { // a compatible cloud may pass over the filter
			if vpc == "" || aws.ToString(group.VpcId) == vpc {
				ids = append(ids, aws.ToString(group.GroupId))
			}
		}
		switch len(ids) {
		case 0:
			return nil, fmt.Errorf("there is no security group named %q in %s: correct security_groups in the runner block", g, strings.TrimSpace(r.cloud.region+" "+vpc))
		case 1:
			out = append(out, ids[0])
		default:
			return nil, fmt.Errorf("%d security groups are named %q (%s): give the id of one, or a subnet", len(ids), g, strings.Join(ids, ", "))
		}
	}
	return out, nil
}

// defaultVPC is where an instance goes that no subnet is named for, "" where that cannot be told.
func (r *Runner) defaultVPC(ctx context.Context) string {
	subnets, err := r.defaultSubnets(ctx)
	if err != nil || len(subnets) == 0 {
		return "" // the groups of one name are told then
	}
	return aws.ToString(subnets[0].VpcId)
}

// groupsByName are the security groups that match filters, and all there are where the cloud refuses filters or lets
// nothing match them.
func (r *Runner) groupsByName(ctx context.Context, filters []types.Filter) (map[string][]types.SecurityGroup, error) {
	named := map[string][]types.SecurityGroup{}
	in := &ec2.DescribeSecurityGroupsInput{Filters: filters}
	for {
		out, err := call(ctx, r.cloud, r.cloud.ec2.DescribeSecurityGroups, in, r.cloud.unlessRefused())
		if refused(err) && in.Filters != nil {
			in.Filters = nil
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, g := range out.SecurityGroups {
			named[aws.ToString(g.GroupName)] = append(named[aws.ToString(g.GroupName)], g)
		}
		switch more, err := turn(&in.NextToken, out.NextToken); {
		case more:
		case err == nil && len(named) == 0 && in.Filters != nil:
			in.Filters, in.NextToken = nil, nil
		default:
			return named, err
		}
	}
}

// vpcOf is the network that a subnet is part of, "" where the cloud has no such networks, or does not tell.
func (r *Runner) vpcOf(ctx context.Context, subnet string) (string, error) {
	out, err := call(ctx, r.cloud, r.cloud.ec2.DescribeSubnets, &ec2.DescribeSubnetsInput{SubnetIds: []string{subnet}})
	if lacksAction(err) {
		return "", nil
	}
	if err != nil {
		return "", explain(err, "look up the subnet %s", subnet)
	}
	if len(out.Subnets) != 1 {
		return "", fmt.Errorf("there is no subnet %s in %s", subnet, r.cloud.region)
	}
	return aws.ToString(out.Subnets[0].VpcId), nil
}

// rootVolume changes the image's root volume, whose device name only the image knows.
func (r *Runner) rootVolume(ctx context.Context, t *template) error {
	v := r.config.RootVolume
	if v == nil {
		return nil
	}
	out, err := call(ctx, r.cloud, r.cloud.ec2.DescribeImages, &ec2.DescribeImagesInput{ImageIds: []string{r.config.Image}})
	if err != nil {
		return explain(err, "look up the image %s", r.config.Image)
	}
	if len(out.Images) != 1 || aws.ToString(out.Images[0].RootDeviceName) == "" {
		return fmt.Errorf("the image %s has no root device that root_volume could change", r.config.Image)
	}
	ebs := &types.EbsBlockDevice{DeleteOnTermination: aws.Bool(true), Encrypted: v.Encrypted, VolumeType: types.VolumeType(v.Type)}
	number := func(to **int32, n int) {
		if n > 0 {
			*to = aws.Int32(int32(n))
		}
	}
	number(&ebs.VolumeSize, v.Size)
	number(&ebs.Iops, v.IOPS)
	number(&ebs.Throughput, v.Throughput)
	if v.KMSKey != "" {
		ebs.KmsKeyId = aws.String(v.KMSKey)
	}
	t.input.BlockDeviceMappings = []types.BlockDeviceMapping{{DeviceName: out.Images[0].RootDeviceName, Ebs: ebs}}
	return nil
}

func (r *Runner) userData(t *template, said string) error {
	data := []byte(said)
	key, err := r.hostKey()
	if err != nil {
		return err
	}
	if key != nil {
		t.hostKey = key.public()
		t.tags[tagHostKey] = ssh.FingerprintSHA256(key.signer.PublicKey())
		if data, err = joinUserData(data, key.pem, t.hostKey); err != nil {
			return err
		}
	}
	if len(data) > maxUserData {
		return fmt.Errorf("user_data has %d bytes; EC2 takes %d", len(data), maxUserData)
	}
	if len(data) > 0 {
		t.input.UserData = aws.String(base64.StdEncoding.EncodeToString(data))
	}
	return nil
}

// request is the call that starts the instances of a batch.
func (t *template) request(b *batch) *ec2.RunInstancesInput {
	in := t.input
	in.MinCount, in.MaxCount = aws.Int32(int32(b.least())), aws.Int32(int32(len(b.services)))
	in.ClientToken = aws.String(b.token)
	in.TagSpecifications = tagSpecs(t.tagsOf(b), types.ResourceTypeInstance, types.ResourceTypeVolume)
	return &in
}

// tagsOf are the tags of the instances of a batch.
func (t *template) tagsOf(b *batch) map[string]string {
	tags := maps.Clone(t.tags)
	tags[tagBatch] = b.token
	if len(b.services) == 1 {
		tags[tagService] = cut(b.services[0])
	}
	maps.Copy(tags, sharedTags(b.shared))
	return tags
}

// fingerprint tells whether two requests with one token are the same. It is
// keyed with a secret of the run, since user data may hold secrets, too.
func (r *Runner) fingerprint(in *ec2.RunInstancesInput) (string, error) {
	return r.keyed(in)
}

// madeOf identifies, without telling it, what machines of this runner are made of when they are told userData.
func (r *Runner) madeOf(userData string) (string, error) {
	return r.keyed(r.config.machine(r.cloud.region, userData))
}

// keyed is a keyed hash of a value: it tells equal ones, and nothing else.
func (r *Runner) keyed(value any) (string, error) {
	key, err := makeKey(filepath.Join(r.env.Dir, hostKeyFile))
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key.pem)
	mac.Write(text)
	return hex.EncodeToString(mac.Sum(nil)), nil
}

func sdkTags(tags map[string]string) []types.Tag {
	var out []types.Tag
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, types.Tag{Key: aws.String(k), Value: aws.String(tags[k])})
	}
	return out
}
