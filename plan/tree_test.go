package plan

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"
)

// load loads a plan given as one file, with more files named "dir/path".
func load(t *testing.T, main string, more map[string]string) *Plan {
	t.Helper()
	files := append(commonFiles(), SnapshotFile{Dir: "/plans/main", Path: "plan.hcl", Mode: 0o644, Content: []byte(main)})
	for _, name := range keys(more) {
		dir, path, _ := strings.Cut(name, "/")
		mode := 0o644
		if strings.HasSuffix(path, ".sh") {
			mode = 0o755
		}
		files = append(files, SnapshotFile{Dir: "/plans/" + dir, Path: path, Mode: fs.FileMode(mode), Content: []byte(more[name])})
	}
	p, diags := Load("/plans/main", testOptions(files))
	if diags.HasErrors() {
		t.Fatalf("Load: %v", diags.Errs())
	}
	return p
}

func expand(t *testing.T, main string, vars map[string]string, more map[string]string) *Tree {
	t.Helper()
	given := map[string]Given{}
	for name, raw := range vars {
		given[name] = Given{Raw: raw, From: "--var"}
	}
	tree, diags := load(t, main, more).Expand(Inputs{Variables: given, RunName: "demo", RunID: "01ABC"})
	if diags.HasErrors() {
		t.Fatalf("Expand: %v", diags.Errs())
	}
	return tree
}

func service(t *testing.T, tree *Tree, address string) *Service {
	t.Helper()
	for _, s := range tree.Services {
		if s.Address == address {
			return s
		}
	}
	t.Fatalf("no service %s in %v", address, addresses(tree))
	return nil
}

func addresses(tree *Tree) []string {
	var list []string
	for _, s := range tree.Services {
		list = append(list, s.Address)
	}
	return list
}

// order renders levels and what they wait for.
func order(tree *Tree) []string {
	var list []string
	for _, l := range tree.Levels {
		var after []string
		for _, a := range l.After {
			after = append(after, a.Name)
		}
		list = append(list, l.Name+" after ["+strings.Join(after, " ")+"]")
	}
	return list
}

func TestOrderOfLevels(t *testing.T) {
	tests := []struct {
		name, plan string
		want       []string
	}{
		{"as declared", `
level "a" {}
level "b" {}
level "c" {}`, []string{"a after []", "b after [a]", "c after [b]"}},
		{"after replaces it", `
level "a" {}
level "b" { after = [] }
level "c" { after = [level.a, level.b] }`, []string{"a after []", "b after []", "c after [a b]"}},
		{"after may name a later level", `
level "a" { after = [level.b] }
level "b" { after = [] }`, []string{"b after []", "a after [b]"}},
		{"a reference adds an edge", `
level "a" {
  service "x" {
    boot { command = ["true"] }
  }
}
level "b" {
  after = []
  service "y" {
    boot { command = ["true", service.x.address] }
  }
}`, []string{"a after []", "b after [a]"}},
		{"a level that is left out hands on what it waited for", `
level "a" {}
level "b" { enabled = false }
level "c" {}`, []string{"a after []", "c after [a]"}},
		{"sub-plans", `
level "first" {}
level "sub" { plan = "../inner" }
level "last" {}`, []string{"first after []", "sub.x after [first]", "sub.y after [first]", "sub after [sub.x sub.y]", "last after [sub]"}},
	}
	inner := map[string]string{"inner/plan.hcl": "level \"x\" {}\nlevel \"y\" { after = [] }\n"}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, order(expand(t, test.plan, nil, inner))); diff != "" {
				t.Errorf("levels (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLevelsUntilOne(t *testing.T) {
	tree := expand(t, `
level "a" {}
level "aside" { after = [] }
level "sub" {
  plan  = "../inner"
  after = [level.a]
}
level "last" {}`, nil, map[string]string{"inner/plan.hcl": "level \"x\" {}\nlevel \"y\" {}\n"})
	for until, want := range map[string][]string{
		"":      {"a", "aside", "sub.x", "sub.y", "sub", "last"},
		"a":     {"a"},
		"aside": {"aside"},
		"sub.x": {"a", "sub.x"},
		"sub":   {"a", "sub.x", "sub.y", "sub"},
		"last":  {"a", "sub.x", "sub.y", "sub", "last"},
		"none":  nil,
	} {
		taken := tree.Until(until)
		var got []string
		for _, l := range tree.Levels {
			if taken[l] {
				got = append(got, l.Name)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || len(taken) != len(got) {
			t.Errorf("Until(%q), %d levels (-want +got):\n%s", until, len(taken), diff)
		}
	}
}

func TestInstances(t *testing.T) {
	tree := expand(t, `
variable "n" { default = 2 }
level "one" {
  service "node" {
    count = var.n
    boot { command = ["node", count.index] }
    attributes = { port = 9000 + count.index }
  }
  service "role" {
    for_each = { web = 80, db = 5432 }
    boot { command = [each.key, each.value] }
  }
  service "zone" {
    for_each = toset(["b", "a"])
    boot { command = [each.key, each.value] }
  }
  service "none" {
    count = 0
    boot { command = ["none"] }
  }
}
level "two" {
  service "agent" {
    count = length(service.node)
    on    = service.node[count.index]
    boot { command = ["agent", service.node[count.index].port, service.role["web"].name] }
  }
}
output "ports" { value = service.node[*].port }
output "none" { value = service.none[*].address }
output "roles" { value = { for k, s in service.role : k => s.name } }
`, map[string]string{"n": "3"}, nil)
	want := []string{
		"one.node[0]", "one.node[1]", "one.node[2]", "one.role[db]", "one.role[web]", "one.zone[a]", "one.zone[b]",
		"two.agent[0]", "two.agent[1]", "two.agent[2]",
	}
	if diff := cmp.Diff(want, addresses(tree)); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	agent := service(t, tree, "two.agent[1]")
	if agent.On != service(t, tree, "one.node[1]") {
		t.Errorf("two.agent[1] is on %v", agent.On)
	}
	prepared, diags := agent.Prepare()
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if diff := cmp.Diff([]string{"agent", "9001", "role"}, prepared.Boot.Argv); diff != "" {
		t.Errorf("argv (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"ports": "[9000,9001,9002]", "none": "[]", "roles": `{"db":"role","web":"role"}`}, outputs(t, tree)); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
}

func outputs(t *testing.T, tree *Tree) map[string]string {
	t.Helper()
	got, diags := tree.Outputs()
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	shown := map[string]string{}
	for name, o := range got {
		shown[name] = string(o.JSON)
		if o.Sensitive {
			shown[name] += " (sensitive)"
		}
	}
	return shown
}

func TestLeftOut(t *testing.T) {
	plan := `
variable "cache" { default = false }
level "one" {
  service "cache" {
    enabled = var.cache
    boot { command = ["cache"] }
    exports = { url = string }
  }
}
level "two" {
  service "app" {
    boot { command = ["app", try(service.cache.url, "none"), service.cache == null ? "alone" : "cached"] }
  }
}
`
	app := service(t, expand(t, plan, nil, nil), "two.app")
	prepared, diags := app.Prepare()
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if diff := cmp.Diff([]string{"app", "none", "alone"}, prepared.Boot.Argv); diff != "" {
		t.Errorf("argv (-want +got):\n%s", diff)
	}

	tree := expand(t, plan, map[string]string{"cache": "true"}, nil)
	cache := service(t, tree, "one.cache")
	app = service(t, tree, "two.app")
	if _, diags := app.Prepare(); !strings.Contains(diags.Error(), "known only once the boot program of one.cache has ended") {
		t.Errorf("Prepare before the cache is known: %v", diags)
	}
	tree.Learn(cache, Known{Address: "h", Exports: map[string]cty.Value{"url": cty.StringVal("redis://h")}})
	prepared, diags = app.Prepare()
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if diff := cmp.Diff([]string{"app", "redis://h", "cached"}, prepared.Boot.Argv); diff != "" {
		t.Errorf("argv (-want +got):\n%s", diff)
	}
}

// What was worked out from a value changes when the value does, through locals, inputs and outputs.
func TestLearnAgain(t *testing.T) {
	tree := expand(t, `
locals {
  db = "db at ${service.db.address}"
}
level "one" {
  service "db" {
    boot { command = ["db"] }
  }
}
level "sub" {
  plan   = "../inner"
  inputs = { db = local.db }
}
output "said" { value = level.sub.said }
`, nil, map[string]string{"inner/plan.hcl": `
variable "db" { type = string }
level "core" {
  service "app" {
    boot { command = ["app", var.db] }
    attributes = { said = upper(var.db) }
  }
}
output "said" { value = service.app.said }
`})
	db := service(t, tree, "one.db")
	app := service(t, tree, "sub.core.app")
	if got := outputs(t, tree); len(got) != 0 {
		t.Errorf("outputs before anything is known: %v", got)
	}
	for _, address := range []string{"10.0.0.1", "10.0.0.2"} {
		tree.Learn(db, Known{Address: address})
		prepared, diags := app.Prepare()
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		if got, want := prepared.Boot.Argv[1], "db at "+address; got != want {
			t.Errorf("argument %q, want %q", got, want)
		}
		if diff := cmp.Diff(map[string]string{"said": `"DB AT ` + address + `"`}, outputs(t, tree)); diff != "" {
			t.Errorf("outputs (-want +got):\n%s", diff)
		}
	}
}

func TestSubPlansInSubPlans(t *testing.T) {
	tree := expand(t, `
level "east" {
  plan   = "../region"
  inputs = { name = "east", size = 2 }
}
level "west" {
  after  = []
  plan   = "../region"
  inputs = { name = "west" }
}
output "east" { value = level.east.apps }
output "west" { value = level.west.apps }
`, nil, map[string]string{
		"region/plan.hcl": `
variable "name" { type = string }
variable "size" { default = 1 }
level "inner" {
  plan   = "../app"
  inputs = { label = "${var.name}/${run.name}", size = var.size }
}
output "apps" { value = level.inner.names }
`,
		"app/plan.hcl": `
variable "label" { type = string }
variable "size" { type = number }
level "core" {
  service "app" {
    count = var.size
    attributes = { label = "${var.label}-${count.index}" }
    process { command = ["app"] }
  }
}
output "names" { value = service.app[*].label }
`})
	want := []string{"east.inner.core after []", "east.inner after [east.inner.core]", "east after [east.inner]",
		"west.inner.core after []", "west.inner after [west.inner.core]", "west after [west.inner]"}
	if diff := cmp.Diff(want, order(tree)); diff != "" {
		t.Errorf("levels (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"east": `["east/demo-0","east/demo-1"]`, "west": `["west/demo-0"]`}, outputs(t, tree)); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
}

// An input that only the run knows is checked by the plan that takes it as soon as it is known.
func TestInputValidatedLate(t *testing.T) {
	tree := expand(t, `
level "one" {
  service "db" {
    boot { command = ["db"] }
    exports = { port = number }
  }
}
level "sub" {
  plan   = "../inner"
  inputs = { port = service.db.port }
}
`, nil, map[string]string{"inner/plan.hcl": `
variable "port" {
  type = number
  validation {
    condition     = var.port < 1024
    error_message = "A port below 1024 is needed."
  }
}
level "core" {
  service "app" {
    boot { command = ["app", var.port] }
  }
}
`})
	db, app := service(t, tree, "one.db"), service(t, tree, "sub.core.app")
	exports, _, err := db.ParseExports([]byte("port=8080"))
	if err != nil {
		t.Fatal(err)
	}
	tree.Learn(db, Known{Address: "h", Exports: exports})
	_, diags := app.Prepare()
	if !diags.HasErrors() || !strings.Contains(diags.Error(), "A port below 1024 is needed.") {
		t.Errorf("Prepare = %v, want the message of the validation", diags)
	}
}

func TestRunners(t *testing.T) {
	plan := `
variable "where" { default = "here" }
runner "ec2" "west" {
  image = "ami-${run.name}"
  ssh {
    user = "ubuntu"
  }
}
level "one" {
  service "a" {
    runner = var.where == "west" ? runner.ec2.west : null
    boot { command = ["a"] }
  }
}
`
	a := service(t, expand(t, plan, nil, nil), "one.a")
	if a.Runner.Address() != "local" {
		t.Errorf("runner %s, want local", a.Runner.Address())
	}
	a = service(t, expand(t, plan, map[string]string{"where": "west"}, nil), "one.a")
	if a.Runner.Address() != "ec2.west" {
		t.Fatalf("runner %s, want ec2.west", a.Runner.Address())
	}
	config := a.Runner.Config
	if got := config.GetAttr("image"); got.AsString() != "ami-demo" {
		t.Errorf("image %#v", got)
	}
	if got := config.GetAttr("ssh").GetAttr("user"); got.AsString() != "ubuntu" {
		t.Errorf("ssh.user %#v", got)
	}
	if !config.GetAttr("region").IsNull() {
		t.Errorf("region %#v, want null", config.GetAttr("region"))
	}
}
