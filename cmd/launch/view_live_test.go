package main

import (
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
	m := newLiveModel(state.Run{Name: "r"}, &plan.Tree{Levels: []*plan.Level{level}}, time.Now(), nil)
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
	m := newLiveModel(state.Run{Name: "r"}, &plan.Tree{}, time.Now(), interrupted)
	if tree := strings.Join(m.lines(200, 50), "\n"); strings.Contains(tree, interruptedText) {
		t.Errorf("before an interrupt the tree is\n%s", tree)
	}
	close(interrupted)
	if tree := strings.Join(m.lines(200, 50), "\n"); !strings.Contains(tree, interruptedText) {
		t.Errorf("after an interrupt the tree is\n%s", tree)
	}
}
