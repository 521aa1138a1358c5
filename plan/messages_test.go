package plan

import "testing"

// Messages are exact, and end with one full stop.
func TestMessages(t *testing.T) {
	tests := []struct{ x, want string }{
		{`file("../other.txt")`, `Call to function "file" failed: cannot read "../other.txt" of the plan in /plans/main: it lies outside of the plan's directory.`},
		{`file("")`, `Call to function "file" failed: cannot read "" of the plan in /plans/main: the path is empty.`},
		{`fileset("..", "*")`, `Call to function "fileset" failed: cannot list ".." of the plan in /plans/main: it lies outside of the plan's directory.`},
		{`{ for x in ["a", "a"] : x => 1 }`, `Two different items produced the key "a" in this 'for' expression. If duplicates are expected, use the ellipsis (...) after the value expression to enable grouping by key.`},
		{`templatefile("greeting.tmpl", { nam = "x" })`, `Call to function "templatefile" failed: greeting.tmpl line 1 refers to "name", which it is not given. Did you mean "nam"?`},
		{`try(1 + "a", try({ }.x))`, "Call to function \"try\" failed: no expression has a value:\n- Invalid operand (main/plan.hcl line 1)\n  Unsuitable value for right operand: a number is required.\n" +
			"- Error in function call (main/plan.hcl line 1)\n  Call to function \"try\" failed: no expression has a value:\n  - Unsupported attribute (main/plan.hcl line 1)\n    This object does not have an attribute named \"x\"."},
		{`fileset(".", "*.{sh,py}")`, `Invalid value for "pattern" parameter: "*.{sh,py}" has braces, which stand for themselves: join several patterns with setunion(fileset(...), fileset(...)).`},
		{`fileexists("../x")`, `Call to function "fileexists" failed: cannot look at "../x" of the plan in /plans/main: it lies outside of the plan's directory.`},
	}
	for _, test := range tests {
		files := append(commonFiles(), SnapshotFile{Dir: "/plans/main", Path: "plan.hcl", Content: []byte("output \"x\" { value = " + test.x + " }\n")})
		_, diags := Load("/plans/main", testOptions(files))
		if len(diags) != 1 || diags[0].Detail != test.want {
			t.Errorf("%s gives %v, want\n%s", test.x, diags, test.want)
		}
	}
}

// A name that there is none of is held against those there are.
func TestUnknownNames(t *testing.T) {
	tests := []struct{ block, want string }{
		{`boot = {}`, `"boot" is a block, not an attribute: write it without the equals sign, boot { ... }.`},
		{"count {\n}", `"count" is an attribute, not a block: write count = VALUE.`},
		{`enabld = true`, `There is no "enabld" here. Did you mean "enabled"?`},
		{"export \"e\" {\n}", `The attribute "type" is required here.`},
		{`env = {}`, `There is no "env" here.`},
		{"ready {\n command = [\"x\", [\"y\"]]\n}", `A value of type list(string) is needed here: element [1]: string required, but have tuple.`},
		{"ready {\n command = [\"x\"]\n env = { A = 1, C = [2], B = { } }\n}", `A value of type map(string) is needed here: element "B": string required, but have object.`},
		{`exports = { a = strng }`, `The keyword "strng" is not a valid type specification. The types are string, number, bool, list(T), set(T), map(T), object({ NAME = T }), tuple([T]) and any.`},
	}
	for _, test := range tests {
		src := "level \"one\" {\n  service \"s\" {\n    boot { command = [\"true\"] }\n    " + test.block + "\n  }\n}\n"
		files := append(commonFiles(), SnapshotFile{Dir: "/plans/main", Path: "plan.hcl", Content: []byte(src)})
		_, diags := Load("/plans/main", testOptions(files))
		if len(diags) != 1 || diags[0].Detail != test.want {
			t.Errorf("%s gives %v, want\n%s", test.block, diags, test.want)
		}
	}
}

// Of a short word, a name that differs in two letters is another one, unless they changed places.
func TestSuggest(t *testing.T) {
	names := []string{"boot", "md5", "on", "timeout", "url"}
	tests := []struct{ written, want string }{
		{"tiemout", ` Did you mean "timeout"?`},
		{"bot", ` Did you mean "boot"?`},
		{"ulr", ` Did you mean "url"?`},
		{"foo", " There is boot, md5, on, timeout, url."},
		{"map", " There is boot, md5, on, timeout, url."},
	}
	for _, test := range tests {
		if got := suggest(test.written, names); got != test.want {
			t.Errorf("for %q: %q, want %q", test.written, got, test.want)
		}
	}
}
