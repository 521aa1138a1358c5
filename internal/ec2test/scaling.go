package ec2test

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// A scalingGroup is an Auto Scaling group: it keeps itself at desired.
type scalingGroup struct {
	name                    string
	smallest, largest, want int
	template                *launchTemplate
	subnets, health         string
	created                 time.Time
	tags                    map[string]string
	propagate               map[string]bool
	deleting                bool
	instances               []*instance // those that it still counts or is ending
	activities              []xmlActivity
	failed                  string // why the last start failed; no activity is added for the same again
}

// scalingPeriod is how often groups look by themselves; everything that
// happens here makes them look at once. Only instances that come to their end
// by the clock are noticed by it, and starts that failed are tried again.
const scalingPeriod = 100 * time.Millisecond

func (s *Server) scalingChanged() {
	select {
	case s.kickScale <- struct{}{}:
	default:
	}
}

// keepScalingGroups brings groups to their size until the endpoint closes.
func (s *Server) keepScalingGroups() {
	tick := time.NewTicker(scalingPeriod)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.kickScale:
		case <-tick.C:
		}
		s.mu.Lock()
		for _, name := range slices.Sorted(maps.Keys(s.groups)) {
			s.keep(s.groups[name], time.Now())
		}
		s.mu.Unlock()
	}
}

// keep makes one group what it should be.
func (s *Server) keep(g *scalingGroup, now time.Time) {
	var alive []*instance
	g.instances = slices.DeleteFunc(g.instances, func(i *instance) bool { return i.state(now) == stateGone })
	for _, i := range g.instances {
		if i.impaired {
			s.end(i, stateReason{"Client.UserInitiatedShutdown", "taken out of service in response to an EC2 instance status checks failure"}, now)
			g.log(now, "Terminating EC2 instance: "+i.id, "Successful", "")
		}
		if i.endedAt.IsZero() {
			alive = append(alive, i)
		}
	}
	want := g.want
	if g.deleting {
		want = 0
	}
	for n := len(alive); n > want; n-- { // the oldest go first
		s.end(alive[len(alive)-n], stateReason{"Client.UserInitiatedShutdown", "terminated by its Auto Scaling group"}, now)
		g.log(now, "Terminating EC2 instance: "+alive[len(alive)-n].id, "Successful", "")
	}
	if g.deleting {
		if len(g.instances) == 0 {
			delete(s.groups, g.name)
		}
		return
	}
	if missing := want - len(alive); missing > 0 {
		s.startForGroup(g, missing, now)
	}
}

func (s *Server) startForGroup(g *scalingGroup, n int, now time.Time) {
	count, err := s.allowed(g.template.spec, 1, n, now)
	if err != nil {
		if err.Error() != g.failed {
			g.failed = err.Error()
			g.log(now, "Launching a new EC2 instance.  Status Reason: "+err.Error(), "Failed", err.Error())
		}
		return
	}
	g.failed = ""
	sp := g.template.spec
	sp.tags = maps.Clone(sp.tags)
	for k, v := range g.tags {
		if g.propagate[k] {
			sp.tags[k] = v
		}
	}
	sp.tags["aws:autoscaling:groupName"] = g.name
	_, started := s.startAll(sp, "", count, now)
	for _, i := range started {
		i.scaling = g
		g.instances = append(g.instances, i)
		g.log(now, "Launching a new EC2 instance: "+i.id, "Successful", "")
	}
}

func (g *scalingGroup) log(now time.Time, description, status, message string) {
	progress := 100
	g.activities = append([]xmlActivity{{
		ID: fmt.Sprintf("activity-%s-%d", g.name, len(g.activities)+1), Group: g.name,
		Description: description, Cause: "the group is kept at its desired capacity",
		Start: timestamp(now), End: timestamp(now), Status: status, Message: message, Progress: progress,
	}}, g.activities...)
}

type xmlActivity struct {
	ID          string `xml:"ActivityId"`
	Group       string `xml:"AutoScalingGroupName"`
	Description string `xml:"Description"`
	Cause       string `xml:"Cause"`
	Start       string `xml:"StartTime"`
	End         string `xml:"EndTime"`
	Status      string `xml:"StatusCode"`
	Message     string `xml:"StatusMessage,omitempty"`
	Progress    int    `xml:"Progress"`
}
