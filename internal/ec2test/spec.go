package ec2test

import (
	"encoding/base64"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// maxUserData is the limit of the real service, before base64.
const maxUserData = 16 << 10

// vcpus are the instance types that the endpoint knows.
var vcpus = map[string]int{
	"t3.micro": 2, "t3.small": 2, "t3.medium": 2, "t3.large": 2, "t4g.micro": 2, "t4g.small": 2,
	"m5.large": 2, "m5.xlarge": 4, "m6i.large": 2, "m7g.medium": 1, "m7g.large": 2, "m7g.xlarge": 4,
	"c7g.large": 2, "c7g.xlarge": 4, "c7g.16xlarge": 64,
}

// A spec is what an instance is to be: the parameters that RunInstances and
// a launch template's data have in common.
type spec struct {
	image, instanceType, key, profile string
	subnet, zone                      string
	groups                            []string // ids
	public                            bool
	userData                          []byte
	spot                              bool
	tokens                            string // IMDS: optional or required
	hops                              string
	rootSize                          int
	tags                              map[string]string
}

var imageID = regexp.MustCompile(`^ami-([0-9a-f]{8}|[0-9a-f]{17})$`)

// parseSpec reads and checks a spec, and says what is wrong with it as the
// real service does: the first mistake only.
func (s *Server) parseSpec(p params) (spec, error) {
	sp := spec{
		image:        p.str("ImageId"),
		instanceType: p.str("InstanceType"),
		key:          p.str("KeyName"),
		zone:         p.sub("Placement").str("AvailabilityZone"),
		subnet:       p.str("SubnetId"),
		tokens:       p.sub("MetadataOptions").str("HttpTokens"),
		hops:         p.sub("MetadataOptions").str("HttpPutResponseHopLimit"),
	}
	for _, check := range []func(*spec, params) error{
		s.checkImage, s.checkType, s.checkKey, s.checkProfile, s.checkNetwork, checkUserData, checkMarket, checkMetadata, checkVolumes, checkSpecTags,
	} {
		if err := check(&sp, p); err != nil {
			return spec{}, err
		}
	}
	return sp, nil
}

func (s *Server) checkImage(sp *spec, _ params) error {
	switch {
	case sp.image == "":
		return missing("ImageId")
	case !imageID.MatchString(sp.image):
		return fault(http.StatusBadRequest, "InvalidAMIID.Malformed", "Invalid id: %q (expecting \"ami-...\")", sp.image)
	case !slices.Contains(s.opt.Images, sp.image):
		return fault(http.StatusBadRequest, "InvalidAMIID.NotFound", "The image id '[%s]' does not exist", sp.image)
	}
	return nil
}

func (s *Server) checkType(sp *spec, _ params) error {
	if sp.instanceType == "" {
		sp.instanceType = "t3.micro"
	}
	if vcpus[sp.instanceType] == 0 {
		return badValue("Invalid value '%s' for InstanceType.", sp.instanceType)
	}
	return nil
}

func (s *Server) checkKey(sp *spec, _ params) error {
	if k := s.keys[sp.key]; sp.key != "" && (k == nil || s.late(k.created)) {
		return fault(http.StatusBadRequest, "InvalidKeyPair.NotFound", "The key pair '%s' does not exist", sp.key)
	}
	return nil
}

func (s *Server) checkProfile(sp *spec, p params) error {
	profile := p.sub("IamInstanceProfile")
	if sp.profile = profile.str("Name"); sp.profile == "" {
		_, sp.profile, _ = strings.Cut(profile.str("Arn"), ":instance-profile/")
	}
	if sp.profile != "" && !slices.Contains(s.opt.Profiles, sp.profile) {
		return badValue("Value (%s) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name", sp.profile)
	}
	return nil
}

// checkNetwork takes subnet and groups from the request itself or from its
// first network interface, never from both.
func (s *Server) checkNetwork(sp *spec, p params) error {
	ids, names := p.list("SecurityGroupId"), p.list("SecurityGroup")
	public := true // what the default subnets say
	if interfaces := p.structs("NetworkInterface"); len(interfaces) > 0 {
		if sp.subnet != "" || len(ids)+len(names) > 0 {
			return fault(http.StatusBadRequest, "InvalidParameterCombination",
				"Network interfaces and an instance-level subnet ID or security groups may not be specified on the same request")
		}
		first := interfaces[0]
		if first.str("DeviceIndex") != "0" {
			return badValue("Each network interface requires a device index.")
		}
		sp.subnet, ids = first.str("SubnetId"), first.list("SecurityGroupId")
		var err error
		if public, err = first.boolean("AssociatePublicIpAddress", public); err != nil {
			return err
		}
	}
	if sp.subnet == "" {
		sp.subnet = s.subnets()[0].ID
	}
	at := slices.IndexFunc(s.subnets(), func(n subnet) bool { return n.ID == sp.subnet })
	if at < 0 {
		return fault(http.StatusBadRequest, "InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", sp.subnet)
	}
	sp.zone, sp.public = s.subnets()[at].Zone, public
	for _, g := range ids {
		if !slices.ContainsFunc(s.securityGroups(), func(x securityGroup) bool { return x.ID == g && x.VPC == vpcID }) {
			return fault(http.StatusBadRequest, "InvalidGroup.NotFound", "The security group '%s' does not exist in VPC '%s'", g, vpcID)
		}
		sp.groups = append(sp.groups, g)
	}
	for _, name := range names {
		i := slices.IndexFunc(s.securityGroups(), func(x securityGroup) bool { return x.Name == name })
		if i < 0 {
			return fault(http.StatusBadRequest, "InvalidGroup.NotFound", "The security group '%s' does not exist in default VPC '%s'", name, vpcID)
		}
		sp.groups = append(sp.groups, s.securityGroups()[i].ID)
	}
	if len(sp.groups) == 0 {
		sp.groups = []string{s.securityGroups()[0].ID}
	}
	return nil
}

func checkUserData(sp *spec, p params) error {
	raw, err := base64.StdEncoding.DecodeString(p.str("UserData"))
	if err != nil {
		return badValue("Invalid BASE64 encoding of user data.")
	}
	if len(raw) > maxUserData {
		return badValue("User data is limited to 16384 bytes")
	}
	sp.userData = raw
	return nil
}

func checkMarket(sp *spec, p params) error {
	switch market := p.sub("InstanceMarketOptions").str("MarketType"); market {
	case "":
	case "spot":
		sp.spot = true
	default:
		return badValue("Invalid value '%s' for MarketType.", market)
	}
	return nil
}

func checkMetadata(sp *spec, _ params) error {
	switch sp.tokens {
	case "":
		sp.tokens = "optional"
	case "optional", "required":
	default:
		return badValue("Invalid value '%s' for HttpTokens.", sp.tokens)
	}
	if sp.hops == "" {
		sp.hops = "1"
	}
	return nil
}

// rootDevice is the name of the root volume of every image here.
const rootDevice = "/dev/xvda"

func checkVolumes(sp *spec, p params) error {
	sp.rootSize = 8
	for _, m := range p.structs("BlockDeviceMapping") {
		if m.str("DeviceName") == "" {
			return missing("blockDeviceMapping.deviceName")
		}
		size, err := m.sub("Ebs").integer("VolumeSize", 8)
		if err != nil {
			return err
		}
		if m.str("DeviceName") != rootDevice {
			continue
		}
		if size < 8 {
			return fault(http.StatusBadRequest, "InvalidBlockDeviceMapping", "Volume of size %dGB is smaller than snapshot 'snap-0', expect size >= 8GB", size)
		}
		sp.rootSize = size
	}
	return nil
}

func checkSpecTags(sp *spec, p params) error {
	sp.tags = map[string]string{}
	for _, t := range p.structs("TagSpecification") {
		kind := t.str("ResourceType")
		switch kind {
		case "instance", "volume", "network-interface", "spot-instances-request":
		default:
			return badValue("'%s' is not a valid taggable resource type for this operation.", kind)
		}
		tags, err := parseTags(t.structs("Tag"))
		if err != nil {
			return err
		}
		if kind == "instance" {
			sp.tags = tags
		}
	}
	return nil
}
