package cloudinitd

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
)

// However many warnings there are, what stops the import is told.
func TestErrorAfterManyWarnings(t *testing.T) {
	r := &report{said: map[string]bool{}}
	for range maxDiagnostics + 1 {
		r.warn(hcl.Range{}, "Unknown setting", "there is no such setting")
	}
	r.fail(hcl.Range{}, "Unknown service", "there is no such service")
	errs := r.diags.Errs()
	if len(r.diags) != maxDiagnostics || !r.diags.HasErrors() || !strings.Contains(errs[len(errs)-1].Error(), "there is no such service") {
		t.Errorf("%d diagnostics, the last of them %v", len(r.diags), errs[len(errs)-1])
	}
	for _, d := range r.diags {
		if d.Severity == hcl.DiagError && d.Summary != "Unknown service" {
			t.Errorf("a warning is told as an error: %v", d)
		}
	}
}
