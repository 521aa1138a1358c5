package ssh

import (
	"fmt"
	"strconv"
	"time"

	"github.com/launchplan/launch/runners"
)

// A standing is a program's State with what only this package needs to know.
type standing struct {
	runners.State
	record  record
	elapsed time.Duration // where Running: since the start, by the host's clock
	wrote   bool          // it wrote something
	left    bool          // the file to collect is there
}

// judge tells from what the host found how a program stands.
func (m *machine) judge(id runners.ID, user string, ans answer) (standing, error) {
	s := standing{}
	if ans.is("none") {
		s.Phase = runners.NotStarted
		return s, nil
	}
	if !ans.is("found") || len(ans.words) != 8 {
		return s, fmt.Errorf("look for %s on %s: %w", id, m.end, errWire)
	}
	lives, waits, boot, why := ans.words[1] == "1", ans.words[2] == "1", ans.words[3], ans.words[5]
	now, err := strconv.ParseInt(ans.words[4], 10, 64)
	if err != nil {
		return s, fmt.Errorf("look for %s on %s: %w", id, m.end, errWire)
	}
	s.wrote, s.left = ans.words[6] == "1", ans.words[7] == "1"
	file := func(name string, err error) error {
		return fmt.Errorf("the record of %s on %s, %s=%s, is damaged: %w", id, m.end, m.prefix(id, user), name, err)
	}
	var begun bool
	if s.record, begun, err = parseRecord(string(ans.parts["began"])); err != nil {
		return s, file("began", err)
	}
	end, ended, err := parseEnding(string(ans.parts["ended"]))
	if err != nil {
		return s, file("ended", err)
	}
	s.elapsed = max(0, centi(now)-s.record.start)
	lost := func(reason string) {
		s.Result = s.record.result(ending{at: s.record.start + s.elapsed}, why)
		if s.Result.Outcome == runners.Exited {
			s.Result = runners.Result{Outcome: runners.Lost, Reason: reason, Started: s.record.stamp, Ended: time.Now()}
		}
	}
	s.Phase = runners.Ended
	switch {
	case begun && ended:
		s.Result = s.record.result(end, why)
	case !begun:
		lost(fmt.Sprintf("%s went down, or its disk was full, in the instant in which the program was started", m.end))
	case s.record.boot != boot:
		lost(fmt.Sprintf("%s was rebooted while it ran", m.end))
	case lives || waits:
		s.Phase, s.PID = runners.Running, s.record.pid
	default:
		lost(fmt.Sprintf("the process that waited for it on %s was killed, and how it ended is not known", m.end))
	}
	return s, nil
}
