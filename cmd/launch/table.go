package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/launchplan/launch/state"
)

// tableLimit is how many services of a level stand in the table one by one; of a larger level, those that are
// not ready, and a count of the rest.
const tableLimit = 50

// writeStatus shows a run as a table, and explains what failed.
func writeStatus(w io.Writer, v *statusView) {
	fmt.Fprintf(w, "run %s is %s since %s (plan %s)\n", v.Run, v.Status, v.Since.Local().Format(time.DateTime), v.Plan)
	if v.Error != "" {
		fmt.Fprintf(w, "%s\n", v.Error)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LEVEL\tSERVICE\tSTATUS\tHOST\tSINCE")
	for _, lv := range v.Levels {
		writeLevel(t, lv)
	}
	t.Flush()
	for _, lv := range v.Levels {
		for _, s := range lv.Services {
			if s.failure != nil {
				fmt.Fprintf(w, "\n%s failed\n", s.Address)
				writeFailure(w, s.failure)
			}
		}
	}
	writeOutputs(w, v.Outputs)
}

func writeLevel(w io.Writer, lv levelView) {
	level, hidden := lv.Name, 0
	if len(lv.Services) == 0 {
		fmt.Fprintf(w, "%s\t-\t%s\t\t\n", level, lv.Status)
	}
	for _, s := range lv.Services {
		if len(lv.Services) > tableLimit && s.Status == state.Ready {
			hidden++
			continue
		}
		host := s.Host
		if s.Runner == "local" {
			host = "this machine"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", level, s.Address, s.Status, host, age(s.Since))
		level = ""
	}
	if hidden > 0 {
		fmt.Fprintf(w, "%s\t%d services\t%s\t\t\n", level, hidden, state.Ready)
	}
}

// age says how long ago something was, as people say it.
func age(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	d := max(0, time.Since(at)) // the clock may have been set back
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// writeOutputs shows a plan's outputs: texts as they are, the rest as JSON.
func writeOutputs(w io.Writer, outputs map[string]json.RawMessage) {
	if len(outputs) == 0 {
		return
	}
	fmt.Fprintln(w, "\noutputs")
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		fmt.Fprintf(w, "  %s = %s\n", name, indentRest(outputText(outputs[name]), 4))
	}
}

// outputText is an output without the quotes that JSON puts around a text.
func outputText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return strings.TrimSpace(string(raw))
}
