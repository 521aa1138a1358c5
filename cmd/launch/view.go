package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/state"
)

// A view shows what a command does with a run while it does it.
type view interface {
	begin(s *engine.Session, tree *plan.Tree) // tree is what the run becomes
	event(e engine.Event)                     // called from one goroutine
	end(summary engine.Summary, err error)
	close()
}

// newView chooses: JSON lines, a live tree on a terminal, plain lines elsewhere.
func newView(ctx context.Context, asJSON bool, stdout, stderr io.Writer) view {
	if asJSON {
		return &jsonView{enc: json.NewEncoder(stdout)}
	}
	if tty, ok := isTerminal(stderr); ok {
		return newLiveView(ctx, stdout, tty)
	}
	return newPlainView(stdout, stderr)
}

// jsonView writes one event a line, the last one being the summary.
type jsonView struct {
	mu  sync.Mutex
	enc *json.Encoder
}

func (v *jsonView) begin(s *engine.Session, _ *plan.Tree) {
	run := s.Run()
	v.event(engine.Event{Type: engine.EventRun, At: time.Now(), Run: run.Name, Status: string(run.Status)})
}

func (v *jsonView) event(e engine.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	e.At = e.At.UTC()
	v.enc.Encode(e)
}

// summaryJSON is the last line.
type summaryJSON struct {
	Type string `json:"type"`
	engine.Summary
	Error string `json:"error,omitempty"`
}

func (v *jsonView) end(summary engine.Summary, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	line := summaryJSON{Type: "summary", Summary: summary}
	if err != nil {
		line.Error = err.Error()
	}
	v.enc.Encode(line)
}

func (v *jsonView) close() {}

// plainView writes a line for each thing worth knowing: the run's name and its outcome are results,
// the rest is progress.
type plainView struct {
	stdout, stderr io.Writer
	began          time.Time
	since          map[string]time.Time // of services under way
	slow           map[string]time.Time // when a line of a slow program's output was last shown
}

// slowEvery bounds how often a slow program's output makes a line.
const slowEvery = 10 * time.Second

func newPlainView(stdout, stderr io.Writer) *plainView {
	return &plainView{stdout: stdout, stderr: stderr, began: time.Now(), since: map[string]time.Time{}, slow: map[string]time.Time{}}
}

func (v *plainView) begin(s *engine.Session, _ *plan.Tree) {
	fmt.Fprintf(v.stdout, "run %s\n", s.Run().Name)
}

func (v *plainView) event(e engine.Event) {
	switch e.Type {
	case engine.EventService:
		v.service(e)
	case engine.EventNote:
		v.line("%s", noteText(e))
	case engine.EventOutput:
		if time.Since(v.slow[e.Service]) >= slowEvery {
			v.slow[e.Service] = time.Now()
			v.line("%s | %s", e.Service, e.Text)
		}
	}
}

// noteText says what a note is about, unless that is the run.
func noteText(e engine.Event) string {
	if e.Service == "" {
		return e.Text
	}
	return e.Service + ": " + e.Text
}

func (v *plainView) service(e engine.Event) {
	began, under := v.since[e.Service]
	switch state.Status(e.Status) {
	case state.Ready, state.Terminated:
		delete(v.since, e.Service)
		if under {
			v.line("%s %s (%s)", e.Service, e.Status, short(e.At.Sub(began)))
		}
	case state.Failed:
		delete(v.since, e.Service)
		v.line("%s failed", e.Service)
		if e.Failure != nil {
			writeFailure(v.stderr, e.Failure)
		}
	case state.Skipped:
		v.line("%s skipped: %s", e.Service, e.Text)
	case state.Pending:
	default:
		if !under {
			v.since[e.Service] = e.At
		}
	}
}

// line writes progress with the time since the command began.
func (v *plainView) line(format string, args ...any) {
	fmt.Fprintf(v.stderr, "%7.2fs  %s\n", time.Since(v.began).Seconds(), fmt.Sprintf(format, args...))
}

func (v *plainView) end(summary engine.Summary, err error) {
	fmt.Fprintf(v.stdout, "%s\n", summaryLine(summary, time.Since(v.began)))
	if err == nil && summary.Status == state.RunReady {
		writeOutputs(v.stdout, summary.Outputs)
	}
}

func (v *plainView) close() {}

// summaryLine is a run's outcome in a line: "run shop is ready: 12 services ready in 1.2s".
func summaryLine(s engine.Summary, took time.Duration) string {
	if s.Unrecorded {
		return fmt.Sprintf("run %s: the state store broke, so what came of it is not all recorded; `launch status %s` tells what is (%s)", s.Run, s.Run, short(took))
	}
	var parts []string
	for _, st := range statusOrder {
		if n := s.Services[st]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, st))
		}
	}
	text := fmt.Sprintf("run %s is %s", s.Run, s.Status)
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	return text + " (" + short(took) + ")"
}

// statusOrder is how counts of services are listed.
var statusOrder = [...]state.Status{
	state.Ready, state.Failed, state.Provisioning, state.Connecting, state.Booting, state.Verifying,
	state.Pending, state.Skipped, state.Terminating, state.Terminated,
}

// writeFailure explains a failure in an indented block.
func writeFailure(w io.Writer, f *engine.Failure) {
	fmt.Fprintf(w, "          %s: %s\n", f.Phase, indentRest(f.Reason, 10))
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "            %-8s %s\n", name, indentRest(value, 21))
		}
	}
	field("host", f.Host)
	field("command", f.Command)
	field("plan", f.Source)
	field("log", f.Log)
	for _, line := range f.Tail {
		fmt.Fprintf(w, "            | %s\n", line)
	}
	field("hint", f.Hint)
}

// indentRest indents all but the first line of a text.
func indentRest(text string, by int) string {
	return strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", by))
}

// short shows a duration as people read it.
func short(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.2fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}
