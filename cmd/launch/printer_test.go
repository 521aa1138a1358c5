package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
)

func TestPrinter(t *testing.T) {
	for _, c := range []struct {
		writes []string
		want   string
	}{
		{[]string{"a\tb\n"}, "a\tb\n"},
		{[]string{"\x1b[31m\r\x7f"}, `\u001b[31m\u000d\u007f`},
		{[]string{"\u009b31m \u202e"}, `\u009b31m \u202e`},
		{[]string{"\xff\ufffd"}, "\\xff\ufffd"},
		{[]string{"gr\xc3", "\xbcn \xf0\x9f", "\x9a", "\x80"}, "grün 🚀"},
		{[]string{"\U000e0041"}, `\udb40\udc41`}, // as JSON has it
	} {
		var out bytes.Buffer
		p := &printer{w: &out}
		for _, text := range c.writes {
			if n, err := p.Write([]byte(text)); n != len(text) || err != nil {
				t.Errorf("Write(%q) = %d, %v", text, n, err)
			}
		}
		if out.String() != c.want {
			t.Errorf("%q is shown as %q, not %q", c.writes, out.String(), c.want)
		}
	}
}

// A diagnostic that is coloured has nothing else in it that a terminal would obey, and its places stay.
func TestInertDiagnostics(t *testing.T) {
	src := []byte("a = \"\x1b[2J\u009b\"\r\nb = 2\n")
	at := hcl.Range{Filename: "plan.hcl", Start: hcl.Pos{Line: 2, Column: 1, Byte: 14}, End: hcl.Pos{Line: 2, Column: 2, Byte: 15}}
	d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Bad \x1b[1m", Detail: "worse\n\x1b]0;t\a", Subject: &at}
	diags, sources := inert(hcl.Diagnostics{d}, map[string]*hcl.File{"plan.hcl": {Bytes: src}})
	if diags[0].Summary != `Bad \u001b[1m` || diags[0].Detail != "worse\n"+`\u001b]0;t\u0007` {
		t.Errorf("it says %q, %q", diags[0].Summary, diags[0].Detail)
	}
	shown := sources["plan.hcl"].Bytes
	if len(shown) != len(src) || bytes.ContainsAny(shown, "\x1b\u009b\r") || string(shown[14:]) != "b = 2\n" {
		t.Errorf("it quotes %q", shown)
	}
}

// What could not be written is no success: a script that keeps an output in a file has to hear of a full disk.
func TestResultsThatCannotBeWritten(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	t.Parallel()
	w := newWorld(t)
	plan := w.plan("p", `
level "a" {
  service "s" {
    boot { command = ["true"] }
  }
}
output "x" { value = "y" }
`)
	w.launch("boot", plan, "-n", "r").want(exitOK)
	for _, line := range []string{
		"version", "validate p", "list", "status r", "status r -o json", "history r", "output r", "output r x", "terminate r",
	} {
		r := w.sh("launch " + line + " > /dev/full").want(exitFailed)
		if !strings.Contains(r.stderr, "/dev/stdout") {
			t.Errorf("%s: %s", line, r.stderr)
		}
	}
	w.wantNothingLeft("r")
}
