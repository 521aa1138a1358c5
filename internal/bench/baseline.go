package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// worse is by what factor a ratio may grow before bench-check fails: noise on a shared machine stays below it.
const worse = 4.0 / 3

var errWorse = errors.New("slower than the baseline by more than a third")

func writeBaseline(path string, rows []row) error {
	kept := map[string]float64{}
	for _, r := range rows {
		if !r.alone {
			kept[r.name] = r.kept()
		}
	}
	encoded, err := json.MarshalIndent(kept, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(encoded, '\n'), 0o644)
}

// checkBaseline compares what was measured with what is kept; what is in one of the two only does not count.
func checkBaseline(path string, rows []row, out io.Writer) error {
	encoded, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var kept map[string]float64
	if err := json.Unmarshal(encoded, &kept); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	slower := compareBaseline(kept, rows)
	for _, line := range slower {
		fmt.Fprintln(out, line)
	}
	if len(slower) > 0 {
		return errWorse
	}
	fmt.Fprintf(out, "nothing is slower than in %s by more than a third\n", path)
	return nil
}

// compareBaseline tells of each ratio that became worse by more than it may.
func compareBaseline(kept map[string]float64, rows []row) []string {
	var slower []string
	for _, r := range rows {
		before, known := kept[r.name]
		if known && !r.alone && r.kept() > before*worse {
			was := r.ratio * before / r.kept() // at the pace that the machine has now
			slower = append(slower, fmt.Sprintf("%s: %.2f, was %.2f", r.name, r.ratio, was))
		}
	}
	slices.Sort(slower)
	return slower
}
