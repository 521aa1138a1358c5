package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"charm.land/lipgloss/v2"
	"golang.org/x/term"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/state"
)

// liveView redraws a tree of levels and services while a command works, and
// leaves the levels, the explanation of failures and the summary on the screen.
type liveView struct {
	stdout      io.Writer
	tty         *os.File
	began       time.Time
	interrupted <-chan struct{}
	fails       []*engine.Failure // in the order in which they happened
	notes       []string

	mu    sync.Mutex
	model *liveModel // guarded by mu
	drawn []string   // the tree that is on the screen
	told  bool       // the line that main writes at an interrupt has been there, too
	stop  chan struct{}
	done  sync.WaitGroup
}

// isTerminal says whether progress can be a live tree there.
func isTerminal(w io.Writer) (*os.File, bool) {
	f, ok := terminalOf(w)
	return f, ok && os.Getenv("TERM") != "dumb" && os.Getenv("CI") == ""
}

func newLiveView(ctx context.Context, stdout io.Writer, tty *os.File) *liveView {
	return &liveView{stdout: stdout, tty: tty, began: time.Now(), interrupted: ctx.Done()}
}

func (v *liveView) begin(s *engine.Session, tree *plan.Tree) {
	run := s.Run()
	fmt.Fprintf(v.stdout, "run %s\n", run.Name)
	v.mu.Lock() // opening the run may have been an event
	v.model = newLiveModel(run, tree, s.Statuses(), v.began, v.interrupted)
	v.mu.Unlock()
	v.stop = make(chan struct{})
	v.done.Go(func() {
		for t := time.NewTicker(redraw); ; {
			select {
			case <-v.stop:
				t.Stop()
				return
			case <-t.C:
				v.draw()
			}
		}
	})
}

// draw puts the tree in the place of the one before. The size of the terminal is
// asked for each time: that is cheaper than to be told of its changes.
func (v *liveView) draw() {
	width, height := v.size()
	v.mu.Lock()
	lines := v.model.lines(width, height)
	v.mu.Unlock()
	v.erase()
	fmt.Fprint(v.tty, strings.Join(lines, "\n"), "\n")
	v.drawn = lines
}

func (v *liveView) size() (width, height int) {
	width, height, err := term.GetSize(int(v.tty.Fd()))
	if err != nil || width == 0 || height == 0 { // some terminals do not know
		return 80, 24
	}
	return width, height
}

// erase takes the tree from the screen, and with it what was written under it at an interrupt. A terminal that has
// become narrower has broken the lines.
func (v *liveView) erase() {
	width, _ := v.size()
	rows := 0
	for _, line := range v.drawn {
		rows += rowsOf(line, width)
	}
	if v.model.isInterrupted() && !v.told {
		v.told = true
		if rows > 0 {
			rows += rowsOf("^C"+interruptedLine, width)
		}
	}
	if rows > 0 {
		fmt.Fprintf(v.tty, "\x1b[%dA\x1b[J", rows) // so many rows up, and clear to the end
	}
	v.drawn = nil
}

// rowsOf is how many rows of a terminal a line takes.
func rowsOf(line string, width int) int {
	return max(1, (lipgloss.Width(line)+width-1)/width)
}

func (v *liveView) event(e engine.Event) {
	switch {
	case e.Type == engine.EventNote:
		v.notes = append(v.notes, noteText(e))
	case e.Failure != nil:
		v.fails = append(v.fails, e.Failure)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.model != nil {
		v.model.take(e)
	}
}

func (v *liveView) end(summary engine.Summary, err error) {
	v.close()
	if v.model != nil {
		for _, l := range v.model.levels {
			fmt.Fprintf(v.tty, "%s\n", v.model.level(l))
		}
	}
	told := &printer{w: v.tty}
	for _, note := range v.notes {
		fmt.Fprintf(told, "%s\n", note)
	}
	for _, f := range v.fails {
		fmt.Fprintf(told, "%s failed\n", f.Service)
		writeFailure(told, f)
	}
	fmt.Fprintf(v.stdout, "%s\n", summaryLine(summary, time.Since(v.began)))
	if err == nil && summary.Status == state.RunReady {
		writeOutputs(v.stdout, summary.Outputs)
	}
}

func (v *liveView) close() {
	if v.stop == nil {
		return
	}
	close(v.stop)
	v.done.Wait()
	v.stop = nil
	v.erase()
}

// redraw is how often the tree is drawn: as fast as people read.
const redraw = 100 * time.Millisecond

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
		l := &liveLevel{name: lv.Name, size: len(lv.Services), counts: map[state.Status]int{}, services: map[string]*liveService{}}
		for _, svc := range lv.Services {
			status, known := statuses[svc.Address]
			if !known {
				status = state.Pending
			}
			l.services[svc.Address] = &liveService{counted: true, status: status}
			l.counts[status]++
		}
		m.levels = append(m.levels, l)
		m.byName[lv.Name] = l
	}
	m.follow(run.Status)
	return m
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

func (m *liveModel) take(e engine.Event) {
	if e.Type == engine.EventRun {
		m.follow(state.RunStatus(e.Status))
		return
	}
	if e.Type == engine.EventNote { // it does not say of which level its service is
		for _, l := range m.levels {
			if svc := l.services[e.Service]; svc != nil && svc.status != state.Failed {
				svc.text = e.Text
			}
		}
		return
	}
	l := m.byName[e.Level]
	if l == nil {
		return
	}
	svc := l.services[e.Service]
	switch e.Type {
	case engine.EventOutput:
		if svc != nil {
			svc.text = e.Text
		}
	case engine.EventService:
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
