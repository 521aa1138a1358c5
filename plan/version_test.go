package plan

import "testing"

// A plan says which versions of launch can run it. One that was built without a version number runs them all.
func TestRequiresLaunch(t *testing.T) {
	tests := []struct {
		version, requires string
		runs              bool
	}{
		{"0.2.0", ">= 0.2", true},
		{"0.2.0", ">= 0.2, < 1.0", true},
		{"0.1.9", ">= 0.2", false},
		{"1.0.0", ">= 0.2, < 1.0", false},
		{"v0.2.0-5-g2cee9b6", "= 0.2", true},
		{"0.9.0", "~> 0.2", true},
		{"1.0.0", "~> 0.2", false},
		{"0.3.0", "~> 0.2.1", false},
		{"0.2.1", "!= 0.2.1", false},
		{"dev", ">= 9", true},
		{"2cee9b6-dirty", ">= 9", true},
		{"1234567", "< 1.0", true}, // a commit, too
		{"", ">= 9", true},
	}
	for _, test := range tests {
		source := "requires_launch = \"" + test.requires + "\"\nlevel \"one\" {\n}\n"
		opts := testOptions([]SnapshotFile{{Dir: "/plans/main", Path: "plan.hcl", Content: []byte(source)}})
		opts.Version = test.version
		if _, diags := Load("/plans/main", opts); diags.HasErrors() == test.runs {
			t.Errorf("launch %s runs a plan that requires %s: %v, want %v: %v", test.version, test.requires, !diags.HasErrors(), test.runs, diags)
		}
	}
}

// A run goes on with the plan that it keeps, whatever later launches refuse.
func TestKeptPlanIsLetPass(t *testing.T) {
	for name, source := range map[string]string{
		"another version":         "requires_launch = \"< 0.2\"\nlevel \"one\" {\n}\n",
		"files without a program": "level \"one\" {\n service \"a\" {\n  file \"f\" { content = \"x\" }\n  ready { command = [\"true\"] }\n }\n}\n",
		"a loop that is not come to": "variable \"n\" { type = number }\nlevel \"one\" {\n service \"a\" {\n  count = var.n\n  boot { command = [\"true\"] }\n }\n}\n" +
			"output \"x\" { value = [for s in service.a : s.nothing] }\n",
	} {
		opts := testOptions([]SnapshotFile{{Dir: "/plans/main", Path: "plan.hcl", Content: []byte(source)}})
		if _, diags := Load("/plans/main", opts); !diags.HasErrors() {
			t.Errorf("%s: a new plan is let pass", name)
		}
		opts.Kept = true
		if _, diags := Load("/plans/main", opts); diags.HasErrors() {
			t.Errorf("%s: a run cannot go on with it: %v", name, diags)
		}
	}
}
