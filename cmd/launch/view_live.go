package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"golang.org/x/term"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/state"
)

// liveView redraws a tree of levels and services while a command works, and
// leaves the explanation of failures and the summary on the screen.
type liveView struct {
	stdout io.Writer
	tty    *os.File
	began  time.Time
	fails  []*engine.Failure // in the order in which they happened
	notes  []string

	model   *liveModel
	program *tea.Program
	done    sync.WaitGroup
}

// isTerminal says whether progress can be a live tree there.
func isTerminal(w io.Writer) (*os.File, bool) {
	f, ok := w.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" && os.Getenv("CI") == ""
}

func newLiveView(stdout io.Writer, tty *os.File) *liveView {
	return &liveView{stdout: stdout, tty: tty, began: time.Now()}
}

func (v *liveView) begin(run state.Run, tree *plan.Tree) {
	fmt.Fprintf(v.stdout, "run %s\n", run.Name)
	width, height, err := term.GetSize(int(v.tty.Fd()))
	if err != nil {
		width, height = 80, 24
	}
	v.model = newLiveModel(run, tree, v.began)
	v.program = tea.NewProgram(v.model,
		tea.WithOutput(v.tty), tea.WithInput(nil), tea.WithoutSignalHandler(), tea.WithWindowSize(width, height))
	v.done.Go(func() {
		if _, err := v.program.Run(); err != nil {
			fmt.Fprintln(v.tty, "launch: the live view ended:", err)
		}
	})
}

func (v *liveView) event(e engine.Event) {
	switch {
	case e.Type == engine.EventNote:
		v.notes = append(v.notes, strings.TrimPrefix(e.Service+": "+e.Text, ": "))
	case e.Failure != nil:
		v.fails = append(v.fails, e.Failure)
	}
	if v.program != nil {
		v.program.Send(e)
	}
}

func (v *liveView) end(summary engine.Summary, err error) {
	v.close()
	if v.model != nil {
		for _, l := range v.model.levels {
			fmt.Fprintf(v.tty, "%s\n", v.model.level(l))
		}
	}
	for _, note := range v.notes {
		fmt.Fprintf(v.tty, "%s\n", note)
	}
	for _, f := range v.fails {
		fmt.Fprintf(v.tty, "%s failed\n", f.Service)
		writeFailure(v.tty, f)
	}
	fmt.Fprintf(v.stdout, "%s\n", summaryLine(summary, time.Since(v.began)))
	if err == nil && summary.Status == state.RunReady {
		writeOutputs(v.stdout, summary.Outputs)
	}
}

func (v *liveView) tellsFailures() bool { return true }

func (v *liveView) close() {
	if v.program != nil {
		v.program.Send(finished{})
		v.done.Wait()
		v.program = nil
	}
}

// redraw is how often elapsed times move on.
const redraw = 100 * time.Millisecond

type tick time.Time

// finished takes the tree from the screen.
type finished struct{}

func nextTick() tea.Cmd { return tea.Tick(redraw, func(t time.Time) tea.Msg { return tick(t) }) }

// liveModel is what the tree shows.
type liveModel struct {
	run           string
	began         time.Time
	width, height int
	color         bool
	levels        []*liveLevel
	byName        map[string]*liveLevel
	finished      bool
}

type liveLevel struct {
	name     string
	size     int
	counts   map[state.Status]int
	services map[string]*liveService // that are under way, or failed
	order    []string                // of services, as they turned up
}

type liveService struct {
	status state.Status
	since  time.Time
	text   string // why it failed, or the last line of its output
}

func newLiveModel(run state.Run, tree *plan.Tree, began time.Time) *liveModel {
	m := &liveModel{run: run.Name, began: began, color: os.Getenv("NO_COLOR") == "", byName: map[string]*liveLevel{}}
	for _, lv := range tree.Levels {
		if lv.Group {
			continue
		}
		l := &liveLevel{name: lv.Name, size: len(lv.Services), counts: map[state.Status]int{}, services: map[string]*liveService{}}
		m.levels = append(m.levels, l)
		m.byName[lv.Name] = l
	}
	return m
}

// Init implements tea.Model.
func (m *liveModel) Init() tea.Cmd { return nextTick() }

// Update implements tea.Model.
func (m *liveModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tick:
		return m, nextTick()
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case engine.Event:
		m.take(msg)
	case finished:
		m.finished = true
		return m, tea.Quit
	}
	return m, nil
}

func (m *liveModel) take(e engine.Event) {
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
		status := state.Status(e.Status)
		if svc == nil {
			svc = &liveService{since: e.At}
			l.services[e.Service] = svc
			l.order = append(l.order, e.Service)
		} else {
			l.counts[svc.status]--
		}
		svc.status, svc.text = status, ""
		if e.Failure != nil {
			svc.text = e.Failure.Phase + ": " + e.Failure.Reason
		}
		l.counts[status]++
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

// View implements tea.Model. What does not fit the screen is counted, the levels that are done first.
func (m *liveModel) View() tea.View {
	if m.finished {
		return tea.NewView("")
	}
	lines := []string{fmt.Sprintf("%s  %s", m.run, short(time.Since(m.began)))}
	for _, l := range m.levels {
		lines = append(lines, m.level(l))
		for _, name := range l.order {
			if svc := l.services[name]; !settled(svc.status) {
				lines = append(lines, m.service(name, svc))
			}
		}
	}
	if over := len(lines) - max(m.height-1, 5); m.height > 0 && over > 0 {
		lines = append(lines[:len(lines)-over-1], m.paint(faint, fmt.Sprintf("… %d more lines", over+1)))
	}
	for i := range lines {
		if m.width > 0 {
			lines[i] = lipgloss.NewStyle().MaxWidth(m.width).Render(lines[i])
		}
	}
	return tea.NewView(strings.Join(lines, "\n") + "\n")
}

func (m *liveModel) level(l *liveLevel) string {
	done := l.counts[state.Ready] + l.counts[state.Terminated]
	mark, style := "·", faint
	switch {
	case l.counts[state.Failed] > 0:
		mark, style = "✗", bad
	case done == l.size && l.size > 0:
		mark, style = "✓", good
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
		line += m.paint(faint, "  "+strings.ReplaceAll(svc.text, "\n", " "))
	}
	return line
}
