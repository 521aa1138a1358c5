package ec2test

import (
	"encoding/base64"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

func (s *Server) describeInstances(p params) (answer, error) {
	now := time.Now()
	ids := p.list("InstanceId")
	if len(ids) > 0 && p.has("MaxResults") {
		return nil, fault(http.StatusBadRequest, "InvalidParameterCombination", "The parameter instancesSet cannot be used with the parameter maxResults")
	}
	matching, err := s.selected(ids, p, now)
	if err != nil {
		return nil, err
	}
	from, to, next, err := p.page("MaxResults", len(matching), 5, 1000)
	if err != nil {
		return nil, err
	}
	var out set[xmlReservation]
	for _, i := range matching[from:to] {
		n := len(out.Items)
		if n == 0 || out.Items[n-1].ID != i.reservation {
			out.Items = append(out.Items, xmlReservation{ID: i.reservation, Owner: s.opt.Account})
			n++
		}
		list := &out.Items[n-1].Instances
		list.Items = append(list.Items, s.describe(i, now))
	}
	return withNext(answer{{"reservationSet", out}}, next), nil
}

func withNext(a answer, next string) answer {
	if next != "" {
		a = append(a, field{"nextToken", next})
	}
	return a
}

// selected are the instances that a call names or that its filters match.
func (s *Server) selected(ids []string, p params, now time.Time) ([]*instance, error) {
	var unknown []string
	for _, id := range ids {
		if _, err := s.find(id, now); err != nil {
			unknown = append(unknown, id)
		}
	}
	switch {
	case len(unknown) == 1:
		return nil, unknownInstance(unknown[0])
	case len(unknown) > 1:
		return nil, fault(http.StatusBadRequest, "InvalidInstanceID.NotFound", "The instance IDs '%s' do not exist", strings.Join(unknown, ", "))
	}
	wanted := map[string]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	filters, err := s.parseFilters(p)
	if err != nil {
		return nil, err
	}
	var out []*instance
	for _, i := range s.order {
		if s.hidden(i, now) || len(ids) > 0 && !wanted[i.id] {
			continue
		}
		ok, err := filters.match(func(name string) ([]string, bool) { return s.attribute(i, name, now) })
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, i)
		}
	}
	return out, nil
}

// attribute is what a filter of a name compares with.
func (s *Server) attribute(i *instance, name string, now time.Time) ([]string, bool) {
	if values, ok := s.tagAttribute(i.tags, name, now); ok {
		return values, true
	}
	switch name {
	case "instance-id":
		return []string{i.id}, true
	case "instance-state-name":
		return []string{i.state(now).name}, true
	case "client-token":
		return []string{i.token}, true
	case "reservation-id":
		return []string{i.reservation}, true
	case "image-id":
		return []string{i.image}, true
	case "instance-type":
		return []string{i.instanceType}, true
	case "key-name":
		return []string{i.key}, true
	case "subnet-id", "network-interface.subnet-id":
		return []string{i.subnet}, true
	case "vpc-id":
		return []string{vpcID}, true
	case "availability-zone":
		return []string{i.zone}, true
	case "instance.group-id":
		return i.groups, true
	case "private-ip-address":
		return []string{i.private.String()}, true
	case "ip-address":
		return []string{i.public.String()}, true
	case "system-status.status", "instance-status.status": // of DescribeInstanceStatus
		return []string{i.check(now)}, true
	}
	return nil, false
}

type filter struct {
	name   string
	values []string
}

type filters []filter

func (s *Server) parseFilters(p params) (filters, error) {
	var out filters
	for _, f := range p.structs("Filter") {
		if slices.Contains(s.faults.UnknownFilters, f.str("Name")) {
			return nil, &htmlPage{http.StatusInternalServerError, "<!doctype html>\n<html lang=en>\n<title>500 Internal Server Error</title>\n<h1>Internal Server Error</h1>\n<p>The server has an error.</p>\n"}
		}
		values := f.list("Value")
		if len(values) == 0 {
			return nil, badValue("The filter '%s' requires at least one value", f.str("Name"))
		}
		if len(values) > 200 {
			return nil, fault(http.StatusBadRequest, "FilterLimitExceeded", "The maximum number of filter values specified on a single call is 200")
		}
		if slices.Contains(s.faults.BlindFilters, f.str("Name")) {
			values = nil
		}
		out = append(out, filter{f.str("Name"), values})
	}
	if s.faults.IgnoreFilters {
		return nil, nil
	}
	return out, nil
}

// match holds where each filter has a value that one of the attribute's
// matches; * and ? are wildcards.
func (fs filters) match(attribute func(name string) ([]string, bool)) (bool, error) {
	for _, f := range fs {
		have, known := attribute(f.name)
		if !known {
			return false, badValue("The filter '%s' is invalid", f.name)
		}
		hit := slices.ContainsFunc(have, func(h string) bool {
			return slices.ContainsFunc(f.values, func(pattern string) bool {
				if !strings.ContainsAny(pattern, "*?") {
					return pattern == h
				}
				// path.Match knows no / in *; what a tag says may have some.
				ok, _ := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), strings.ReplaceAll(h, "/", "\x00"))
				return ok
			})
		})
		if !hit {
			return false, nil
		}
	}
	return true, nil
}

type xmlStatus struct {
	ID       string           `xml:"instanceId"`
	Zone     string           `xml:"availabilityZone"`
	State    xmlState         `xml:"instanceState"`
	System   xmlStatusSummary `xml:"systemStatus"`
	Instance xmlStatusSummary `xml:"instanceStatus"`
}

type xmlStatusSummary struct {
	Status  string                `xml:"status"`
	Details set[xmlStatusDetails] `xml:"details"`
}

type xmlStatusDetails struct {
	Name   string `xml:"name"`
	Status string `xml:"status"`
}

func (s *Server) describeInstanceStatus(p params) (answer, error) {
	now := time.Now()
	all, err := p.boolean("IncludeAllInstances", false)
	if err != nil {
		return nil, err
	}
	ids := p.list("InstanceId")
	if len(ids) > 0 && p.has("MaxResults") {
		return nil, fault(http.StatusBadRequest, "InvalidParameterCombination", "The parameter instancesSet cannot be used with the parameter maxResults")
	}
	matching, err := s.selected(ids, p, now)
	if err != nil {
		return nil, err
	}
	if !all {
		matching = slices.DeleteFunc(matching, func(i *instance) bool { return i.state(now) != stateRunning })
	}
	from, to, next, err := p.page("MaxResults", len(matching), 5, 1000)
	if err != nil {
		return nil, err
	}
	var out set[xmlStatus]
	for _, i := range matching[from:to] {
		st := i.state(now)
		sum := xmlStatusSummary{Status: i.check(now)}
		if detail := map[string]string{"ok": "passed", "impaired": "failed", "initializing": "initializing"}[sum.Status]; detail != "" {
			sum.Details.Items = []xmlStatusDetails{{"reachability", detail}}
		}
		out.Items = append(out.Items, xmlStatus{ID: i.id, Zone: i.zone, State: xmlState{Code: st.code, Name: st.name}, System: sum, Instance: sum})
	}
	return withNext(answer{{"instanceStatusSet", out}}, next), nil
}

// check is the outcome of the instance's status checks.
func (i *instance) check(now time.Time) string {
	switch {
	case i.state(now) != stateRunning:
		return "not-applicable"
	case i.impaired:
		return "impaired"
	case !i.machine.reachable():
		return "initializing"
	default:
		return "ok"
	}
}

type xmlStateChange struct {
	ID       string   `xml:"instanceId"`
	Current  xmlState `xml:"currentState"`
	Previous xmlState `xml:"previousState"`
}

// terminateInstances ends all instances that it is given or, where one id is
// wrong, none.
func (s *Server) terminateInstances(p params) (answer, error) {
	now := time.Now()
	ids := p.list("InstanceId")
	if len(ids) == 0 {
		return nil, missing("InstanceId")
	}
	if len(ids) > 1000 {
		return nil, badValue("The maximum number of instance IDs is 1000")
	}
	found, err := s.selected(ids, params{}, now)
	if err != nil {
		return nil, err
	}
	for _, i := range found {
		if s.faults.Unterminated && i.state(now) == stateGone {
			return nil, unknownInstance(i.id)
		}
	}
	var out set[xmlStateChange]
	for _, i := range found {
		before := i.state(now)
		s.end(i, stateReason{"Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown"}, now)
		after := i.state(now)
		out.Items = append(out.Items, xmlStateChange{i.id, xmlState{after.code, after.name}, xmlState{before.code, before.name}})
	}
	return answer{{"instancesSet", out}}, nil
}

func (s *Server) rebootInstances(p params) (answer, error) {
	now := time.Now()
	found, err := s.selected(p.list("InstanceId"), params{}, now)
	if err != nil {
		return nil, err
	}
	for _, i := range found {
		if i.state(now) == stateRunning {
			i.impaired = false
			i.machine.reboot(s.draw(s.opt.Boot))
		}
	}
	return answer{{"return", true}}, nil
}

func (s *Server) getConsoleOutput(p params) (answer, error) {
	i, err := s.find(p.str("InstanceId"), time.Now())
	if err != nil {
		return nil, err
	}
	latest, err := p.boolean("Latest", false)
	if err != nil {
		return nil, err
	}
	if latest && s.faults.NoLatest {
		return nil, fault(http.StatusBadRequest, "UnsupportedOperation", "This instance type does not support retrieving the latest console logs.")
	}
	var text string
	if i.machine != nil && !s.faults.NoConsole && (latest || !s.faults.OnlyLatest) {
		text = i.machine.console.String()
	}
	if !s.faults.PlainConsole {
		text = base64.StdEncoding.EncodeToString([]byte(text))
	}
	return answer{
		{"instanceId", i.id},
		{"timestamp", timestamp(time.Now())},
		{"output", text},
	}, nil
}
