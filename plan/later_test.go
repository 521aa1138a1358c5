package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// expandLater lays a plan out as a later command does, which is not given what is withheld.
func expandLater(t *testing.T, p *Plan, withheld ...string) *Tree {
	t.Helper()
	tree, diags := p.Expand(Inputs{Later: true, Withheld: withheld})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return tree
}

// TestSecretFromTheEnvironment: a run does not keep it, so later commands ask for it, and do without where they can.
func TestSecretFromTheEnvironment(t *testing.T) {
	main := `
variable "home" {
  default   = env("HOME")
  sensitive = true
  validation {
    condition     = var.home != null
    error_message = "A home is needed."
  }
}
level "one" {
  service "a" {
    boot { command = ["a", var.home] }
    terminate { command = ["end"] }
  }
}
`
	captured := expand(t, main, nil, nil).Captured()
	if diff := cmp.Diff([]string{"home"}, captured.Sensitive); diff != "" || len(captured.Env) > 0 {
		t.Errorf("captured %+v, want home to be withheld", captured)
	}
	options := testOptions(append(commonFiles(), SnapshotFile{Dir: "/plans/main", Path: "plan.hcl", Mode: 0o644, Content: []byte(main)}))
	options.LookupEnv = captured.LookupEnv
	p, diags := Load("/plans/main", options)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	later := expandLater(t, p, captured.Sensitive...)
	if diff := cmp.Diff([]string{"home"}, later.Missing()); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
	if _, diags := later.Services[0].Prepare(); !strings.Contains(diags.Error(), "give it with --var home=VALUE") {
		t.Errorf("Prepare = %v, want it to ask for home", diags)
	}
	if ending, diags := later.Services[0].Ending(); diags.HasErrors() || ending.Terminate == nil {
		t.Errorf("Ending = %+v, %v", ending, diags)
	}
}

// A later command is not given a secret again: only what needs it is an error, also where there is a default.
func TestLaterWithoutSecrets(t *testing.T) {
	p := load(t, secretVariables("token")+`
variable "salt" {
  default   = "standard"
  sensitive = true
}
level "one" {
  service "a" {
    boot { command = ["a", var.token] }
    terminate { command = ["end"] }
  }
  service "b" {
    boot { command = ["b", var.salt] }
  }
  service "c" {
    attributes = { deps = { place = self.address, pepper = local.pepper } }
    boot { command = ["c", self.deps.pepper] }
  }
}
locals { pepper = "x${var.salt}" }
level "two" {
  service "d" {
    boot { command = ["d", service.c.deps.pepper] }
  }
}
`, nil)
	tree := expandLater(t, p, "token", "salt")
	for _, svc := range tree.Services {
		tree.Learn(svc, Known{Address: "10.0.0.1", WorkDir: "/w"})
	}
	for i, name := range []string{"token", "salt", "salt", "salt"} {
		if _, diags := tree.Services[i].Prepare(); !strings.Contains(diags.Error(), "give it with --var "+name+"=VALUE") {
			t.Errorf("Prepare = %v, want it to ask for %s", diags, name)
		}
	}
	if ending, diags := tree.Services[0].Ending(); diags.HasErrors() || ending.Terminate == nil {
		t.Errorf("Ending = %+v, %v", ending, diags)
	}
}

// What is missing for a service is found wherever it comes from, and nothing else is asked for.
func TestLacks(t *testing.T) {
	p := load(t, secretVariables("token", "salt")+`
locals {
  all  = { salt = var.salt, port = 80 }
  deep = "x${local.all.salt}"
}
level "one" {
  service "plain" {
    boot { command = ["a", "${local.all.port}"] }
    terminate { command = ["end", "${self.address}"] }
  }
  service "ends" {
    boot { command = ["b"] }
    terminate { command = ["end", var.token] }
  }
  service "probed" {
    attributes = { pepper = local.deep, open = "o" }
    ready { command = ["check", var.token] }
  }
}
level "two" {
  service "open" {
    boot { command = ["d", service.probed.open, service.probed.address] }
  }
  service "pepper" {
    boot { command = ["d", service.probed.pepper] }
    gone { command = ["d", service.probed.pepper] }
  }
}
level "inner" {
  plan   = "../inner"
  inputs = { word = local.deep }
}
level "after" {
  service "outputs" {
    boot { command = ["e", level.inner.word] }
  }
}
`, map[string]string{"inner/plan.hcl": `
variable "word" { type = string }
output "word" {
  value     = var.word
  sensitive = true
}
level "in" {
  service "s" {
    file "f" { content = var.word }
    boot { command = ["s"] }
  }
}
`})
	tree := expandLater(t, p, "token", "salt")
	type lack struct{ BringUp, End []string }
	got := map[string]lack{}
	for _, svc := range tree.Services {
		got[svc.Address] = lack{svc.LacksToBringUp(), svc.LacksToEnd()}
	}
	want := map[string]lack{
		"one.plain":     {},
		"one.ends":      {End: []string{"token"}},
		"one.probed":    {BringUp: []string{"salt", "token"}},
		"two.open":      {},
		"two.pepper":    {BringUp: []string{"salt"}, End: []string{"salt"}},
		"inner.in.s":    {BringUp: []string{"salt"}},
		"after.outputs": {BringUp: []string{"salt"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what services lack (-want +got):\n%s", diff)
	}
}
