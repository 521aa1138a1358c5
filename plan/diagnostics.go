package plan

import (
	"fmt"
	"sort"

	"github.com/hashicorp/hcl/v2"
)

// failure is an error diagnostic.
func failure(at hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &at}
}

// unknown marks a diagnostic of a value that is not known.
type unknown struct{}

// OnlyUnknown says whether there are errors, and all of them are of values that are not known.
func OnlyUnknown(diags hcl.Diagnostics) bool {
	for _, d := range diags {
		if _, ok := d.Extra.(unknown); !ok && d.Severity == hcl.DiagError {
			return false
		}
	}
	return diags.HasErrors()
}

// warning is a diagnostic of something that works and is likely not what was meant.
func warning(at hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	d := failure(at, summary, format, args...)
	d.Severity = hcl.DiagWarning
	return d
}

// duplicate reports a second declaration of the same name.
func duplicate(what, name string, at, first hcl.Range) *hcl.Diagnostic {
	return failure(at, "Duplicate "+what, "The %s %q was declared before, at %s. Each one needs a name of its own.", what, name, place(first))
}

// place is a range for people: plan.hcl line 3.
func place(r hcl.Range) string {
	return fmt.Sprintf("%s line %d", r.Filename, r.Start.Line)
}

// tidy leaves out what is said twice and puts the rest in the order of the files.
func tidy(diags hcl.Diagnostics) hcl.Diagnostics {
	type key struct {
		summary, detail string
		at              hcl.Range
	}
	seen := map[key]bool{}
	var kept hcl.Diagnostics
	for _, d := range diags {
		k := key{summary: d.Summary, detail: d.Detail}
		if d.Subject != nil {
			k.at = *d.Subject
		}
		if !seen[k] {
			seen[k] = true
			kept = append(kept, d)
		}
	}
	sort.SliceStable(kept, func(i, j int) bool {
		a, b := kept[i].Subject, kept[j].Subject
		switch {
		case a == nil || b == nil:
			return a == nil && b != nil
		case a.Filename != b.Filename:
			return a.Filename < b.Filename
		}
		return a.Start.Byte < b.Start.Byte
	})
	return kept
}
