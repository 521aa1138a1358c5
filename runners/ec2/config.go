package ec2

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/launchplan/launch/runners/ssh"
)

// Config is a runner block of type "ec2". What it leaves out is what the AWS
// SDK finds (region, credentials, endpoint), or what EC2 itself does.
type Config struct {
	Region   string `json:"region"`
	Profile  string `json:"profile"`  // of the AWS configuration files
	Endpoint string `json:"endpoint"` // of a compatible cloud, for EC2 and Auto Scaling both

	Image            string            `json:"image"`
	InstanceType     string            `json:"instance_type"`
	KeyName          string            `json:"key_name"` // an existing key pair; left out: one is made for the run
	Subnet           string            `json:"subnet"`
	AvailabilityZone string            `json:"availability_zone"`
	SecurityGroups   []string          `json:"security_groups"` // ids or names
	UserData         string            `json:"user_data"`
	Tags             map[string]string `json:"tags"`
	IAMProfile       string            `json:"iam_profile"` // name or ARN

	PublicAddress *bool  `json:"public_address"` // left out: what the subnet says
	Address       string `json:"address"`        // "public" or "private": where launch connects, and self.address
	Metadata      string `json:"metadata"`       // "v2" (the default) or "v1": whether IMDS insists on tokens; "unset": nothing is said of it
	MetadataHops  int    `json:"metadata_hops"`
	HostKey       string `json:"host_key"`  // "made" by launch (the default), or read from the "console" output
	Provision     string `json:"provision"` // "at-boot" (the default) or "at-level"

	RootVolume *RootVolume `json:"root_volume"`
	Spot       *Spot       `json:"spot"`
	SSH        *ssh.Config `json:"ssh"` // how launch logs in
	Pool       *Pool       `json:"pool" launch:"pool"`
}

// RootVolume changes the image's own root volume.
type RootVolume struct {
	Size       int    `json:"size"` // GiB
	Type       string `json:"type"`
	IOPS       int    `json:"iops"`
	Throughput int    `json:"throughput"` // MiB/s
	Encrypted  *bool  `json:"encrypted"`
	KMSKey     string `json:"kms_key"`
}

// Spot asks for spot instances.
type Spot struct {
	MaxPrice string `json:"max_price"` // dollars per hour; left out: the price on demand
}

// Pool makes a service of this runner an Auto Scaling group.
type Pool struct {
	Size int `json:"size" launch:"required"`
	Min  int `json:"min"` // left out: size
	Max  int `json:"max"` // left out: size
}

// machine is what of a configuration its machines are made of: where two differ in it, a machine of the one cannot
// become one of the other, and has to be replaced. Left out is who asks EC2 and by which way, when it is asked, how a machine
// is reached, and its tags, which are for those who look; those of a pool's machines stand in its template, and so they count.
func (c Config) machine(region, userData string) Config {
	c.Region, c.UserData = region, userData
	c.Metadata, c.HostKey = cmp.Or(c.Metadata, "v2"), cmp.Or(c.HostKey, "made")
	c.Profile, c.Endpoint, c.Provision, c.Address, c.SSH = "", "", "", "", nil
	if c.Pool == nil {
		c.Tags = nil
	}
	c.Pool = nil // how many, which a group can be told
	return c
}

// defaultUser is the user of Amazon's own images.
const defaultUser = "ec2-user"

// Check says what is wrong with a configuration, all of it.
func (c *Config) Check() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	oneOf := func(name, value string, allowed ...string) {
		for _, a := range allowed {
			if value == a {
				return
			}
		}
		wrong("%s = %q: it can be %s", name, value, strings.Join(allowed[1:], " or "))
	}
	oneOf("address", c.Address, "", "public", "private")
	oneOf("metadata", c.Metadata, "", "v1", "v2", "unset")
	oneOf("host_key", c.HostKey, "", "made", "console")
	oneOf("provision", c.Provision, "", "at-boot", "at-level")
	if c.MetadataHops < 0 || c.MetadataHops > 64 {
		wrong("metadata_hops = %d: it can be 1 to 64", c.MetadataHops)
	}
	if c.MetadataHops > 0 && c.Metadata == "unset" {
		wrong("metadata_hops = %d: metadata = \"unset\" says nothing of the metadata service", c.MetadataHops)
	}
	for key, value := range c.Tags {
		switch {
		case strings.HasPrefix(key, tagPrefix):
			wrong("tag %q: tags that begin with %q are launch's own", key, tagPrefix)
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			wrong("tag %q: AWS keeps tags that begin with \"aws:\" for itself", key)
		case len([]rune(key)) > maxTagKey || len([]rune(value)) > maxTagValue:
			wrong("tag %q is too long: a key has at most %d characters, a value %d", key, maxTagKey, maxTagValue)
		}
	}
	if len(c.Tags) > maxUserTags {
		wrong("%d tags: an instance has at most 50, and launch needs %d of them", len(c.Tags), 50-maxUserTags)
	}
	if p := c.Pool; p != nil {
		if p.Size < 0 || p.Min < 0 || p.Max < 0 || p.smallest() > p.Size || p.largest() < p.Size {
			wrong("pool: size %d must be between min %d and max %d", p.Size, p.smallest(), p.largest())
		}
	}
	return errors.Join(errs...)
}

func (p *Pool) smallest() int {
	if p.Min > 0 {
		return p.Min
	}
	return p.Size
}

func (p *Pool) largest() int {
	if p.Max > 0 {
		return p.Max
	}
	return p.Size
}
