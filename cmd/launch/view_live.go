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
