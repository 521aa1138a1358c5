package ec2test

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"time"
)

// An instance is one VM. Its state follows from the clock.
type instance struct {
	id, reservation, token string
	index, seq             int
	spec
	private, public netip.Addr // public is the zero Addr where it has none
	tags            *tagSet

	launched  time.Time
	runningAt time.Time
	endedAt   time.Time // zero while nobody has ended it
	goneAt    time.Time // when shutting-down becomes terminated
	reason    stateReason
	impaired  bool
	scaling   *scalingGroup

	machine *machine
}

type stateReason struct {
	Code    string `xml:"code"`
	Message string `xml:"message"`
}

type instanceState struct {
	code int
	name string
}

var (
	statePending  = instanceState{0, "pending"}
	stateRunning  = instanceState{16, "running"}
	stateShutting = instanceState{32, "shutting-down"}
	stateGone     = instanceState{48, "terminated"}
)

func (i *instance) state(now time.Time) instanceState {
	switch {
	case !i.endedAt.IsZero() && !now.Before(i.goneAt):
		return stateGone
	case !i.endedAt.IsZero() && !now.Before(i.endedAt): // it may be doomed from its start
		return stateShutting
	case now.Before(i.runningAt):
		return statePending
	default:
		return stateRunning
	}
}

// start adds an instance of a spec; its machine comes up by itself.
func (s *Server) start(sp spec, token, reservation string, index int, now time.Time) *instance {
	s.seq++
	i := &instance{
		id: fmt.Sprintf("i-%08x%09x", s.salt, s.seq), reservation: reservation, token: token,
		index: index, seq: s.seq, spec: sp, launched: now,
		private: netip.AddrFrom4([4]byte{127, s.network[0], byte(s.seq >> 8), byte(s.seq)}),
		tags:    &tagSet{resource: "instance"},
	}
	if sp.public {
		i.public = netip.AddrFrom4([4]byte{127, s.network[1], byte(s.seq >> 8), byte(s.seq)})
	}
	i.tags.set(maps.Clone(sp.tags), now)
	pending, boot := s.draw(s.opt.Pending), s.draw(s.opt.Boot)
	i.runningAt = now.Add(pending)
	s.instances[i.id] = i
	s.order = append(s.order, i)
	s.report.Started++
	s.report.Minimum = max(s.report.Minimum, pending+boot+s.starts.withheld(float64(s.report.Started)))
	if s.faults.DieStarting > 0 {
		s.faults.DieStarting--
		i.endedAt, i.goneAt = i.runningAt, i.runningAt
		i.reason = stateReason{"Server.InternalError", "Server.InternalError: Internal error on launch"}
		return i
	}
	i.machine = s.newMachine(i, pending+boot)
	return i
}

func (s *Server) draw(d Delay) time.Duration {
	if d.Max <= d.Min {
		return d.Min
	}
	return d.Min + time.Duration(s.rng.Int64N(int64(d.Max-d.Min)))
}

// end begins the end of an instance. Its processes die at once.
func (s *Server) end(i *instance, reason stateReason, now time.Time) {
	if !i.endedAt.IsZero() {
		return
	}
	i.endedAt, i.goneAt, i.reason = now, now.Add(s.opt.Ending), reason
	time.AfterFunc(s.opt.Ending, s.changes.tell)
	if i.machine != nil {
		i.machine.powerOff()
	}
	s.scalingChanged()
}

// find looks an instance up by id as a call does that names ids: one that is
// new, forgotten or never was is not found.
func (s *Server) find(id string, now time.Time) (*instance, error) {
	i := s.instances[id]
	if i == nil || s.hidden(i, now) {
		return nil, unknownInstance(id)
	}
	return i, nil
}

func unknownInstance(id string) *Error {
	return fault(http.StatusBadRequest, "InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
}

func (s *Server) hidden(i *instance, now time.Time) bool {
	late := s.faults.NotFoundFor
	if i.index == 0 {
		late = max(late, s.faults.LateFor)
	}
	return now.Before(i.launched.Add(late)) ||
		i.state(now) == stateGone && now.After(i.goneAt.Add(s.opt.Forget))
}

// Kill lets an instance die by itself, as a failed host does.
func (s *Server) Kill(id string) error {
	return s.with(id, func(i *instance, now time.Time) {
		s.end(i, stateReason{"Server.InternalError", "Server.InternalError: the host failed"}, now)
	})
}

// Impair lets the status checks of an instance fail, and its machine no longer
// answer; nothing on it ends.
func (s *Server) Impair(id string) error {
	return s.with(id, func(i *instance, _ time.Time) {
		i.impaired = true
		i.machine.hang()
	})
}

func (s *Server) with(id string, f func(*instance, time.Time)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.instances[id]
	if i == nil || i.machine == nil {
		return fmt.Errorf("no instance %s", id)
	}
	f(i, time.Now())
	return nil
}

// xmlInstance is an instance in an answer.
type xmlInstance struct {
	ID           string            `xml:"instanceId"`
	Image        string            `xml:"imageId"`
	State        xmlState          `xml:"instanceState"`
	PrivateDNS   string            `xml:"privateDnsName"`
	DNS          string            `xml:"dnsName"`
	Reason       string            `xml:"reason"`
	StateReason  *stateReason      `xml:"stateReason"`
	Key          string            `xml:"keyName,omitempty"`
	Index        *int              `xml:"amiLaunchIndex"`
	Type         string            `xml:"instanceType"`
	Launched     string            `xml:"launchTime"`
	Zone         string            `xml:"placement>availabilityZone"`
	Tenancy      string            `xml:"placement>tenancy"`
	Monitoring   string            `xml:"monitoring>state"`
	Subnet       string            `xml:"subnetId,omitempty"`
	VPC          string            `xml:"vpcId,omitempty"`
	Private      string            `xml:"privateIpAddress,omitempty"`
	Public       string            `xml:"ipAddress,omitempty"`
	IPv6         string            `xml:"ipv6Address,omitempty"`
	Groups       set[xmlGroupRef]  `xml:"groupSet"`
	Architecture string            `xml:"architecture"`
	RootType     string            `xml:"rootDeviceType"`
	RootName     string            `xml:"rootDeviceName"`
	Volumes      set[xmlVolume]    `xml:"blockDeviceMapping"`
	Virtual      string            `xml:"virtualizationType"`
	Lifecycle    string            `xml:"instanceLifecycle,omitempty"`
	Token        string            `xml:"clientToken"`
	Tags         *set[xmlTag]      `xml:"tagSet"`
	Hypervisor   string            `xml:"hypervisor"`
	Interfaces   set[xmlInterface] `xml:"networkInterfaceSet"`
	Profile      *xmlProfile       `xml:"iamInstanceProfile"`
	Metadata     xmlMetadata       `xml:"metadataOptions"`
}

type xmlState struct {
	Code int    `xml:"code"`
	Name string `xml:"name"`
}

type xmlGroupRef struct {
	ID   string `xml:"groupId"`
	Name string `xml:"groupName"`
}

type xmlVolume struct {
	Device string `xml:"deviceName"`
	Volume string `xml:"ebs>volumeId"`
	Status string `xml:"ebs>status"`
}

type xmlInterface struct {
	ID      string `xml:"networkInterfaceId"`
	Subnet  string `xml:"subnetId"`
	Private string `xml:"privateIpAddress"`
}

type xmlProfile struct {
	ARN string `xml:"arn"`
}

type xmlMetadata struct {
	State    string `xml:"state"`
	Tokens   string `xml:"httpTokens"`
	Hops     string `xml:"httpPutResponseHopLimit"`
	Endpoint string `xml:"httpEndpoint"`
}

func (s *Server) describe(i *instance, now time.Time) xmlInstance {
	return s.describeAs(i, i.state(now), now)
}

func (s *Server) describeAs(i *instance, st instanceState, now time.Time) xmlInstance {
	x := xmlInstance{
		ID: i.id, Image: i.image, State: xmlState{Code: st.code, Name: st.name},
		Key: i.key, Type: i.instanceType, Launched: timestamp(i.launched),
		Zone: i.zone, Tenancy: "default", Monitoring: "disabled",
		Architecture: "arm64", RootType: "ebs", RootName: rootDevice, Virtual: "hvm", Hypervisor: "xen",
		Token: i.token, Tags: s.visibleTags(i.tags, now),
		Metadata: xmlMetadata{"applied", i.tokens, i.hops, "enabled"},
	}
	if !s.faults.Unnumbered {
		x.Index = &i.index
	}
	if i.spot {
		x.Lifecycle = "spot"
	}
	if i.profile != "" {
		x.Profile = &xmlProfile{"arn:aws:iam::" + s.opt.Account + ":instance-profile/" + i.profile}
	}
	switch st {
	case statePending:
		x.StateReason = &stateReason{"pending", "pending"}
	case stateShutting, stateGone:
		x.StateReason, x.Reason = &i.reason, i.reason.Message
	}
	if st == stateGone {
		return x // a terminated instance has no network any more
	}
	x.Subnet, x.VPC, x.Private = i.subnet, vpcID, i.private.String()
	x.PrivateDNS = fmt.Sprintf("ip-%s.%s.compute.internal", dashed(i.private), s.opt.Region)
	x.Interfaces.Items = []xmlInterface{{fmt.Sprintf("eni-%017x", i.seq), i.subnet, x.Private}}
	for _, g := range s.securityGroups() {
		for _, id := range i.groups {
			if g.ID == id {
				x.Groups.Items = append(x.Groups.Items, xmlGroupRef{g.ID, g.Name})
			}
		}
	}
	x.Volumes.Items = []xmlVolume{{rootDevice, fmt.Sprintf("vol-%017x", i.seq), "attached"}}
	if st == stateRunning && i.public.IsValid() { // assigned on the way to running
		x.Public = i.public.String()
		x.DNS = fmt.Sprintf("ec2-%s.%s.compute.amazonaws.com", dashed(i.public), s.opt.Region)
	}
	if s.faults.OnlyIPv6 { // one that gets to the machine, which has IPv4 addresses
		x.Private, x.Public, x.IPv6 = "", "", netip.AddrFrom16(i.private.As16()).String()
		x.Interfaces.Items[0].Private = ""
	}
	if s.faults.ZeroAddresses {
		x.Private, x.Public = cmp.Or(x.Private, "0.0.0.0"), cmp.Or(x.Public, "0.0.0.0")
	}
	return x
}

func dashed(a netip.Addr) string {
	b := a.As4()
	return fmt.Sprintf("%d-%d-%d-%d", b[0], b[1], b[2], b[3])
}

func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
