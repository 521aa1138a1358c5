package ec2test

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// A tokenUse is what a client token was used for.
type tokenUse struct {
	fingerprint string
	reservation string
	instances   []*instance
}

func (s *Server) runInstances(p params) (answer, error) {
	now := time.Now()
	token := p.str("ClientToken")
	if token != "" && s.faults.RefuseTokens {
		return nil, fault(http.StatusBadRequest, "UnknownParameter", "Unknown parameter client_token")
	}
	if len(token) > 64 {
		return nil, badValue("Value (%s) for parameter clientToken is invalid. The client token must be 64 characters or less", token)
	}
	smallest, err := p.integer("MinCount", 0)
	if err != nil {
		return nil, err
	}
	largest, err := p.integer("MaxCount", 0)
	if err != nil {
		return nil, err
	}
	if smallest < 1 || largest < smallest {
		return nil, badValue("Invalid value '%d' for minCount/maxCount.", smallest)
	}
	// The token answers before anything else is looked at: a repeated call
	// must not fail for what has changed since the first.
	if use := s.tokens[token]; token != "" && use != nil && !s.faults.IgnoreTokens {
		if use.fingerprint != p.fingerprint() {
			return nil, fault(http.StatusBadRequest, "IdempotentParameterMismatch",
				"Arguments on this idempotent request are inconsistent with arguments used in previous request(s).")
		}
		if slices.ContainsFunc(use.instances, func(i *instance) bool { return i.state(now) == stateGone }) {
			return nil, fault(http.StatusBadRequest, "IdempotentInstanceTerminated",
				"The client token used in this request is associated with a terminated instance.")
		}
		var told set[xmlInstance]
		for _, i := range use.instances {
			told.Items = append(told.Items, s.describe(i, now))
		}
		return s.reservationAnswer(use.reservation, told), nil
	}
	sp, err := s.specOf(p)
	if err != nil {
		return nil, err
	}
	if s.faults.OnlyMinCount {
		largest = smallest
	}
	if s.faults.NoTagSpecs {
		sp.tags = nil
	}
	if err := s.refuseTagSpecs(p); err != nil {
		return nil, err
	}
	if s.faults.NoMetadata && p.sub("MetadataOptions").any() {
		return nil, fault(http.StatusBadRequest, "UnknownParameter", "The parameter MetadataOptions is not recognized")
	}
	if dry, err := p.boolean("DryRun", false); err != nil {
		return nil, err
	} else if dry {
		return nil, fault(http.StatusPreconditionFailed, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
	}
	count, err := s.allowed(sp, smallest, largest, now)
	if err != nil {
		return nil, err
	}
	reservation, started := s.startAll(sp, token, count, now)
	if token != "" {
		s.tokens[token] = &tokenUse{p.fingerprint(), reservation, started}
	}
	var told set[xmlInstance]
	for _, i := range started {
		if !s.faults.Untold { // whatever comes of them, they are pending first
			told.Items = append(told.Items, s.describeAs(i, statePending, now))
		}
	}
	return s.reservationAnswer(reservation, told), nil
}

// refuseTagSpecs is what clouds answer that know no tags in a call which makes something.
func (s *Server) refuseTagSpecs(p params) error {
	if s.faults.RefuseTagSpecs && len(p.structs("TagSpecification")) > 0 {
		return fault(http.StatusBadRequest, "UnknownParameter", "Unknown parameter tag_specification")
	}
	return nil
}

func (s *Server) startAll(sp spec, token string, count int, now time.Time) (reservation string, started []*instance) {
	reservation = fmt.Sprintf("r-%017x", 0xec2_0000_0000+s.seq)
	for n := range count {
		started = append(started, s.start(sp, token, reservation, n, now))
	}
	return reservation, started
}

// specOf reads the spec of a call, from its launch template where it names one.
func (s *Server) specOf(p params) (spec, error) {
	from := p.sub("LaunchTemplate")
	if !from.any() {
		return s.parseSpec(p)
	}
	t, err := s.findTemplate(from.str("LaunchTemplateId"), from.str("LaunchTemplateName"))
	if err != nil {
		return spec{}, err
	}
	return t.spec, nil
}

// allowed is how many instances can be started now: as many as possible up to
// largest, and an error where that is less than smallest.
func (s *Server) allowed(sp spec, smallest, largest int, now time.Time) (int, error) {
	count, why := largest, error(nil)
	limit := func(n int, err *Error) {
		if n < count {
			count, why = max(n, 0), err
		}
	}
	if s.faults.MaxVCPUs > 0 {
		used := 0
		for _, i := range s.order {
			if i.state(now) != stateGone {
				used += vcpus[i.instanceType]
			}
		}
		limit((s.faults.MaxVCPUs-used)/vcpus[sp.instanceType], fault(http.StatusBadRequest, "VcpuLimitExceeded",
			"You have requested more vCPU capacity than your current vCPU limit of %d allows for the instance bucket that the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.", s.faults.MaxVCPUs))
	}
	if sp.spot && s.faults.MaxSpot != nil {
		limit(*s.faults.MaxSpot, fault(http.StatusBadRequest, "MaxSpotInstanceCountExceeded", "Max spot instance count exceeded"))
	}
	if s.faults.Capacity != nil {
		limit(*s.faults.Capacity, fault(http.StatusInternalServerError, "InsufficientInstanceCapacity",
			"We currently do not have sufficient %s capacity in the Availability Zone you requested (%s). Our system will be working on provisioning additional capacity.", sp.instanceType, sp.zone))
	}
	if count < smallest {
		return 0, why
	}
	if !s.starts.take(float64(count), now) {
		return 0, fault(http.StatusServiceUnavailable, "RequestLimitExceeded", "Request limit exceeded.")
	}
	if s.faults.Capacity != nil {
		*s.faults.Capacity -= count
	}
	return count, nil
}

type xmlReservation struct {
	ID        string           `xml:"reservationId"`
	Owner     string           `xml:"ownerId"`
	Groups    set[xmlGroupRef] `xml:"groupSet"`
	Instances set[xmlInstance] `xml:"instancesSet"`
}

func (s *Server) reservationAnswer(id string, instances set[xmlInstance]) answer {
	return answer{
		{"reservationId", id},
		{"ownerId", s.opt.Account},
		{"groupSet", set[xmlGroupRef]{}},
		{"instancesSet", instances},
	}
}
