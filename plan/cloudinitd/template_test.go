package cloudinitd

import (
	"testing"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// What Python 2.7's string.Template makes of these, with every name's value in angle brackets.
func TestTemplateReadsAsPythonDoes(t *testing.T) {
	tests := map[string]string{
		"":                     "",
		"plain":                "plain",
		"$a-${b}c":             "<a>-<b>c",
		"$_a1.b":               "<_a1>.b",
		"$aB":                  "<aB>",
		"$$a $${a} $$$a":       "$a ${a} $<a>",
		"cost: $$5":            "cost: $5",
		"%{ if x } %(a)s %%":   "%{ if x } %(a)s %%",
		"{\"x\": \"$x\"}\r\n":  "{\"x\": \"<x>\"}\r\n",
		"$$${a}$$$$${b}":       "$<a>$$<b>",
		"$$$${x}%%{ ~} $${~":   "$${x}%%{ ~} ${~",
		"$for ${null} ${true}": "<for> <null> <true>",
		"é$aé":                 "é<a>é",
	}
	for src, want := range tests {
		tmpl, diags := parseTemplate("x", []byte(src))
		if diags.HasErrors() {
			t.Errorf("%q: %v", src, diags)
			continue
		}
		checkSameAsHCL(t, src, tmpl, want)
	}
}

// checkSameAsHCL fills the template in, as HCL would.
func checkSameAsHCL(t *testing.T, src string, tmpl *bootTemplate, want string) {
	t.Helper()
	vars := map[string]cty.Value{}
	for _, p := range tmpl.pieces {
		if p.name != "" {
			vars[templateVariable(p.name)] = cty.StringVal("<" + p.name + ">")
		}
	}
	parsed, diags := hclsyntax.ParseTemplate([]byte(tmpl.hcl()), "x", hcl.InitialPos)
	if diags.HasErrors() {
		t.Errorf("%q: HCL cannot read %q: %v", src, tmpl.hcl(), diags)
		return
	}
	got, diags := parsed.Value(&hcl.EvalContext{Variables: vars})
	if diags.HasErrors() {
		t.Errorf("%q: HCL cannot fill in %q: %v", src, tmpl.hcl(), diags)
		return
	}
	if got.AsString() != cty.StringVal(want).AsString() {
		t.Errorf("%q became %q, want %q", src, got.AsString(), want)
	}
}

func TestTemplateRefuses(t *testing.T) {
	for _, src := range []string{"$", "a$", "$5", "${a.b}", "${}", "${a", "$-", "${ a}", "$é"} {
		if _, diags := parseTemplate("x", []byte(src)); !diags.HasErrors() {
			t.Errorf("%q was accepted", src)
		}
	}
	_, diags := parseTemplate("x", []byte("one\n  two $!"))
	if len(diags) != 1 || diags[0].Subject.Start.Line != 2 || diags[0].Subject.Start.Column != 7 {
		t.Errorf("got %v, want one error at 2,7", diags)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, src := range []string{"$a", "$$", "${a}", "%{", "$$${a}", "~}", "\\", "\"$a\""} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		tmpl, diags := parseTemplate("x", src)
		if diags.HasErrors() || !utf8.Valid(src) || cty.StringVal(string(src)).AsString() != string(src) {
			return
		}
		want := ""
		for _, p := range tmpl.pieces {
			if p.name != "" {
				want += "<" + p.name + ">"
			} else {
				want += p.text
			}
		}
		checkSameAsHCL(t, string(src), tmpl, want)
	})
}
