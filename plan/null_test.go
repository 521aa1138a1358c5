package plan

import (
	"slices"
	"strings"
	"testing"
)

// Null is as if an attribute were left out. What a block cannot do without must not be null: a service would be taken for
// ready of which nothing was run, or nothing checked.
func TestNullAttributes(t *testing.T) {
	const boot = "boot { command = [\"true\"] }\n"
	tests := []struct{ service, refused string }{
		{"boot { command = var.none }", `"command"`},
		{"boot { script = var.none }", `"script"`},
		{"boot { program = var.none }", `"program"`},
		{"process { command = var.none }", `"command"`},
		{boot + "terminate { script = var.none }", `"script"`},
		{boot + "ready { command = var.none }", `"command"`},
		{boot + "ready { tcp = var.none }", `"tcp"`},
		{boot + "ready {\n http { url = var.none }\n}", `"url"`},
		{boot + "ready { log = var.none }", `"log"`},
		{boot + "gone { tcp = var.none }", `"tcp"`},
		{boot + "file \"f\" { content = var.none }", `"content"`},
		{boot + "file \"f\" { source = var.none }", `"source"`},
		{boot + "runner = runner.ssh.rack\nhost = var.none", `"host"`},

		{"boot {\n script = \"true\"\n args = var.none\n env = var.none\n dir = var.none\n user = var.none\n timeout = var.none\n retries = var.none\n}", ""},
		{boot + "ready {\n http {\n url = \"http://x\"\n status = var.none\n body = var.none\n }\n timeout = var.none\n from = var.none\n}", ""},
		{boot + "file \"f\" {\n content = \"x\"\n mode = var.none\n}", ""},
		{boot + "runner = runner.ec2.west\nhost = var.none", ""},
	}
	for _, test := range tests {
		tree, diags := load(t, `
variable "none" { default = null }
output "none" { value = var.none }
runner "ssh" "rack" {}
runner "ec2" "west" {
  image = "ami-1"
}
level "one" {
  service "s" {
`+test.service+`
  }
}
`, nil).Expand(Inputs{})
		if test.refused != "" {
			if !diags.HasErrors() || !strings.Contains(diags.Error(), test.refused+" must not be null") {
				t.Errorf("%s: %v, want %s to be refused", test.service, diags, test.refused)
			}
			continue
		}
		if diags.HasErrors() {
			t.Errorf("%s: %v", test.service, diags)
			continue
		}
		s := tree.Services[0]
		prepared, diags := s.Prepare()
		checks, more := s.Checks()
		if diags = slices.Concat(diags, more); diags.HasErrors() || prepared.Boot == nil || len(checks) != strings.Count(test.service, "ready {") {
			t.Errorf("%s: prepared %+v with checks %v, %v", test.service, prepared, checks, diags)
		}
	}
}

// A for expression over services that are left out is answered with what goes over none of them.
func TestLoopOverWhatIsLeftOut(t *testing.T) {
	for _, test := range []struct{ many, over, hint, want string }{
		{"count = 2", "service.a", "coalesce(service.a, [])", `["a","a"]`},
		{"for_each = { x = 1 }", "service.a", "coalesce(service.a, {})", `["a"]`},
	} {
		main := func(over string) string {
			return "variable \"on\" { type = bool }\nlevel \"one\" {\n service \"a\" {\n" + test.many + `
    enabled = var.on
    boot { command = ["true"] }
  }
}
output "x" { value = [for s in ` + over + " : s.name] }\n"
		}
		_, diags := load(t, main(test.over), nil).Expand(Inputs{Variables: map[string]Given{"on": {Raw: "false"}}})
		if !strings.Contains(diags.Error(), test.hint) {
			t.Errorf("%s: %v, want one that says %s", test.many, diags, test.hint)
		}
		for on, want := range map[string]string{"true": test.want, "false": "[]"} {
			if got := outputs(t, expand(t, main(test.hint), map[string]string{"on": on}, nil))["x"]; got != want {
				t.Errorf("%s, enabled = %s: %s, want %s", test.many, on, got, want)
			}
		}
	}
}
