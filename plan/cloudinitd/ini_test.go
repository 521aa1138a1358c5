package cloudinitd

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What Python 2.7's ConfigParser makes of these files: NAME=VALUE for every option of every
// section, ! where it raises an error for the value.
func TestINIReadsAsPythonDoes(t *testing.T) {
	tests := map[string]struct {
		src  string
		want string
	}{
		"both separators":              {"[s]\na: b = c\nd = e : f\n", "s a=b = c|s d=e : f"},
		"names in lower case":          {"[S]\nKey: V\n", "S key=V"},
		"the last one holds":           {"[s]\na: 1\nb: 2\nA: 3\n", "s a=3|s b=2"},
		"sections are merged":          {"[s]\na: 1\n[t]\nb: 2\n[s]\nc: 3\n", "s a=1|s c=3|t b=2"},
		"DEFAULT is in every one":      {"[DEFAULT]\nx: 1\n[s]\na: 2\n", "s x=1|s a=2"},
		"DEFAULT gives way":            {"[DEFAULT]\nx: 1\n[s]\na: 2\nx: 3\n", "s x=3|s a=2"},
		"continuation":                 {"[s]\na: 1\n  2\n\t3 ; x\n", "s a=1\n2\n3 ; x"},
		"continuation of nothing":      {"[s]\na:\n  2\n", "s a=\n2"},
		"comments":                     {"# a: b\n[s]\n; c: d\nREM e: f\nremote: g\n", "s remote=g"},
		"a comment is no continuation": {"[s]\na: 1\n# x\n  2\n", "s a=1\n2"},
		"an indented hash is one":      {"[s]\na: 1\n # x\n", "s a=1\n# x"},
		"semicolon after space":        {"[s]\na: b ;c\n", "s a=b"},
		"semicolon without space":      {"[s]\na: b;c\n", "s a=b;c"},
		"only the first semicolon":     {"[s]\na: b;c ;d\n", "s a=b;c ;d"},
		"semicolon at the beginning":   {"[s]\na: ;b\nc: ;d \n", "s a=;b|s c="},
		"hash is no inline comment":    {"[s]\na: b #c\n", "s a=b #c"},
		"empty values":                 {"[s]\na:\nb: \"\"\nc: ''\n", "s a=|s b=|s c=''"},
		"CRLF":                         {"[s]\r\na: b\r\n  c\r\n", "s a=b\nc"},
		"text after a header":          {"[s] trailing\na: b\n", "s a=b"},
		"spaces in a name":             {"[s]\nn o  : x\n", "s n o=x"},
		"no newline at the end":        {"[s]\na: b", "s a=b"},
		"bytes that are not UTF-8":     {"[s]\na\xff: \xfe\n", "s a\xff=\xfe"},
		"interpolation":                {"[s]\na: 1\nb: %(A)s0%%\n", "s a=1|s b=10%"},
		"interpolation from DEFAULT":   {"[DEFAULT]\nd: x\n[s]\nb: %(d)s\n", "s d=x|s b=x"},
		"interpolation of the name":    {"[s]\nb: %(__name__)s\n", "s b=s"},
		"percent alone":                {"[s]\na: 100%\nb: 5%%\n", "s a=100%|s b=5%%"},
		"percent beside one":           {"[s]\na: 1\nb: %(a)s%\n", "s a=1|s b=!"},
		"interpolation of nothing":     {"[s]\nb: %(nope)s\n", "s b=!"},
		"interpolation of itself":      {"[s]\nb: %(b)s\n", "s b=!"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, diags := parseINI("x.conf", []byte(tt.src))
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			var got []string
			for _, s := range f.sections {
				for _, opt := range f.items(s.name) {
					value, err := f.value(s.name, opt)
					if err != nil {
						value = "!"
					}
					got = append(got, fmt.Sprintf("%s %s=%s", s.name, opt.name, value))
				}
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, "|")); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}

func TestINIRefuses(t *testing.T) {
	tests := map[string]struct {
		src  string
		line int
	}{
		"no section":            {"a: b\n", 1},
		"a byte order mark":     {"\ufeff[s]\na: b\n", 1},
		"a line without option": {"[s]\na: b\nnonsense\n", 3},
		"no name":               {"[s]\n: b\n", 2},
		"indented after header": {"[s]\n  a: b\n", 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, diags := parseINI("x.conf", []byte(tt.src))
			if len(diags) != 1 || diags[0].Subject.Start.Line != tt.line {
				t.Errorf("got %v, want one error in line %d", diags, tt.line)
			}
		})
	}
}

// What Python 2.7's shlex.split makes of these.
func TestSplitWords(t *testing.T) {
	tests := []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"  a\tb\r\nc ", []string{"a", "b", "c"}},
		{`a "b c" 'd e'`, []string{"a", "b c", "d e"}},
		{`a"b"'c'`, []string{"abc"}},
		{`"" ''`, []string{"", ""}},
		{`a\ b \"c`, []string{"a b", `"c`}},
		{`"a\"b\\c\d\$"`, []string{`a"b\c\d\$`}},
		{`'a\b'`, []string{`a\b`}},
		{"a#b # c", []string{"a#b", "#", "c"}},
		{"${.x} \"${a.b} c\"", []string{"${.x}", "${a.b} c"}},
		{"a;b|c&", []string{"a;b|c&"}},
	}
	for _, tt := range tests {
		got, err := splitWords(tt.in)
		if err != nil {
			t.Errorf("splitWords(%q): %v", tt.in, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("splitWords(%q) (-want +got):\n%s", tt.in, diff)
		}
	}
	for _, in := range []string{`"a`, `'a`, `a\`, `"a\"`} {
		if got, err := splitWords(in); err == nil {
			t.Errorf("splitWords(%q) = %q, want an error", in, got)
		}
	}
}
