package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/state"
)

// What is told of a service stands beside it while it waits, and no longer.
func TestTreeTellsNotes(t *testing.T) {
	level := &plan.Level{Name: "storage", Services: []*plan.Service{{}}}
	m := newLiveModel(state.Run{Name: "r"}, &plan.Tree{Levels: []*plan.Level{level}}, nil, time.Now(), nil)
	service := func(status state.Status) {
		m.take(engine.Event{Type: engine.EventService, Level: "storage", Service: "storage.database", Status: string(status), At: time.Now()})
	}
	const why = "waiting for 10.0.0.5 to answer: connection refused"
	service(state.Connecting)
	m.take(engine.Event{Type: engine.EventNote, Service: "storage.database", Text: why})
	if tree := strings.Join(m.lines(200, 50), "\n"); !strings.Contains(tree, why) {
		t.Errorf("the tree is\n%s\nwithout %q", tree, why)
	}
	service(state.Booting)
	if tree := strings.Join(m.lines(200, 50), "\n"); strings.Contains(tree, why) {
		t.Errorf("the tree of a service that waits no more is\n%s", tree)
	}
}

// The tree stays true after an interrupt, and says what another one would do.
func TestTreeTellsInterrupt(t *testing.T) {
	interrupted := make(chan struct{})
	m := newLiveModel(state.Run{Name: "r"}, &plan.Tree{}, nil, time.Now(), interrupted)
	if tree := strings.Join(m.lines(200, 50), "\n"); strings.Contains(tree, interruptedText) {
		t.Errorf("before an interrupt the tree is\n%s", tree)
	}
	close(interrupted)
	if tree := strings.Join(m.lines(200, 50), "\n"); !strings.Contains(tree, interruptedText) {
		t.Errorf("after an interrupt the tree is\n%s", tree)
	}
}

// The tree stays smaller than the terminal, since what has left it at its top cannot be erased.
func TestTreeFitsTheTerminal(t *testing.T) {
	tree := &plan.Tree{}
	for _, name := range []string{"one", "two", "three", "four", "five", "six"} {
		tree.Levels = append(tree.Levels, &plan.Level{Name: name})
	}
	m := newLiveModel(state.Run{Name: "r"}, tree, nil, time.Now(), nil)
	for height := 1; height < 12; height++ {
		lines := m.lines(20, height)
		if len(lines) > max(1, height-2) {
			t.Errorf("in %d rows the tree has %d lines", height, len(lines))
		}
		if last := lines[len(lines)-1]; len(lines) < 7 && !strings.Contains(last, fmt.Sprintf("… %d more", 7-len(lines)+1)) {
			t.Errorf("in %d rows the tree ends with %q", height, last)
		}
	}
}

// A text that a program had a say in does not draw.
func TestTreeEscapes(t *testing.T) {
	m := newLiveModel(state.Run{Name: "r"}, &plan.Tree{Levels: []*plan.Level{{Name: "a", Services: []*plan.Service{{}}}}}, nil, time.Now(), nil)
	m.take(engine.Event{Type: engine.EventService, Level: "a", Service: "a.s", Status: string(state.Failed), Failure: &engine.Failure{Phase: "boot", Reason: "x\x1b[2J\ny"}})
	if tree := strings.Join(m.lines(200, 50), "\n"); !strings.Contains(tree, `x\u001b[2J y`) {
		t.Errorf("the tree is\n%s", tree)
	}
}

// What the terminal and main write under the tree at an interrupt goes with it, also where the command ends before the
// tree is drawn again.
func TestEraseAfterInterrupt(t *testing.T) {
	tty, err := os.Create(filepath.Join(t.TempDir(), "tty"))
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	v := newLiveView(ctx, tty, tty)
	v.model = newLiveModel(state.Run{Name: "r"}, &plan.Tree{Levels: []*plan.Level{{Name: "a"}}}, nil, time.Now(), v.interrupted)
	v.draw()
	interrupt()
	v.erase()
	written, err := os.ReadFile(tty.Name())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(written), "\x1b[3A\x1b[J") { // two lines of the tree, one of the interrupt
		t.Errorf("it ends with %.30q", written[max(0, len(written)-30):])
	}
}

func TestRowsOfALine(t *testing.T) {
	for _, c := range []struct {
		line  string
		width int
		want  int
	}{
		{"", 80, 1}, {"12345", 5, 1}, {"123456", 5, 2}, {"\x1b[31m12345\x1b[m", 5, 1}, {"日本語", 5, 2},
	} {
		if got := rowsOf(c.line, c.width); got != c.want {
			t.Errorf("%q takes %d rows of %d columns, not %d", c.line, got, c.width, c.want)
		}
	}
}

// The tree begins with how the run is, and counts what its plan has.
func TestTreeCounts(t *testing.T) {
	level := &plan.Level{Name: "web", Services: []*plan.Service{{Address: "web.a"}, {Address: "web.b"}, {Address: "web.new"}}}
	statuses := map[string]state.Status{"web.a": state.Ready, "web.b": state.Ready, "web.former": state.Ready}
	m := newLiveModel(state.Run{Name: "r", Status: state.RunReady}, &plan.Tree{Levels: []*plan.Level{level}}, statuses, time.Now(), nil)
	m.color = false
	service := func(name string, status state.Status) {
		m.take(engine.Event{Type: engine.EventService, Level: "web", Service: name, Status: string(status), At: time.Now()})
	}
	want := func(text string) {
		t.Helper()
		if tree := strings.Join(m.lines(200, 50), "\n"); !strings.Contains(tree, text) {
			t.Errorf("the tree is\n%s\nwithout %q", tree, text)
		}
	}
	want("web  2/3")
	service("web.former", state.Terminating)
	want("web.former terminating")
	service("web.former", state.Terminated)
	service("web.a", state.Terminated)
	want("web  1/3")
	service("web.a", state.Booting)
	service("web.a", state.Ready)
	service("web.new", state.Ready)
	want("web  3/3")
	m.take(engine.Event{Type: engine.EventRun, Status: string(state.RunTerminating)})
	want("web  0/3")
	service("web.b", state.Terminated)
	want("web  1/3")
}
