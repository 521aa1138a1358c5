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
	}
	for _, test := range tests {
		files := append(commonFiles(), SnapshotFile{Dir: "/plans/main", Path: "plan.hcl", Content: []byte("output \"x\" { value = " + test.x + " }\n")})
		_, diags := Load("/plans/main", testOptions(files))
		if len(diags) != 1 || diags[0].Detail != test.want {
			t.Errorf("%s gives %v, want\n%s", test.x, diags, test.want)
		}
	}
}
