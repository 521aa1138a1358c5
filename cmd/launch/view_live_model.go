package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/state"
)

// liveModel is what the tree shows.
type liveModel struct {
	run         string
	began       time.Time
	interrupted <-chan struct{}
	color       bool
	ending      bool // the run is being terminated
	levels      []*liveLevel
	byName      map[string]*liveLevel
}

type liveLevel struct {
	name     string
	size     int
	counts   map[state.Status]int
	services map[string]*liveService
	order    []string // of services, as they turned up
}

type liveService struct {
	counted  bool // it is of the plan: not one that a reload ends
	turnedUp bool
	status   state.Status
	since    time.Time
	text     string // why it failed, or the last line of its output, or of what is told of it
}

func newLiveModel(run state.Run, tree *plan.Tree, statuses map[string]state.Status, began time.Time, interrupted <-chan struct{}) *liveModel {
	m := &liveModel{run: run.Name, began: began, interrupted: interrupted, color: os.Getenv("NO_COLOR") == "", byName: map[string]*liveLevel{}}
	for _, lv := range tree.Levels {
		if lv.Group {
			continue
		}
		l := newLiveLevel(lv, statuses)
		m.levels = append(m.levels, l)
		m.byName[lv.Name] = l
	}
	m.follow(run.Status)
	return m
}

func newLiveLevel(lv *plan.Level, statuses map[string]state.Status) *liveLevel {
	l := &liveLevel{name: lv.Name, size: len(lv.Services), counts: map[state.Status]int{}, services: map[string]*liveService{}}
	for _, svc := range lv.Services {
		status, known := statuses[svc.Address]
		if !known {
			status = state.Pending
		}
		l.services[svc.Address] = &liveService{counted: true, status: status}
		l.counts[status]++
	}
	return l
}

func (m *liveModel) isInterrupted() bool {
	select {
	case <-m.interrupted:
		return true
	default:
		return false
	}
}

// follow takes in how the run is: what is done is what is up, or else what is ended.
func (m *liveModel) follow(status state.RunStatus) {
	m.ending = status == state.RunTerminating || status == state.RunTerminated
}

// take takes in an event.
func (m *liveModel) take(e engine.Event) {
	switch e.Type {
	case engine.EventRun:
		m.follow(state.RunStatus(e.Status))
	case engine.EventNote: // it does not say of which level its service is
		for _, l := range m.levels {
			if svc := l.services[e.Service]; svc != nil && svc.status != state.Failed {
				svc.text = e.Text
			}
		}
	case engine.EventOutput:
		if l := m.byName[e.Level]; l != nil && l.services[e.Service] != nil {
			l.services[e.Service].text = e.Text
		}
	case engine.EventService:
		if l := m.byName[e.Level]; l != nil {
			l.take(e)
		}
	}
}

// take takes in where a service of the level stands now.
func (l *liveLevel) take(e engine.Event) {
	svc := l.services[e.Service]
	if svc == nil {
		svc = &liveService{}
		l.services[e.Service] = svc
	}
	if !svc.turnedUp {
		svc.turnedUp, svc.since = true, e.At
		l.order = append(l.order, e.Service)
	}
	status := state.Status(e.Status)
	if svc.counted {
		l.counts[svc.status]--
		l.counts[status]++
	}
	svc.status, svc.text = status, ""
	if e.Failure != nil {
		svc.text = e.Failure.Phase + ": " + e.Failure.Reason
	}
}

// settled says whether nothing more is expected of a service in this status.
func settled(status state.Status) bool {
	switch status {
	case state.Ready, state.Terminated, state.Skipped, state.Pending:
		return true
	}
	return false
}

// Colors of the terminal's own palette.
const (
	good  = "2"
	bad   = "1"
	busy  = "3"
	faint = ""
)

func (m *liveModel) paint(color, text string) string {
	switch {
	case !m.color:
		return text
	case color == faint:
		return lipgloss.NewStyle().Faint(true).Render(text)
	}
	return lipgloss.NewStyle().Foreground(lipgloss.Color(color)).Render(text)
}

// lines are the tree, cut to a terminal's size. What does not fit is counted.
func (m *liveModel) lines(width, height int) []string {
	lines := []string{fmt.Sprintf("%s  %s", m.run, short(time.Since(m.began)))}
	if m.isInterrupted() {
		lines = append(lines, m.paint(bad, interruptedText))
	}
	for _, l := range m.levels {
		lines = append(lines, m.level(l))
		for _, name := range l.order {
			if svc := l.services[name]; !settled(svc.status) {
				lines = append(lines, m.service(name, svc))
			}
		}
	}
	// One row for the cursor, one for the line of an interrupt: what leaves the screen at its top cannot be erased.
	if room := max(height-2, 1); len(lines) > room {
		lines = append(lines[:room-1], m.paint(faint, fmt.Sprintf("… %d more lines", len(lines)-room+1)))
	}
	for i := range lines {
		lines[i] = lipgloss.NewStyle().MaxWidth(width).Render(lines[i])
	}
	return lines
}

func (m *liveModel) level(l *liveLevel) string {
	done := l.counts[state.Ready]
	if m.ending {
		done = l.counts[state.Terminated]
	}
	mark, style := "·", faint
	switch {
	case l.counts[state.Failed] > 0:
		mark, style = "✗", bad
	case done == l.size && l.size > 0:
		mark, style = "✓", good
	case l.counts[state.Skipped] == l.size && l.size > 0:
		mark = "–"
	case len(l.order) > 0:
		mark, style = "▸", busy
	}
	text := fmt.Sprintf("%s %s", m.paint(style, mark), l.name)
	text += m.paint(faint, fmt.Sprintf("  %d/%d", done, l.size))
	if n := l.counts[state.Skipped]; n > 0 {
		text += m.paint(faint, fmt.Sprintf(", %d skipped", n))
	}
	return text
}

func (m *liveModel) service(name string, svc *liveService) string {
	style := busy
	if svc.status == state.Failed {
		style = bad
	}
	line := fmt.Sprintf("    %s %s", name, m.paint(style, string(svc.status)))
	if svc.status != state.Failed {
		line += " " + short(time.Since(svc.since))
	}
	if svc.text != "" {
		line += m.paint(faint, "  "+strings.ReplaceAll(engine.Escape(svc.text), "\n", " "))
	}
	return line
}
