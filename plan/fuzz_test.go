package plan

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/hcl/v2"
)

// checkRanges fails where a diagnostic points outside of its file.
func checkRanges(t *testing.T, diags hcl.Diagnostics, sources map[string]*hcl.File) {
	t.Helper()
	for _, d := range diags {
		if d.Subject == nil {
			continue
		}
		file := sources[d.Subject.Filename]
		if file == nil {
			continue
		}
		r := *d.Subject
		if r.Start.Byte < 0 || r.Start.Byte > r.End.Byte || r.End.Byte > len(file.Bytes) || r.Start.Line < 1 || r.Start.Column < 1 {
			t.Errorf("%s points to %v, and the file has %d bytes", d.Summary, r, len(file.Bytes))
		}
	}
}

// seeds adds every plan of testdata.
func seeds(f *testing.F) {
	paths, err := filepath.Glob("testdata/*/*.hcl")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Add([]byte(designPlan))
}

// fuzzServices bounds what an input may ask for: a million services are valid, and no news.
const fuzzServices = 2000

// FuzzLoad: whatever a plan file holds, Load and Expand return, and point into the file.
func FuzzLoad(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		files := append(commonFiles(), SnapshotFile{Dir: "/plans/main", Path: "plan.hcl", Mode: 0o644, Content: src})
		p, diags := Load("/plans/main", testOptions(files))
		if p == nil {
			return
		}
		checkRanges(t, diags, p.Sources())
		JSONDiagnostics(diags, p.Sources())
		if diags.HasErrors() || countsHigh(p) {
			return
		}
		tree, diags := p.Expand(Inputs{RunName: "run", RunID: "id"})
		checkRanges(t, diags, p.Sources())
		if tree == nil {
			return
		}
		for i, s := range tree.Services {
			if i > 20 {
				break
			}
			s.Preview()
			tree.Learn(s, Known{Address: "127.0.0.1", WorkDir: "/work"})
			_, diags := s.Prepare()
			checkRanges(t, diags, p.Sources())
			s.Checks()
			s.Ending()
			s.Public(tree.Secrets())
		}
		tree.Outputs()
		tree.Captured()
		if _, err := tree.Snapshot(); err != nil {
			t.Error(err)
		}
	})
}

// countsHigh says whether the plan asks for many services.
func countsHigh(p *Plan) bool {
	s := newScope(p.loader, p.root, &Tree{plan: p}, &sync.Mutex{})
	for _, level := range p.root.levelList {
		for _, b := range level.services {
			e := &evaluation{scope: s, check: true}
			if b.count != nil && e.whole(b.count, "count", 0, MaxServices, 0) > fuzzServices {
				return true
			}
		}
	}
	return false
}

// FuzzEvaluate: whatever expression stands in a plan, evaluating it ends, with little memory.
func FuzzEvaluate(f *testing.F) {
	for _, x := range []string{
		`1 + 2`, `"a${local.list[0]}b"`, `[for x in local.list : upper(x)]`, `{ for k, v in local.object : k => v... }`,
		`format("%05d-%s", 5, "x")`, `try(local.object.missing, "none")`, `templatefile("greeting.tmpl", { name = "x" })`,
		`jsondecode("{\"a\": [1, 2]}").a[1]`, `setproduct(["a"], ["b"])`, `cidrsubnet("10.0.0.0/8", 8, 3)`, `local.secret`,
		`regexall("[a-z]+", "a b c")`, `replace("aaa", "/a/", "b")`, `1e300 * 1e300`, `"${1e99}"`, `pow(2, 0.5)`, `merge({ a = 1 }, { b = 2 })`,
		"<<EOT\n%{ for x in local.list ~}\n${x}\n%{ endfor ~}\nEOT\n", `service.a[*].address`, `service.a[0].url`, `indent(4, "a\nb")`,
		`parseint("ff", 16)`, `one(toset(["a"]))`, `sum([1, 2])`, `range(0, 10, 3)`, `nonsensitive(local.secret)`, `log(0, 0)`, `abs(-1)`,
		`zipmap(["a"], [1])`, `chunklist([1, 2, 3], 2)`, `lookup({ a = 1 }, "b", 2)`, `flatten([[1], [2, [3]]])`, `csvdecode("a,b\n1,2")`,
		`yamlencode({ a = [1, null, "b\n c"], d = local.secret })`, `yamldecode("a: &x [1, ~, yes]\nb: *x\nc: {<<: {d: e}}\n")`, `yamldecode(local.secret)`,
		`matchkeys(["a", "b"], [1, 2], ["2"])`, `transpose({ a = ["x", "y"], b = ["y"] })`, `lookup(local.object, "c")`, `lookup({ a = service.a[0].url }, "a")`,
		`cidrsubnets("10.0.0.0/8", 4, 8, 32)`, `cidrcontains("fd00::/8", "fd00::1")`, `templatestring("<$${x}%%{ for y in x }$${y}%%{ endfor }>", { x = ["y"] })`,
		`formatdate("YYYY-MM-DD'T'hh:mm:ss AA ZZZ", "2026-01-31T09:30:00Z")`, `timeadd("2026-01-31T09:30:00Z", "-1h5m")`, `timecmp("2026-01-31T09:30:00Z", "2026-01-31T10:30:00+01:00")`,
		`base64gunzip(base64gzip("hello"))`, `textdecodebase64(textencodebase64("x", "UTF-16LE"), "UTF-16LE")`, `urldecode("a+b%26")`, `uuidv5("dns", "x")`,
		`base64sha512("x")`, `filebase64sha512("greeting.tmpl")`, `filemd5(local.secret)`,
	} {
		f.Add(x)
	}
	f.Fuzz(func(t *testing.T, x string) {
		src := []byte(`
locals {
  list   = ["a", "b"]
  object = { a = 1, b = "two" }
  secret = sensitive("hunter22")
}
level "one" {
  service "a" {
    count = 2
    boot { command = ["true"] }
    exports = { url = string }
  }
}
output "x" {
  sensitive = true
  value     = ` + x + `
}
`)
		files := append(commonFiles(), SnapshotFile{Dir: "/plans/main", Path: "plan.hcl", Mode: 0o644, Content: src})
		p, diags := Load("/plans/main", testOptions(files))
		checkPanics(t, diags)
		if p == nil || diags.HasErrors() {
			return
		}
		tree, diags := p.Expand(Inputs{RunName: "run", RunID: "id"})
		checkPanics(t, diags)
		if tree == nil {
			return
		}
		for _, s := range tree.Services {
			exports, _, err := s.ParseExports([]byte("url=x"))
			if err == nil {
				tree.Learn(s, Known{Address: "127.0.0.1", WorkDir: "/work", Exports: exports})
			}
		}
		_, diags = tree.Outputs()
		checkPanics(t, diags)
	})
}

// checkPanics fails where a function panicked, which cty makes an error of.
func checkPanics(t *testing.T, diags hcl.Diagnostics) {
	t.Helper()
	for _, d := range diags {
		if strings.Contains(d.Detail, "panic in function") {
			t.Error(d.Detail)
		}
	}
}

// FuzzParseExports: whatever a boot program leaves, it is read or refused, and read again from what is recorded.
func FuzzParseExports(f *testing.F) {
	for _, data := range []string{
		`{"url": "http://x", "n": 5, "list": ["a"], "o": {"a": 1, "b": "x"}}`, "url=http://x\nn=5\nlist=[\"a\"]\no={\"a\":1,\"b\":\"x\"}\n",
		`{"n": 1e400}`, `{"url": null}`, `[1]`, "", "#", "a", "=", `{"url": "a"} x`, "\ufeffurl=x", "url=a\r\nn=1\r\n", `{"any": [[[[]]]]}`,
	} {
		f.Add([]byte(data))
	}
	src := []byte(`
level "one" {
  service "a" {
    boot { command = ["true"] }
    exports = {
      url  = string
      n    = number
      list = list(string)
      o    = object({ a = number, b = string })
    }
    export "any" {
      type    = any
      default = null
    }
  }
}
`)
	p, diags := Load("/plans/main", testOptions([]SnapshotFile{{Dir: "/plans/main", Path: "plan.hcl", Mode: 0o644, Content: src}}))
	if diags.HasErrors() {
		f.Fatal(diags)
	}
	tree, diags := p.Expand(Inputs{})
	if diags.HasErrors() {
		f.Fatal(diags)
	}
	s := tree.Services[0]
	f.Fuzz(func(t *testing.T, data []byte) {
		exports, _, err := s.ParseExports(data)
		if err != nil {
			return
		}
		tree.Learn(s, Known{Address: "127.0.0.1", Exports: exports})
		attributes, withheld := s.Public(nil)
		if len(withheld) > 0 {
			t.Fatalf("withheld %v", withheld)
		}
		again, err := s.RestoreExports(attributes, nil)
		if err != nil {
			t.Fatalf("restore %s: %v", attributes, err)
		}
		for name, value := range exports {
			if !value.RawEquals(again[name]) {
				t.Errorf("%s: left %#v, restored %#v", name, value, again[name])
			}
		}
	})
}

// FuzzParseVarFile: whatever a variable file holds, it is read or refused with a place in it.
func FuzzParseVarFile(f *testing.F) {
	for _, src := range []string{"a = 1\nb = \"x\"\n", `{"a": [1, {"b": null}]}`, `{"a": "${x}"}`, "a = b", "{", "x = [[[[", "a = 1\na = 2\n"} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		_, diags := ParseVarFile("x.vars", src)
		checkRanges(t, diags, map[string]*hcl.File{"x.vars": {Bytes: src}})
	})
}
