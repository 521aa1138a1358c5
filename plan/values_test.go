package plan

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"
)

func TestExports(t *testing.T) {
	tree := expand(t, `
level "one" {
  service "a" {
    boot { command = ["a"] }
    exports = {
      url   = string
      n     = number
      on    = bool
      list  = list(string)
      shape = object({ a = number, b = string })
    }
    export "opt" {
      type    = string
      default = "none"
    }
    export "nil" {
      type    = number
      default = null
    }
  }
}
`, nil, nil)
	s := tree.Services[0]
	full := `{"url": "u", "n": 5, "on": true, "list": ["x", "y"], "shape": {"a": 1, "b": "z"}`
	tests := []struct{ name, data, want string }{
		{"json", full + `}`, ""},
		{"json with defaults overridden", full + `, "opt": "some", "nil": 3}`, ""},
		{"null where the default is", full + `, "nil": null}`, ""},
		{"lines", "url=u=v\nn=five\non=true\n# comment\n\nlist=[\"x\"]\nshape={\"a\": 1, \"b\": \"z\"}\r\n", `the export "n" is not a number, which is its declared type`},
		{"lines as they should be", "url=u=v\nn=5\non=true\n# comment\n\nlist=[\"x\"]\nshape={\"a\": 1, \"b\": \"z\"}\r\n", ""},
		{"nothing", "", `the boot program did not leave the export "url", which is declared without a default`},
		{"missing", `{"url": "u"}`, `the boot program did not leave the export "n", which is declared without a default`},
		{"type", strings.Replace(full, "5", `"five"`, 1) + `}`, `the export "n" is not a number, which is its declared type`},
		{"null", strings.Replace(full, `"u"`, `null`, 1) + `}`, `the export "url" is null; only one with default = null may be that`},
		{"object", strings.Replace(full, `"b"`, `"c"`, 1) + `}`, `the export "shape" is not an object({a=number,b=string}), which is its declared type`},
		{"array", `[1, 2]`, `the exports file holds a JSON array: it must be a JSON object or NAME=VALUE lines`},
		{"garbage", "\x00\x01", `line 1 of the exports file is not NAME=VALUE (and the file is not a JSON object)`},
		{"not text", "url=\xff", `the exports file is not UTF-8 text`},
		{"broken json", `{"url": `, `the exports file is not a JSON object`},
		{"more after it", `{} {}`, `the exports file has more after its JSON object`},
		{"deep", strings.Repeat(`{"a":`, 200), `the exports file nests deeper than 100`},
		{"huge number", strings.Replace(full, "5", "1e999999999", 1) + `}`, `the export "n" holds a number that is out of range`},
		{"large", strings.Repeat("x", maxExports+1), `the exports file is larger than 1024 KiB`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			exports, _, err := s.ParseExports([]byte(test.data))
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Fatalf("error %q, want %q", got, test.want)
			}
			if err == nil && len(exports) != 7 {
				t.Errorf("exports %v", exports)
			}
		})
	}
	_, ignored, err := s.ParseExports([]byte(full + `, "zz": 1, "extra": 2}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"extra", "zz"}, ignored); diff != "" {
		t.Errorf("ignored (-want +got):\n%s", diff)
	}
}

func TestGivenVariables(t *testing.T) {
	plan := `
variable "s" { type = string }
variable "n" { type = number }
variable "l" { type = list(string) }
variable "o" { type = object({ a = number, b = optional(string, "std") }) }
variable "any" { default = null }
output "all" { value = [var.s, var.n, var.l, var.o, var.any] }
`
	tree := expand(t, plan, map[string]string{"s": "[not a list]", "n": "5", "l": `["x", "y"]`, "o": "{ a = 1 }", "any": "word"}, nil)
	if diff := cmp.Diff(map[string]string{"all": `["[not a list]",5,["x","y"],{"a":1,"b":"std"},"word"]`}, outputs(t, tree)); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}

	p := load(t, plan, nil)
	vars, diags := ParseVarFile("prod.vars", []byte("s = \"x\"\nn = \"many\"\nl = []\no = { a = 1 }\nm = 1\n"))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	_, diags = p.Expand(Inputs{Variables: vars})
	for _, want := range []string{
		`What prod.vars:2 gives for variable "n" is not of type number: a number is required.`,
		`prod.vars:5 gives a value for "m", and the plan has no such variable.`,
	} {
		if !strings.Contains(errorTexts(diags.Errs()), want) {
			t.Errorf("%v does not say %q", errorTexts(diags.Errs()), want)
		}
	}
}

func errorTexts(errs []error) string {
	var b strings.Builder
	for _, err := range errs {
		b.WriteString(err.Error() + "\n")
	}
	return b.String()
}

// What a run captured gives the same tree again, also for values whose type only the run knows.
func TestCapturedAgain(t *testing.T) {
	plan := `
variable "any" { default = null }
variable "map" { type = map(number) }
output "all" { value = [var.any, var.map, env("HOME"), env("NOTHING", "unset"), executable("tool")] }
`
	tree := expand(t, plan, map[string]string{"any": `{ a = [1, "b"] }`, "map": "{ x = 1 }"}, nil)
	encoded, err := json.Marshal(tree.Captured())
	if err != nil {
		t.Fatal(err)
	}
	var captured Captured
	if err := json.Unmarshal(encoded, &captured); err != nil {
		t.Fatal(err)
	}
	given := map[string]Given{}
	for name, v := range captured.Variables {
		if given[name], err = v.Given(); err != nil {
			t.Fatal(err)
		}
	}
	again, diags := load(t, plan, nil).Expand(Inputs{Variables: given})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if diff := cmp.Diff(outputs(t, tree), outputs(t, again)); diff != "" {
		t.Errorf("outputs (-first +again):\n%s", diff)
	}
	if captured.Env["HOME"] == nil || captured.Env["NOTHING"] != nil || captured.Executables["tool"] != "/usr/bin/tool" {
		t.Errorf("captured %s", encoded)
	}
}

// TestNullExportIsNamed: who needs a value that a boot program did not leave is told which one, and whose.
func TestNullExportIsNamed(t *testing.T) {
	tree := expand(t, `
level "one" {
  service "a" {
    count = 2
    boot { command = ["a"] }
    export "left" {
      type    = string
      default = null
    }
  }
}
locals { through = [service.a[1].left] }
level "two" {
  service "list" {
    boot { command = ["b", service.a[1].left] }
  }
  service "template" {
    boot { command = ["b", "x-${service.a[1].left}"] }
  }
  service "attribute" {
    attributes = { deps = { x = service.a[1].left, y = null } }
    boot { command = ["b", self.deps.x] }
  }
  service "other" {
    attributes = { deps = merge({ name = service.a[1].left }, {}) }
    boot { command = ["b"] }
    file "f" { content = templatefile("greeting.tmpl", self.deps) }
  }
  service "local" {
    boot { command = ["b", local.through[0]] }
  }
}
`, nil, map[string]string{"main/greeting.tmpl": "Hello ${name}!"})
	for _, svc := range tree.Services {
		tree.Learn(svc, Known{Address: "10.0.0.1", WorkDir: "/w", Exports: map[string]cty.Value{"left": cty.NullVal(cty.String)}})
	}
	const want = "service.a[1].left is null: the boot program of one.a left no value for it."
	for _, svc := range tree.Services {
		_, diags := svc.Prepare()
		switch {
		case svc.Name == "a":
			if diags.HasErrors() {
				t.Error(diags)
			}
		case strings.Count(diags.Error(), want) != 1:
			t.Errorf("%s: %v, want %q", svc.Name, diags, want)
		}
	}
}

// Programs of Windows begin files with a byte order mark. A text in JSON is no template.
func TestVarFileOfWindows(t *testing.T) {
	for _, src := range []string{"x = \"$${a}\"\r\n", "{\"x\": \"${a}\"}\r\n"} {
		vars, diags := ParseVarFile("prod.vars", []byte("\ufeff"+src))
		if diags.HasErrors() || !vars["x"].Value.RawEquals(cty.StringVal("${a}")) {
			t.Errorf("%q: %v, %v", src, vars, diags)
		}
	}
}

// A null export is found behind the output of a plan, and where it is an object that was to have an attribute.
func TestNullExportElsewhere(t *testing.T) {
	tree := expand(t, `
level "inner" {
  plan = "../inner"
}
level "two" {
  service "output" {
    boot { command = ["b", level.inner.left] }
  }
}
`, nil, map[string]string{"inner/plan.hcl": `
level "one" {
  service "a" {
    boot { command = ["a"] }
    export "left" {
      type    = object({ port = number })
      default = null
    }
  }
}
output "left" { value = service.a.left.port }
`})
	tree.Learn(tree.Services[0], Known{Address: "10.0.0.1", WorkDir: "/w", Exports: map[string]cty.Value{}})
	_, diags := service(t, tree, "two.output").Prepare()
	const want = "service.a.left.port is null: the boot program of inner.one.a left no value for it."
	if strings.Count(diags.Error(), want) != 1 {
		t.Errorf("%v, want %q", diags, want)
	}
}

func TestFingerprint(t *testing.T) {
	plan := `
variable "mode" { default = "fast" }
level "one" {
  service "a" {
    file "conf" { content = var.mode }
    boot {
      program = "boot.sh"
      timeout = "10m"
    }
    ready { command = ["true"] }
  }
}
`
	print := func(plan, mode string) string {
		s := expand(t, plan, map[string]string{"mode": mode}, nil).Services[0]
		p, diags := s.Prepare()
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		return s.Fingerprint(p, "", []byte("key"))
	}
	first := print(plan, "fast")
	if again := print(plan, "fast"); again != first {
		t.Error("the same service has another fingerprint")
	}
	if print(plan, "slow") == first {
		t.Error("another file content has the same fingerprint")
	}
	patient := strings.NewReplacer("10m", "20m", "[\"true\"]", "[\"false\"]").Replace(plan)
	if print(patient, "fast") != first {
		t.Error("a longer timeout and another probe change the fingerprint")
	}
}

// Terminating a service of which little was learned still says what can be done.
func TestEndingWithoutExports(t *testing.T) {
	tree := expand(t, `
level "one" {
  service "a" {
    boot { command = ["a"] }
    exports = { pid = number }
    terminate { command = ["kill", self.pid] }
    gone { command = ["gone"] }
  }
}
`, nil, nil)
	ending, diags := tree.Services[0].Ending()
	if !strings.Contains(diags.Error(), "known only once the boot program of one.a has ended") {
		t.Errorf("diagnostics %v", diags)
	}
	if ending.Terminate != nil || len(ending.Gone) != 1 || string(ending.Attributes) != `{"name":"a"}` {
		t.Errorf("ending %+v", ending)
	}
	tree.Learn(tree.Services[0], Known{Exports: map[string]cty.Value{"pid": cty.NumberIntVal(7)}})
	ending, diags = tree.Services[0].Ending()
	if diags.HasErrors() || ending.Terminate.Display != "kill 7" || string(ending.Attributes) != `{"name":"a","pid":7}` {
		t.Errorf("ending %+v, %v", ending, diags)
	}
}
