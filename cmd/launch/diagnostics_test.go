package main

import (
	"io"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// A mistake in a line that fills the screen is quoted without it.
func TestLongLinesAreShortened(t *testing.T) {
	long := strings.Repeat("ä", 50_000)
	for name, c := range map[string]struct{ src, at, want string }{
		"whole":  {"a = 1\nb = c\n", "c", "   2: b = c\n"},
		"middle": {"a = 1\nb = \"" + long + "\" + here + \"" + long + "\"", "here", "   2: …" + strings.Repeat("ä", 38) + "\" + here + \"" + strings.Repeat("ä", 76) + "…\n"},
		"itself": {"b = " + long + "\nc = 1", long, "   1: b = " + strings.Repeat("ä", 118) + "…\n"},
		"lines":  {"b = [\n" + strings.Repeat("x,\n", 500) + "]\n", "[\n" + strings.Repeat("x,\n", 500) + "]", "  12: x,\n  13: …\n"},
	} {
		at := strings.Index(c.src, c.at)
		line := strings.Count(c.src[:at], "\n") + 1
		d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Bad", Detail: "That is so.", Subject: &hcl.Range{
			Filename: "plan.hcl", Start: hcl.Pos{Line: line, Byte: at}, End: hcl.Pos{Line: line, Byte: at + len(c.at)},
		}}
		var b strings.Builder
		writeDiagnostics(&b, hcl.Diagnostics{d}, map[string]*hcl.File{"plan.hcl": {Bytes: []byte(c.src)}})
		if !strings.Contains(b.String(), c.want) || len(b.String()) > 600 || !strings.Contains(b.String(), "That is so.") {
			t.Errorf("%s: %.2000s", name, b.String())
		}
	}
}

// What a mistake costs to be told does not depend on where in the file it is: a long plan can have thousands.
func TestMistakesLateInALongFile(t *testing.T) {
	src := []byte(strings.Repeat("# a line\n", 100_000) + "mistake\n")
	sources := map[string]*hcl.File{"plan.hcl": {Bytes: src}}
	at := len(src) - len("mistake\n")
	d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Wrong", Detail: "It is.", Subject: &hcl.Range{
		Filename: "plan.hcl",
		Start:    hcl.Pos{Line: 100_001, Column: 1, Byte: at}, End: hcl.Pos{Line: 100_001, Column: 8, Byte: at + 7},
	}}
	var told strings.Builder
	writeDiagnostics(&told, hcl.Diagnostics{d}, sources)
	if want := "Error: Wrong\n\n  on plan.hcl line 100001:\n100001: mistake\n\nIt is.\n\n"; told.String() != want {
		t.Errorf("told %q, want %q", told.String(), want)
	}
	cost := testing.AllocsPerRun(3, func() { writeDiagnostics(io.Discard, hcl.Diagnostics{d}, sources) })
	if cost > 1000 {
		t.Errorf("it takes %.0f allocations to tell it", cost)
	}
}

// With a mistake the values are told that the expression refers to.
func TestValuesOfAMistake(t *testing.T) {
	src := []byte("b = upper(var.x)\n")
	x, _ := hclsyntax.ParseExpression([]byte("upper(var.x)"), "plan.hcl", hcl.Pos{Line: 1, Column: 5, Byte: 4})
	at := x.Range()
	d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Wrong", Detail: "It is.", Subject: &at, Context: &at, Expression: x,
		EvalContext: &hcl.EvalContext{Variables: map[string]cty.Value{"var": cty.ObjectVal(map[string]cty.Value{"x": cty.StringVal("abc")})}}}
	for want, files := range map[string]map[string]*hcl.File{
		"Error: Wrong\n\n  on plan.hcl line 1:\n   1: b = upper(var.x)\n\nwith var.x as \"abc\".\n\nIt is.\n\n": {"plan.hcl": {Bytes: src}},
		"Error: Wrong\n\n  on plan.hcl line 1:\n\nwith var.x as \"abc\".\n\nIt is.\n\n":                         {},
	} {
		var told strings.Builder
		writeDiagnostics(&told, hcl.Diagnostics{d}, files)
		if told.String() != want {
			t.Errorf("told %q, want %q", told.String(), want)
		}
	}
}
