package plan

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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

func archive(t *testing.T, files map[string]string) string {
	t.Helper()
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	out := tar.NewWriter(zipped)
	for _, name := range keys(files) {
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(files[name])), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.String()
}

func TestProgramForms(t *testing.T) {
	more := map[string]string{
		"main/top.tar.gz":    archive(t, map[string]string{"run.sh": "#!/bin/sh\n", "lib/x": "x"}),
		"main/folder.tar.gz": archive(t, map[string]string{"pkg/run.sh": "#!/bin/sh\n", "pkg/x": "x"}),
	}
	tree := expand(t, `
level "one" {
  service "file" {
    count = 2
    boot {
      program = "boot.sh"
      args    = ["--n", 5, "two words"]
      env     = { A = 1, B = null, C = "x" }
    }
  }
  service "directory" {
    boot { program = "bundle" }
  }
  service "top" {
    boot { program = "top.tar.gz" }
  }
  service "folder" {
    boot { program = "folder.tar.gz" }
  }
  service "script" {
    boot { script = "echo hello" }
  }
  service "process" {
    process {
      command      = ["sleep", "60"]
      stop_signal  = "INT"
      stop_timeout = "3s"
    }
  }
}
`, nil, more)
	got := map[string]string{}
	var payloads []*Payload
	for _, s := range tree.Services {
		p, diags := s.Prepare()
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		if p.Process != nil {
			ending, diags := s.Ending()
			if diags.HasErrors() || ending.Signal != "SIGINT" || ending.Grace.String() != "3s" || p.Process.StopSignal != "SIGINT" {
				t.Errorf("process %+v, ending %+v, %v", p.Process, ending, diags)
			}
			continue
		}
		payloads = append(payloads, p.Boot.Payload)
		got[s.Address] = p.Boot.Payload.Entry + " of"
		for _, f := range p.Boot.Payload.Files {
			got[s.Address] += " " + f.Path
		}
	}
	want := map[string]string{
		"one.file[0]": "boot.sh of boot.sh", "one.file[1]": "boot.sh of boot.sh", "one.directory": "run.sh of run.sh",
		"one.top": "run.sh of lib/x run.sh", "one.folder": "pkg/run.sh of pkg/run.sh pkg/x", "one.script": "script.sh of script.sh",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("payloads (-want +got):\n%s", diff)
	}
	if payloads[0] != payloads[1] {
		t.Error("two services with one program have two payloads")
	}
	prepared, _ := tree.Services[0].Prepare()
	if diff := cmp.Diff(map[string]string{"A": "1", "C": "x"}, prepared.Boot.Env); diff != "" {
		t.Errorf("env (-want +got):\n%s", diff)
	}
	if got, want := prepared.Boot.Display, `boot.sh --n 5 "two words"`; got != want {
		t.Errorf("shown as %s, want %s", got, want)
	}
}

func TestArchivesThatAreRefused(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"leads out of the archive": {"run.sh": "", "../evil": ""},
		"has no run.sh":            {"a/x": "", "b/run.sh": ""},
	} {
		_, err := makePayload(&planFiles{dir: "/p", fsys: newKept(SnapshotFile{Path: "x.tar.gz", Content: []byte(archive(t, files))}), read: map[string]*planFile{}}, "x.tar.gz")
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want one that says %q", err, name)
		}
	}
}

func newKept(files ...SnapshotFile) *keptFS {
	kept := newKeptFS()
	for _, file := range files {
		kept.add(file)
	}
	return kept
}

// A plan on disk cannot reach outside of its directory, nor make launch wait.
func TestHostileFiles(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("outside"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	large, err := os.Create(filepath.Join(dir, "large"))
	if err != nil {
		t.Fatal(err)
	}
	if err := large.Truncate(1 << 40); err != nil {
		t.Fatal(err)
	}
	large.Close()
	for x, want := range map[string]string{
		`file("link")`:            "leads out of the plan's directory",
		`file("fifo")`:            "it is not a regular file",
		`file("large")`:           "would be larger than the 64 MiB",
		`file("/etc/hostname")`:   "lies outside of the plan's directory",
		`file("../x")`:            "lies outside of the plan's directory",
		`file(".")`:               "it is a directory",
		`file("")`:                "the path is empty",
		`fileset(".", "**/fif*")`: "it is not a regular file",
	} {
		if err := os.WriteFile(filepath.Join(dir, "plan.hcl"), []byte("output \"x\" { value = "+x+" }\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		_, diags := Load(dir, Options{})
		if !strings.Contains(diags.Error(), want) {
			t.Errorf("%s: %v, want one that says %q", x, diags, want)
		}
	}
}

func TestPlanFileThatIsNone(t *testing.T) {
	dir := t.TempDir()
	if p, diags := Load(dir, Options{}); p != nil || !strings.Contains(diags.Error(), "it has no plan.hcl") {
		t.Errorf("empty directory: %v, %v", p, diags)
	}
	if p, diags := Load(filepath.Join(dir, "nothing"), Options{}); p != nil || !strings.Contains(diags.Error(), "does not exist") {
		t.Errorf("missing directory: %v, %v", p, diags)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "plan.hcl"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, diags := Load(dir, Options{}); !strings.Contains(diags.Error(), "it is not a regular file") {
		t.Errorf("plan.hcl is a FIFO: %v", diags)
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
