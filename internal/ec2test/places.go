package ec2test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// The endpoint has one default VPC with a default subnet in each of two zones.
const (
	vpcID      = "vpc-0ec20000000000001"
	otherVPCID = "vpc-0ec20000000000002"
)

type subnet struct {
	ID      string `xml:"subnetId"`
	State   string `xml:"state"`
	VPC     string `xml:"vpcId"`
	CIDR    string `xml:"cidrBlock"`
	Free    int    `xml:"availableIpAddressCount"`
	Zone    string `xml:"availabilityZone"`
	Default bool   `xml:"defaultForAz"`
	Public  bool   `xml:"mapPublicIpOnLaunch"`
}

func (s *Server) subnets() []subnet {
	cidr := fmt.Sprintf("127.%d.0.0/16", s.network[0])
	return []subnet{
		{"subnet-0ec2000000000000a", "available", vpcID, cidr, 65000, s.opt.Region + "a", true, true},
		{"subnet-0ec2000000000000b", "available", vpcID, cidr, 65000, s.opt.Region + "b", true, true},
	}
}

type securityGroup struct {
	ID          string `xml:"groupId"`
	Name        string `xml:"groupName"`
	Description string `xml:"groupDescription"`
	Owner       string `xml:"ownerId"`
	VPC         string `xml:"vpcId"`
}

// securityGroups are those of the default VPC, its default one first, and of the other one.
func (s *Server) securityGroups() []securityGroup {
	var out []securityGroup
	for i, name := range append([]string{"default"}, s.opt.Groups...) {
		out = append(out, securityGroup{fmt.Sprintf("sg-%017x", 0xec2_0000_0000+i), name, "the group " + name, s.opt.Account, vpcID})
	}
	if s.opt.OtherVPC {
		for i, g := range slices.Clone(out) {
			out = append(out, securityGroup{fmt.Sprintf("sg-%017x", 0xec2_0001_0000+i), g.Name, g.Description, s.opt.Account, otherVPCID})
		}
	}
	return out
}

// choose keeps what is named by id, or by a second name, and what the filters match.
func choose[T any](s *Server, p params, all []T, id func(T) string, ids, names []string, notFound string, attribute func(T, string) ([]string, bool)) ([]T, error) {
	for _, want := range append(slices.Clone(ids), names...) {
		known := slices.ContainsFunc(all, func(t T) bool {
			name, _ := attribute(t, "group-name")
			return id(t) == want || slices.Contains(name, want)
		})
		if !known {
			return nil, fault(http.StatusBadRequest, notFound, "The %s '%s' does not exist", strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(notFound, "Invalid"), ".NotFound")), want)
		}
	}
	filters, err := s.parseFilters(p)
	if err != nil {
		return nil, err
	}
	var out []T
	for _, t := range all {
		name, _ := attribute(t, "group-name")
		if len(ids) > 0 && !slices.Contains(ids, id(t)) || len(names) > 0 && !slices.ContainsFunc(name, func(n string) bool { return slices.Contains(names, n) }) {
			continue
		}
		ok, err := filters.match(func(a string) ([]string, bool) { return attribute(t, a) })
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, t)
		}
	}
	return out, nil
}

func (s *Server) describeSecurityGroups(p params) (answer, error) {
	found, err := choose(s, p, s.securityGroups(), func(g securityGroup) string { return g.ID },
		p.list("GroupId"), p.list("GroupName"), "InvalidGroup.NotFound",
		func(g securityGroup, name string) ([]string, bool) {
			switch name {
			case "group-id":
				return []string{g.ID}, true
			case "group-name":
				return []string{g.Name}, true
			case "vpc-id":
				return []string{g.VPC}, true
			case "description":
				return []string{g.Description}, true
			}
			return nil, strings.HasPrefix(name, "tag")
		})
	if err != nil {
		return nil, err
	}
	from, to, next, err := p.page("MaxResults", len(found), 5, 1000)
	if err != nil {
		return nil, err
	}
	return withNext(answer{{"securityGroupInfo", set[securityGroup]{found[from:to]}}}, next), nil
}

func (s *Server) describeSubnets(p params) (answer, error) {
	found, err := choose(s, p, s.subnets(), func(n subnet) string { return n.ID },
		p.list("SubnetId"), nil, "InvalidSubnetID.NotFound",
		func(n subnet, name string) ([]string, bool) {
			switch name {
			case "subnet-id":
				return []string{n.ID}, true
			case "vpc-id":
				return []string{n.VPC}, true
			case "availability-zone", "availabilityZone":
				return []string{n.Zone}, true
			case "default-for-az", "defaultForAz":
				return []string{fmt.Sprint(n.Default)}, true
			case "state":
				return []string{n.State}, true
			}
			return nil, strings.HasPrefix(name, "tag")
		})
	if err != nil {
		return nil, err
	}
	return answer{{"subnetSet", set[subnet]{found}}}, nil
}

type image struct {
	ID           string         `xml:"imageId"`
	Location     string         `xml:"imageLocation"`
	State        string         `xml:"imageState"`
	Owner        string         `xml:"imageOwnerId"`
	Public       bool           `xml:"isPublic"`
	Architecture string         `xml:"architecture"`
	Kind         string         `xml:"imageType"`
	Name         string         `xml:"name"`
	RootType     string         `xml:"rootDeviceType"`
	RootName     string         `xml:"rootDeviceName"`
	Devices      set[xmlDevice] `xml:"blockDeviceMapping"`
	Virtual      string         `xml:"virtualizationType"`
}

type xmlDevice struct {
	Name     string `xml:"deviceName"`
	Snapshot string `xml:"ebs>snapshotId"`
	Size     int    `xml:"ebs>volumeSize"`
	Type     string `xml:"ebs>volumeType"`
	Delete   bool   `xml:"ebs>deleteOnTermination"`
}

func (s *Server) describeImages(p params) (answer, error) {
	var all []image
	for _, id := range s.opt.Images {
		all = append(all, image{
			id, s.opt.Account + "/" + id, "available", s.opt.Account, true, "arm64", "machine", "image " + id, "ebs", rootDevice,
			set[xmlDevice]{[]xmlDevice{{rootDevice, "snap-0", 8, "gp3", true}}}, "hvm",
		})
	}
	for _, id := range p.list("ImageId") {
		if !imageID.MatchString(id) {
			return nil, fault(http.StatusBadRequest, "InvalidAMIID.Malformed", "Invalid id: %q (expecting \"ami-...\")", id)
		}
		if !slices.Contains(s.opt.Images, id) {
			return nil, fault(http.StatusBadRequest, "InvalidAMIID.NotFound", "The image id '[%s]' does not exist", id)
		}
	}
	found, err := choose(s, p, all, func(i image) string { return i.ID }, p.list("ImageId"), nil, "InvalidAMIID.NotFound",
		func(i image, name string) ([]string, bool) {
			switch name {
			case "image-id":
				return []string{i.ID}, true
			case "name":
				return []string{i.Name}, true
			case "state":
				return []string{i.State}, true
			case "architecture":
				return []string{i.Architecture}, true
			}
			return nil, strings.HasPrefix(name, "tag")
		})
	if err != nil {
		return nil, err
	}
	return answer{{"imagesSet", set[image]{found}}}, nil
}
