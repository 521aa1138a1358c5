package ec2

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/launchplan/launch/runners"
)

// A Found is something in the cloud that bears launch's tags, of whatever run,
// on whatever machine that run was launched.
type Found struct {
	Kind    string // "instance", "key-pair", "launch-template", "scaling-group"
	ID      string // the instance's id, else the name
	Region  string
	Run     string // the run's name
	RunID   string
	Plan    string // the plan's directory
	Service string // "" where it is the run's own, or the tags do not tell
	State   string // of an instance
	Created time.Time

	endpoint string
	unique   string // what the cloud itself tells it by, where that is not the name
	tags     map[string]string
	index    int
	i        types.Instance
}

// Identity tells a thing from every other one of whatever account and cloud: names are used again in each.
func (f Found) Identity() string {
	return strings.Join([]string{f.endpoint, f.Region, f.Kind, cmp.Or(f.unique, f.ID)}, "\n")
}

// Find lists everything in the configuration's region that launch made and that
// is still there: what `clean` and `history` compare with the runs that they know.
func Find(ctx context.Context, config Config) ([]Found, error) {
	c, err := openCloud(ctx, config, func(string) {})
	if err != nil {
		return nil, err
	}
	defer c.close()
	var all []Found
	for _, find := range []func(context.Context) ([]Found, error){c.findGroups, c.findInstances, c.findTemplates, c.findKeyPairs} {
		found, err := find(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	slices.SortStableFunc(all, func(a, b Found) int { return cmp.Compare(a.RunID, b.RunID) })
	return all, nil
}

// found takes over what tags say, which anybody with access to the account may have written.
func (c *cloud) found(kind, id string, tags map[string]string) Found {
	return Found{
		Kind: kind, ID: clean(id), Region: c.region, endpoint: strings.TrimSuffix(c.endpoint(), "/"), Run: clean(tags[tagRun]), RunID: clean(tags[tagRunID]),
		Plan: clean(tags[tagPlan]), Service: clean(tags[tagService]), tags: tags,
	}
}

// appendOurs adds what bears launch's tags. Of all but instances an account has few, so they are looked through: a
// filter is one more thing that a compatible cloud may not have.
func appendOurs(all []Found, f Found) []Found {
	if f.tags[tagRunID] == "" {
		return all
	}
	return append(all, f)
}

func (c *cloud) findInstances(ctx context.Context) ([]Found, error) {
	ofRun := func(i *types.Instance) bool { return tagMap(i.Tags)[tagRunID] != "" && !ended(i) }
	list, err := c.instances(ctx, ofRun, []types.Filter{filter("tag-key", tagRunID), filter("instance-state-name", "pending", "running", "stopping", "stopped")})
	if err != nil {
		return nil, explain(err, "look for instances that launch made")
	}
	var all []Found
	at := placesOf(list)
	for _, i := range list {
		f := c.found(kindInstance, aws.ToString(i.InstanceId), tagMap(i.Tags))
		f.index, f.i, f.State = at[aws.ToString(i.InstanceId)], i, string(stateOf(&i))
		f.Service = clean(serviceOf(f.tags, f.index))
		f.Created = aws.ToTime(i.LaunchTime)
		all = append(all, f)
	}
	return all, nil
}

// placesOf are the places of instances, by id, in their batches: their launch indexes. Where the cloud does not number
// instances they are those that place has given them, as long as a batch is all there, and not to be told (-1) from then on.
func placesOf(list []types.Instance) map[string]int {
	batches := map[string][]types.Instance{}
	for _, i := range list {
		token := tagMap(i.Tags)[tagBatch]
		batches[token] = append(batches[token], i)
	}
	at := map[string]int{}
	for _, batch := range batches {
		services, _ := readShared(tagMap(batch[0].Tags)) // where they cannot be read, nobody's place is told
		placed, _ := place(batch, len(services))
		numbered := isNumbered(batch)
		for k := range batch {
			i := &batch[k]
			switch id := aws.ToString(i.InstanceId); {
			case numbered:
				at[id] = int(aws.ToInt32(i.AmiLaunchIndex))
			case len(batch) == len(services):
				at[id] = slices.Index(placed, i)
			default:
				at[id] = -1
			}
		}
	}
	return at
}

func isNumbered(batch []types.Instance) bool {
	numbers := map[int32]bool{}
	for _, i := range batch {
		if i.AmiLaunchIndex == nil || numbers[*i.AmiLaunchIndex] {
			return false
		}
		numbers[*i.AmiLaunchIndex] = true
	}
	return true
}

func (c *cloud) findKeyPairs(ctx context.Context) ([]Found, error) {
	out, err := call(ctx, c, c.ec2.DescribeKeyPairs, &ec2.DescribeKeyPairsInput{})
	if err != nil {
		return nil, explain(err, "look for key pairs that launch made")
	}
	var all []Found
	for _, k := range out.KeyPairs {
		f := c.found(kindKeyPair, aws.ToString(k.KeyName), tagMap(k.Tags))
		f.Created, f.unique = aws.ToTime(k.CreateTime), aws.ToString(k.KeyPairId)
		all = appendOurs(all, f)
	}
	return all, nil
}

const (
	kindTemplate = "launch-template"
	kindGroup    = "scaling-group"
)

// groupsPage is the largest page of DescribeAutoScalingGroups.
const groupsPage = 100

// noPools says whether an error means that nobody can have pools here: the cloud does not do it, or the permission for
// it is lacking, which those who use no pool may not have. So what it is about cannot be there.
func noPools(err error) bool { return refused(err) || kindOf(err) == notAllowed }

func (c *cloud) findTemplates(ctx context.Context) ([]Found, error) {
	var all []Found
	in := &ec2.DescribeLaunchTemplatesInput{}
	for {
		out, err := call(ctx, c, c.ec2.DescribeLaunchTemplates, in, c.unlessRefused())
		switch {
		case noPools(err):
			return nil, nil
		case err != nil:
			return nil, explain(err, "look for launch templates that launch made")
		}
		for _, t := range out.LaunchTemplates {
			f := c.found(kindTemplate, aws.ToString(t.LaunchTemplateName), tagMap(t.Tags))
			f.Created, f.unique = aws.ToTime(t.CreateTime), aws.ToString(t.LaunchTemplateId)
			all = appendOurs(all, f)
		}
		if more, err := turn(&in.NextToken, out.NextToken); !more {
			return all, err
		}
	}
}

// findGroups asks an endpoint of its own. That it does not accept the credentials, which EC2 does, means that it is
// not this cloud's.
func (c *cloud) findGroups(ctx context.Context) ([]Found, error) {
	var all []Found
	in := &autoscaling.DescribeAutoScalingGroupsInput{MaxRecords: aws.Int32(groupsPage)}
	for {
		out, err := call(ctx, c, c.scaling.DescribeAutoScalingGroups, in)
		switch {
		case noPools(err) || kindOf(err) == badCredentials:
			return nil, nil
		case err != nil:
			return nil, explain(err, "look for Auto Scaling groups that launch made")
		}
		for _, g := range out.AutoScalingGroups {
			tags := map[string]string{}
			for _, t := range g.Tags {
				tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
			}
			f := c.found(kindGroup, aws.ToString(g.AutoScalingGroupName), tags)
			f.Created, f.unique = aws.ToTime(g.CreatedTime), aws.ToString(g.AutoScalingGroupARN)
			all = appendOurs(all, f)
		}
		if more, err := turn(&in.NextToken, out.NextToken); !more {
			return all, err
		}
	}
}

func tagMap(tags []types.Tag) map[string]string {
	m := make(map[string]string, len(tags))
	for _, t := range tags {
		m[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return m
}

// End ends things that Find has found and returns when instances are gone. What
// could not be ended is told by id.
func End(ctx context.Context, config Config, list []Found) map[string]error {
	errs := map[string]error{}
	c, err := openCloud(ctx, config, func(string) {})
	if err != nil {
		for _, f := range list {
			errs[f.ID] = err
		}
		return errs
	}
	r := &Runner{config: config, cloud: c, fleet: newFleet(ctx, c, ""), env: runners.Env{Ledger: noLedger{}, Note: func(string, string) {}}, held: map[string]held{}}
	defer c.close()
	defer r.fleet.close()
	fail := func(id string, err error) {
		if err != nil {
			errs[id] = err
		}
	}
	var instances []held
	for _, f := range list { // groups first, or they would start what is ended
		switch f.Kind {
		case kindGroup:
			fail(f.ID, c.deleteGroup(ctx, f.ID))
		case kindInstance:
			instances = append(instances, held{runners.Resource{Kind: kindInstance, Key: f.ID, ID: f.ID}, record{Region: f.Region, Asked: f.Created}})
		}
	}
	for id, err := range r.endInstances(ctx, instances) {
		fail(id, err)
	}
	for _, f := range list {
		switch f.Kind {
		case kindTemplate:
			_, err := call(ctx, c, c.ec2.DeleteLaunchTemplate, &ec2.DeleteLaunchTemplateInput{LaunchTemplateName: aws.String(f.ID)})
			if kindOf(err) != notFound {
				fail(f.ID, explain(err, "delete the launch template %s", f.ID))
			}
		case kindKeyPair:
			_, err := call(ctx, c, c.ec2.DeleteKeyPair, &ec2.DeleteKeyPairInput{KeyName: aws.String(f.ID)})
			if kindOf(err) != notFound {
				fail(f.ID, explain(err, "delete the key pair %s", f.ID))
			}
		}
	}
	return errs
}

// KeyPair says whether what was found is a key pair: its private half was with the record of its run.
func (f Found) KeyPair() bool { return f.Kind == kindKeyPair }

// noLedger is for what belongs to no run that this machine knows.
type noLedger struct{}

func (noLedger) Put(context.Context, ...runners.Resource) error { return nil }
func (noLedger) List(string) []runners.Resource                 { return nil }

// Resource is the ledger's row for something found, for a run that is rebuilt
// from its tags. The keys of the run are not in tags: what can be logged in to
// is what has a key pair of the operator's own, and its host key is read from
// the console.
func (f Found) Resource() (runners.Resource, error) {
	res := runners.Resource{Kind: f.Kind, Key: f.ID, ID: f.ID, Service: f.Service, Status: "live"}
	var data any
	switch f.Kind {
	case kindInstance:
		r := record{Region: f.Region, Batch: f.tags[tagBatch], Index: f.index, Asked: f.Created}
		r.Public, r.Private = addressesOf(&f.i)
		data = r
	case kindGroup:
		res.Kind = kindPool
		data = poolRecord{Region: f.Region, Asked: f.Created}
	default:
		return res, errors.ErrUnsupported // a template goes with its group; a key pair is of no use without its private half
	}
	text, err := json.Marshal(data)
	res.Data = string(text)
	return res, err
}
