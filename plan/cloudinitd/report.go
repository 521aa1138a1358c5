package cloudinitd

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
)

// maxDiagnostics bounds what is said about one plan: who has more mistakes mends these first.
const maxDiagnostics = 1000

// A report collects what is wrong with a plan, and what cannot be carried over.
type report struct {
	diags hcl.Diagnostics
	said  map[string]bool
}

func (r *report) fail(rng hcl.Range, summary, format string, args ...any) {
	r.add(hcl.DiagError, &rng, summary, format, args...)
}

// failAll is about no place in a file.
func (r *report) failAll(summary, format string, args ...any) {
	r.add(hcl.DiagError, nil, summary, format, args...)
}

func (r *report) warn(rng hcl.Range, summary, format string, args ...any) {
	r.add(hcl.DiagWarning, &rng, summary, format, args...)
}

// failOnce and warnOnce are for places that several services come by.
func (r *report) failOnce(rng hcl.Range, summary, format string, args ...any) {
	if r.isNew(rng, summary) {
		r.fail(rng, summary, format, args...)
	}
}

func (r *report) warnOnce(rng hcl.Range, summary, format string, args ...any) {
	if r.isNew(rng, summary) {
		r.warn(rng, summary, format, args...)
	}
}

func (r *report) isNew(rng hcl.Range, summary string) bool {
	key := fmt.Sprint(rng.Filename, ":", rng.Start.Byte, ":", summary)
	if r.said[key] {
		return false
	}
	r.said[key] = true
	return true
}

func (r *report) add(severity hcl.DiagnosticSeverity, rng *hcl.Range, summary, format string, args ...any) {
	if len(r.diags) >= maxDiagnostics {
		// An error still has to stop the import, and to be told: a warning gives way to it.
		at := slices.IndexFunc(r.diags, func(d *hcl.Diagnostic) bool { return d.Severity == hcl.DiagWarning })
		if severity != hcl.DiagError || at < 0 {
			return
		}
		r.diags = slices.Delete(r.diags, at, at+1)
	}
	detail := strings.ToValidUTF8(fmt.Sprintf(format, args...), "\ufffd")
	r.diags = r.diags.Append(&hcl.Diagnostic{Severity: severity, Summary: summary, Detail: detail, Subject: rng})
}

// keys are the names in a map, in their order.
func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// didYouMean suggests the name that was probably meant.
func didYouMean(name string, known ...[]string) string {
	best, distance := "", 3
	for _, names := range known {
		for _, candidate := range names {
			if d := levenshtein.Distance(name, candidate, nil); d < distance && d < utf8.RuneCountInString(candidate)/2 {
				best, distance = candidate, d
			}
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" Did you mean %q?", best)
}
