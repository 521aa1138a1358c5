package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What no variable could mend of a layout is told before any is given, and all of it.
func TestLayoutMistakesWithoutVariables(t *testing.T) {
	main := `
variable "size" { type = number }
level "one" {
  service "a" {
    boot { command = ["a"] }
    exports = { n = number, m = map(string) }
  }
}
level "two" {
  enabled = service.a.n > 1
  service "b" {
    count = service.a.n
    boot { command = ["b"] }
  }
  service "c" {
    for_each = service.a.m
    boot { command = ["c"] }
  }
  service "d" {
    count = null
    boot { command = ["d"] }
  }
  service "e" {
    for_each = { "a b" = 1 }
    boot { command = ["e"] }
  }
  service "f" {
    on = null
    boot { command = ["f"] }
  }
  service "g" {
    count = length(sensitive([var.size]))
    boot { command = ["g"] }
  }
  service "h" {
    count   = var.size
    enabled = var.size > service.a.n
    boot { command = ["h"] }
  }
  service "none" {
    for_each = toset([])
    boot { command = ["none"] }
  }
}
`
	files := append(commonFiles(), SnapshotFile{Dir: "/plans/main", Path: "plan.hcl", Content: []byte(main)})
	_, diags := Load("/plans/main", testOptions(files))
	var got []string
	for _, d := range diags {
		got = append(got, shownDiagnostic(d))
	}
	want := []string{
		"10,13-28: Value not known ahead", "12,13-24: Value not known ahead", "16,16-27: Value not known ahead", "20,13-17: Null value",
		"24,16-29: Invalid key", "28,10-14: Null value", "32,13-42: Sensitive value in the open",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mistakes (-want +got):\n%s", diff)
	}
	if len(diags) > 4 && !strings.Contains(diags[4].Detail, `"a b" cannot be a key`) {
		t.Errorf("%v does not name the key", diags[4])
	}
}
