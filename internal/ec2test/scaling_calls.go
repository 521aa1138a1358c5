package ec2test

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// The errors of Auto Scaling have codes of their own.
func validation(format string, args ...any) *Error {
	return fault(http.StatusBadRequest, "ValidationError", format, args...)
}

func (s *Server) findGroup(p params) (*scalingGroup, error) {
	name := p.str("AutoScalingGroupName")
	if g := s.groups[name]; g != nil && !g.deleting {
		return g, nil
	}
	return nil, validation("AutoScalingGroup name not found - AutoScalingGroup '%s' not found", name)
}

func (s *Server) createAutoScalingGroup(p params) (answer, error) {
	name := p.str("AutoScalingGroupName")
	switch {
	case name == "" || len(name) > 255:
		return nil, validation("1 validation error detected: Value '%s' at 'autoScalingGroupName' failed to satisfy constraint", name)
	case s.groups[name] != nil:
		return nil, fault(http.StatusBadRequest, "AlreadyExists", "AutoScalingGroup by this name already exists - A group with the name %s already exists", name)
	case p.str("VPCZoneIdentifier") == "" && len(p.list("AvailabilityZones")) == 0:
		return nil, validation("At least one Availability Zone or VPC Subnet is required.")
	}
	from := p.sub("LaunchTemplate")
	t, err := s.findTemplate(from.str("LaunchTemplateId"), from.str("LaunchTemplateName"))
	if err == nil && s.late(t.created) {
		err = unknownTemplate(t.name)
	}
	if err != nil {
		return nil, validation("You must use a valid fully-formed launch template. %v", err)
	}
	g := &scalingGroup{
		name: name, template: t, subnets: p.str("VPCZoneIdentifier"), health: p.str("HealthCheckType"),
		created: time.Now(), tags: map[string]string{}, propagate: map[string]bool{},
	}
	if g.health == "" {
		g.health = "EC2"
	}
	if err := g.resize(p); err != nil {
		return nil, err
	}
	for _, tag := range p.structs("Tags") {
		key := tag.str("Key")
		if g.tags[key] = tag.str("Value"); key == "" {
			return nil, validation("a tag needs a key")
		}
		if g.propagate[key], err = tag.boolean("PropagateAtLaunch", true); err != nil {
			return nil, err
		}
	}
	s.groups[name] = g
	s.scalingChanged()
	return nil, nil
}

// resize takes sizes over from a request; what it does not name stays.
func (g *scalingGroup) resize(p params) error {
	smallest, err1 := p.integer("MinSize", g.smallest)
	largest, err2 := p.integer("MaxSize", g.largest)
	want, err3 := p.integer("DesiredCapacity", max(smallest, min(g.want, largest)))
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			return err
		}
	}
	if smallest < 0 || smallest > largest || want < smallest || want > largest {
		return validation("Desired capacity:%d must be between the specified min size:%d and max size:%d", want, smallest, largest)
	}
	g.smallest, g.largest, g.want = smallest, largest, want
	return nil
}

func (s *Server) updateAutoScalingGroup(p params) (answer, error) {
	g, err := s.findGroup(p)
	if err != nil {
		return nil, err
	}
	if from := p.sub("LaunchTemplate"); from.any() {
		if g.template, err = s.findTemplate(from.str("LaunchTemplateId"), from.str("LaunchTemplateName")); err != nil {
			return nil, validation("%v", err)
		}
	}
	if err := g.resize(p); err != nil {
		return nil, err
	}
	s.scalingChanged()
	return nil, nil
}

func (s *Server) setDesiredCapacity(p params) (answer, error) {
	g, err := s.findGroup(p)
	if err != nil {
		return nil, err
	}
	want, err := p.integer("DesiredCapacity", -1)
	if err != nil {
		return nil, err
	}
	if want < g.smallest {
		return nil, validation("New SetDesiredCapacity value %d is below min value %d for the AutoScalingGroup.", want, g.smallest)
	}
	if want > g.largest {
		return nil, validation("New SetDesiredCapacity value %d is above max value %d for the AutoScalingGroup.", want, g.largest)
	}
	g.want = want
	s.scalingChanged()
	return nil, nil
}

func (s *Server) deleteAutoScalingGroup(p params) (answer, error) {
	g, err := s.findGroup(p)
	if err != nil {
		return nil, err
	}
	force, err := p.boolean("ForceDelete", false)
	if err != nil {
		return nil, err
	}
	if !force && len(g.instances) > 0 {
		return nil, fault(http.StatusBadRequest, "ResourceInUse",
			"You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group.")
	}
	if s.faults.KeepsMembers {
		delete(s.groups, g.name)
		return nil, nil
	}
	g.deleting = true
	s.keep(g, time.Now())
	return nil, nil
}

func (s *Server) terminateInScalingGroup(p params) (answer, error) {
	i := s.instances[p.str("InstanceId")]
	if i == nil || i.scaling == nil {
		return nil, validation("Instance Id not found - No managed instance found for instance ID: %s", p.str("InstanceId"))
	}
	shrink, err := p.boolean("ShouldDecrementDesiredCapacity", false)
	if err != nil {
		return nil, err
	}
	if g := i.scaling; shrink {
		if g.want-1 < g.smallest {
			return nil, validation("Currently, desiredSize equals minSize (%d). Terminating instance without replacement will violate group's min size constraint.", g.smallest)
		}
		g.want--
	}
	now := time.Now()
	s.end(i, stateReason{"Client.UserInitiatedShutdown", "terminated by its Auto Scaling group"}, now)
	i.scaling.log(now, "Terminating EC2 instance: "+i.id, "InProgress", "")
	return answer{{"Activity", i.scaling.activities[0]}}, nil
}

type xmlGroup struct {
	Name      string                    `xml:"AutoScalingGroupName"`
	ARN       string                    `xml:"AutoScalingGroupARN"`
	Template  xmlGroupTemplate          `xml:"LaunchTemplate"`
	Smallest  int                       `xml:"MinSize"`
	Largest   int                       `xml:"MaxSize"`
	Want      int                       `xml:"DesiredCapacity"`
	Cooldown  int                       `xml:"DefaultCooldown"`
	Zones     members[string]           `xml:"AvailabilityZones"`
	Health    string                    `xml:"HealthCheckType"`
	Grace     int                       `xml:"HealthCheckGracePeriod"`
	Instances members[xmlGroupInstance] `xml:"Instances"`
	Created   string                    `xml:"CreatedTime"`
	Subnets   string                    `xml:"VPCZoneIdentifier"`
	Status    string                    `xml:"Status,omitempty"`
	Tags      members[xmlGroupTag]      `xml:"Tags"`
}

type xmlGroupTemplate struct {
	ID      string `xml:"LaunchTemplateId"`
	Name    string `xml:"LaunchTemplateName"`
	Version string `xml:"Version"`
}

type xmlGroupInstance struct {
	ID        string           `xml:"InstanceId"`
	Type      string           `xml:"InstanceType"`
	Zone      string           `xml:"AvailabilityZone"`
	Life      string           `xml:"LifecycleState"`
	Health    string           `xml:"HealthStatus"`
	Template  xmlGroupTemplate `xml:"LaunchTemplate"`
	Protected bool             `xml:"ProtectedFromScaleIn"`
}

type xmlGroupTag struct {
	Resource  string `xml:"ResourceId"`
	Type      string `xml:"ResourceType"`
	Key       string `xml:"Key"`
	Value     string `xml:"Value"`
	Propagate bool   `xml:"PropagateAtLaunch"`
}

func (s *Server) describeAutoScalingGroups(p params) (answer, error) {
	now := time.Now()
	names := p.list("AutoScalingGroupNames")
	var wanted filters
	for _, f := range p.structs("Filters") {
		wanted = append(wanted, filter{f.str("Name"), f.list("Values")})
	}
	if s.faults.IgnoreFilters {
		wanted = nil
	}
	var found []xmlGroup
	for _, g := range s.groupsInOrder() {
		if len(names) > 0 && !slices.Contains(names, g.name) {
			continue
		}
		t := &tagSet{}
		t.set(g.tags, g.created)
		ok, err := wanted.match(func(name string) ([]string, bool) { return s.tagAttribute(t, name, now) })
		if err != nil {
			return nil, validation("%v", err)
		}
		if ok {
			found = append(found, s.describeGroup(g, now))
		}
	}
	from, to, next, err := p.page("MaxRecords", len(found), 1, 100)
	if err != nil {
		return nil, err
	}
	a := answer{{"AutoScalingGroups", members[xmlGroup]{found[from:to]}}}
	if next != "" {
		a = append(a, field{"NextToken", next})
	}
	return a, nil
}

func (s *Server) groupsInOrder() []*scalingGroup {
	var out []*scalingGroup
	for _, g := range s.groups {
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b *scalingGroup) int { return a.created.Compare(b.created) })
	return out
}

func (s *Server) describeGroup(g *scalingGroup, now time.Time) xmlGroup {
	template := xmlGroupTemplate{g.template.id, g.template.name, "1"}
	x := xmlGroup{
		Name: g.name, ARN: "arn:aws:autoscaling:" + s.opt.Region + ":" + s.opt.Account + ":autoScalingGroup:1:autoScalingGroupName/" + g.name,
		Template: template, Smallest: g.smallest, Largest: g.largest, Want: g.want, Cooldown: 300,
		Zones: members[string]{[]string{s.opt.Region + "a"}}, Health: g.health, Created: timestamp(g.created), Subnets: g.subnets,
	}
	if g.deleting {
		x.Status = "Delete in progress"
	}
	for _, i := range g.instances {
		life, health := "InService", "Healthy"
		switch i.state(now) {
		case statePending:
			life = "Pending"
		case stateShutting:
			life, health = "Terminating", "Unhealthy"
		case stateGone:
			continue
		}
		x.Instances.Items = append(x.Instances.Items, xmlGroupInstance{i.id, i.instanceType, i.zone, life, health, template, false})
	}
	for k, v := range g.tags {
		x.Tags.Items = append(x.Tags.Items, xmlGroupTag{g.name, "auto-scaling-group", k, v, g.propagate[k]})
	}
	slices.SortFunc(x.Tags.Items, func(a, b xmlGroupTag) int { return strings.Compare(a.Key, b.Key) })
	return x
}

func (s *Server) describeScalingActivities(p params) (answer, error) {
	var all []xmlActivity
	for _, g := range s.groupsInOrder() {
		if name := p.str("AutoScalingGroupName"); name == "" || name == g.name {
			all = append(all, g.activities...)
		}
	}
	from, to, next, err := p.page("MaxRecords", len(all), 1, 100)
	if err != nil {
		return nil, err
	}
	a := answer{{"Activities", members[xmlActivity]{all[from:to]}}}
	if next != "" {
		a = append(a, field{"NextToken", next})
	}
	return a, nil
}
