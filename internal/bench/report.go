package main

import (
	"fmt"
	"io"
	"time"
)

// A row is one line of the table. Ratio is what a baseline keeps: smaller is better.
type row struct {
	name    string
	figure  string
	against string
	ratio   float64
	goal    float64 // what ratio may be at most; 0: told, not judged
	alone   bool    // no ratio: nothing of this run to compare with, and no budget either

	// pace is set where the ratio is that of a duration to a fixed one, and so depends on the machine and the hour: what
	// an empty program takes at the same time, in milliseconds. A baseline keeps the ratio for each of those.
	pace float64
}

// kept is what a baseline keeps of the ratio.
func (x row) kept() float64 {
	if x.pace > 0 {
		return x.ratio / x.pace
	}
	return x.ratio
}

// report prints rows as they are measured: a run takes minutes.
type report struct {
	out  io.Writer
	rows []row
	pace float64 // of the machine now: see row
}

const layout = "%-44s %14s  %-42s %8s %8s  %s\n"

func (r *report) section(name string) {
	fmt.Fprintf(r.out, "\n"+layout, name, "figure", "against", "ratio", "goal", "")
}

func (r *report) add(x row) {
	ratio, goal, verdict := fmt.Sprintf("%.2f", x.ratio), "", ""
	if x.alone {
		ratio = ""
	}
	if x.goal > 0 {
		goal, verdict = fmt.Sprintf("<= %.2f", x.goal), "ok"
		if x.ratio > x.goal {
			verdict = "MISS"
		}
	}
	fmt.Fprintf(r.out, layout, x.name, x.figure, x.against, ratio, goal, verdict)
	r.rows = append(r.rows, x)
}

// compare adds a duration measured against another one.
func (r *report) compare(name string, ours time.Duration, what string, theirs time.Duration, goal float64) {
	r.add(row{name: name, figure: show(ours), against: what + " " + show(theirs), ratio: over(ours, theirs), goal: goal})
}

// budget adds a duration that has an absolute goal.
func (r *report) budget(name string, ours, most time.Duration) {
	x := within(name, ours, most)
	x.pace = r.pace
	r.add(x)
}

// amount adds a number that has an absolute goal.
func (r *report) amount(name string, ours float64, unit string, most float64) {
	r.add(row{
		name: name, figure: fmt.Sprintf("%.4g %s", ours, unit), against: fmt.Sprintf("a budget of %g", most),
		ratio: ours / most, goal: 1,
	})
}

// interval is budget for what timers make, on a fast machine as on a slow one.
func (r *report) interval(name string, ours, most time.Duration) {
	r.add(within(name, ours, most))
}

func within(name string, ours, most time.Duration) row {
	return row{name: name, figure: show(ours), against: "a budget of " + show(most), ratio: over(ours, most), goal: 1}
}

// tell adds a figure that stands alone.
func (r *report) tell(name, figure, note string) {
	r.add(row{name: name, figure: figure, against: note, alone: true})
}

// skip says what was not measured, and why.
func (r *report) skip(name, why string) {
	fmt.Fprintf(r.out, "%-44s skipped: %s\n", name, why)
}

func over(a, b time.Duration) float64 { return a.Seconds() / b.Seconds() }

func show(d time.Duration) string {
	switch {
	case d < 100*time.Microsecond:
		return fmt.Sprintf("%.1f µs", d.Seconds()*1e6)
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
