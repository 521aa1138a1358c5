package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"
)

func TestFileSet(t *testing.T) {
	tree := expand(t, `
output "direct" { value = fileset("d", "*") }
output "below" { value = fileset("d", "**") }
output "scripts" { value = fileset("d", "**/*.sh") }
output "between" { value = fileset(".", "d/**/e/*.sh") }
output "top" { value = fileset("d", "*/*.sh") }
`, nil, map[string]string{"main/d/a.sh": "", "main/d/b.txt": "", "main/d/e/c.sh": "", "main/d/f/e/d.sh": ""})
	want := map[string]string{
		"direct":  `["a.sh","b.txt"]`,
		"below":   `["a.sh","b.txt","e/c.sh","f/e/d.sh"]`,
		"scripts": `["a.sh","e/c.sh","f/e/d.sh"]`,
		"between": `["d/e/c.sh","d/f/e/d.sh"]`,
		"top":     `["e/c.sh"]`,
	}
	if diff := cmp.Diff(want, outputs(t, tree)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// What Terraform's own documentation, or Terraform itself, says of less usual arguments.
func TestFunctionsAsInTerraform(t *testing.T) {
	tests := []struct{ x, want string }{
		{`yamlencode(null)`, `"null\n...\n"`},
		{`yamlencode([1, [2, [3, "a\n b\n"]]])`, `"- 1\n- - 2\n  - - 3\n    - |\n      a\n       b\n"`},
		{`yamlencode({ a = " lead\ntrail ", b = "tab\there", c = "é", d = "yes", e = 1e30 })`, `"\"a\": \" lead\\ntrail \"\n\"b\": \"tab\\there\"\n\"c\": \"é\"\n\"d\": \"yes\"\n\"e\": 1000000000000000000000000000000\n"`},
		{`yamldecode("a: 1\nb: [true, ~, 'x', 2001-12-14, 0x1f, 1e3, yes]\nc: |\n  text\n")`, `{"a":1,"b":[true,null,"x","2001-12-14T00:00:00Z",31,1000,true],"c":"text\n"}`},
		{`yamldecode("x: &a {b: 1}\ny: *a\nz:\n  <<: *a\n  c: 2\n")`, `{"true":{"b":1},"x":{"b":1},"z":{"b":1,"c":2}}`},
		{`yamldecode("null")`, `null`},
		{`matchkeys(["a"], ["b"], [])`, `[]`},
		{`matchkeys(["a", "b"], [1, 2], ["2"])`, `["b"]`},
		{`matchkeys(["a", "b"], [null, "x"], [null])`, `["a"]`},
		{`matchkeys(["a", "b"], [{ a = 1 }, { a = 2 }], [{ a = 2 }])`, `["b"]`},
		{`transpose({})`, `{}`},
		{`transpose({ a = [] })`, `{}`},
		{`transpose({ b = [1, 1], a = [1] })`, `{"1":["a","b","b"]}`},
		{`cidrsubnets("fd00:fd12:3456:7890::/56", 16, 16, 16, 32)`, `["fd00:fd12:3456:7800::/72","fd00:fd12:3456:7800:100::/72","fd00:fd12:3456:7800:200::/72","fd00:fd12:3456:7800:300::/88"]`},
		{`cidrsubnets("10.0.0.0/8")`, `[]`},
		{`cidrsubnets("255.0.0.0/8", 1, 1)`, `["255.0.0.0/9","255.128.0.0/9"]`},
		{`cidrsubnets("10.0.0.0/16", 8, 4, 8, 2, 16)`, `["10.0.0.0/24","10.0.16.0/20","10.0.32.0/24","10.0.64.0/18","10.0.128.0/32"]`},
		{`formatdate("h'h'mm 'it''s' AA aa", "2018-01-02T23:12:01-08:00")`, `"23h12 it's PM pm"`},
		{`timeadd("2017-11-22T00:00:00+01:00", "-1.5h")`, `"2017-11-21T22:30:00+01:00"`},
		{`timecmp("2017-11-22T00:00:00Z", "2017-11-22T01:00:00Z")`, `-1`},
		{`timecmp("2017-11-22T02:00:00Z", "2017-11-22T01:00:00Z")`, `1`},
		{`base64gzip("")`, `"H4sIAAAAAAAA/wAAAP//AQAA//8AAAAAAAAAAA=="`},
		{`textencodebase64("é", "ISO-8859-1")`, `"6Q=="`},
		{`textencodebase64("日本", "Shift_JIS")`, `"k/qWew=="`},
		{`uuidv5("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "www.example.com")`, `"2ed6657d-e927-568b-95e1-2665a8aea6a2"`},
		{`uuidv5("x500", "CN=Example,C=GB")`, `"84e09961-4aa4-57f8-95b7-03edb1073253"`},
		{`lookup(tomap({ a = "ay" }), "a")`, `"ay"`},
		{`lookup({ a = "ay" }, "c", null)`, `null`},
		{`lookup({ a = 1 }, "a", [])`, `1`},
		{`replace("hello world", "/(w)(.*)d/", "$2$1")`, `"hello orlw"`},
		{`replace("a/b", "/", "-")`, `"a-b"`},
		{`cidrcontains("10.0.0.0/8", "10.0.0.0/7")`, `false`},
		{`cidrcontains("10.0.0.0/8", "10.255.0.0/16")`, `true`},
		{`cidrcontains("fd00::/8", "fd00::1")`, `true`},
		{`urldecode("a%C3%A9")`, `"aé"`},
	}
	for _, test := range tests {
		tree := expand(t, "output \"x\" { value = "+test.x+" }\n", nil, nil)
		if got := outputs(t, tree)["x"]; got != test.want {
			t.Errorf("%s is %s, want %s", test.x, got, test.want)
		}
	}
}

func TestFunctionsThatRefuse(t *testing.T) {
	tests := []struct{ x, want string }{
		{`yamldecode("--- 1\n--- 2")`, `unexpected extra content after value`},
		{`yamldecode("!foo {a: 1}")`, `can't interpret mapping as "!foo"`},
		{`yamldecode("!!int x${join("", range(1000))}")`, `cannot parse "…" as`},
		{`yamldecode(".inf")`, `holds a number that is out of range`},
		{`matchkeys(["a"], ["b", "c"], ["b"])`, `there are 2 and 1`},
		{`matchkeys(["a"], [{ a = 1 }], ["x"])`, `of the same type`},
		{`transpose({ a = null })`, `the list of "a" is null`},
		{`transpose({ a = [null] })`, `the list of "a" has null in it`},
		{`cidrsubnets("255.0.0.0/8", 1, 1, 1)`, `no room left`},
		{`cidrsubnets("10.0.0.0/30", 3)`, `cannot be extended by 3 bits`},
		{`cidrsubnets("10.0.0.0/30", 0)`, `cannot be extended by 0 bits`},
		{`cidrsubnets("fd00::/8", 33)`, `cannot be extended by 33 bits`},
		{`cidrcontains("10.0.0.0/8", "::1")`, `IPv4 and the other one of IPv6`},
		{`cidrcontains("10.0.0.0/8", "10.0.0")`, `neither an address nor a range`},
		{`formatdate("YYYYY", "2018-01-02T23:12:01Z")`, `invalid date format verb "YYYYY"`},
		{`formatdate("YYYY", "2018-01-02")`, `"2018-01-02" is not a time`},
		{`timeadd("2017-11-22T00:00:00Z", "1d")`, `"1d" is not a duration`},
		{`timecmp("x", "2017-11-22T01:00:00Z")`, `"x" is not a time`},
		{`textencodebase64("日", "ISO-8859-1")`, `characters that the encoding lacks`},
		{`textencodebase64("x", "nothing")`, `"nothing" is not an encoding`},
		{`textdecodebase64("/w==", "UTF-8")`, `not in this encoding`},
		{`base64gunzip("aGVsbG8=")`, `is not gzip`},
		{`urldecode("%zz")`, `hexadecimal digits`},
		{`uuidv5("bad", "x")`, `"bad" is not dns`},
		{`lookup({ a = 1 }, "c")`, `there is no "c" in it`},
		{`lookup(tomap({ a = 1 }), "c")`, `there is no "c" in it`},
		{`lookup({ a = 1 }, "a", 1, 2)`, `lookup takes`},
		{`templatestring("$${x}", {})`, `the template line 1 refers to "x", which it is not given`},
		{`templatestring("%%{ for y in x }$${y}%%{ endfor }", {})`, `the template line 1 refers to "x", which it is not given`},
		{`templatestring("$${", {})`, `the template line 1`},
		{`templatestring("$${templatestring(\"a\", {})}", {})`, `There is no function named "templatestring"`},
		{`parseint(join("", [for i in range(1000) : "long"]), 10)`, `cannot parse "…" as a base 10 integer`},
		{`log(0, 0)`, `it has no result for these arguments`},
		{`filemd5("nothing")`, `it does not exist`},
	}
	for _, test := range tests {
		files := append(commonFiles(), SnapshotFile{Dir: "/plans/main", Path: "plan.hcl", Content: []byte("output \"x\" { value = " + test.x + " }\n")})
		_, diags := Load("/plans/main", testOptions(files))
		if !diags.HasErrors() || !strings.Contains(diags.Error(), test.want) {
			t.Errorf("%s: %v, want one that says %s", test.x, diags, test.want)
		}
	}
}

// The first expression that has a value is evaluated, each one once: this would take years otherwise.
func TestTryWithinTry(t *testing.T) {
	nested := strings.Repeat("try(", 80) + "1" + strings.Repeat(")", 80)
	tree := expand(t, `output "x" { value = [try(1 + "a", { }.x, "b"), try(null, 1), `+nested+"] }\n", nil, nil)
	if got, want := outputs(t, tree)["x"], `["b",null,1]`; got != want {
		t.Errorf("outputs %s, want %s", got, want)
	}
}

// What is not known yet makes unknown what depends on it, and nothing else.
func TestFunctionsOfUnknownValues(t *testing.T) {
	tree := expand(t, `
level "one" {
  service "a" {
    boot { command = ["true"] }
    exports = { url = string }
  }
}
locals {
  map  = { known = "k", later = service.a.url }
  list = [service.a.url, "k"]
}
output "values" {
  value = [
    lookup(local.map, "known"), lookup(tomap(local.map), "known", "x"), lookup(local.map, "later"), lookup({ x = 1 }, service.a.url, "none"),
    yamlencode(local.map), yamldecode("url: ${service.a.url}"), matchkeys(local.list, ["a", "b"], ["b"]), matchkeys(["a", "b"], local.list, [service.a.url]),
    transpose({ a = local.list }), cidrcontains("10.0.0.0/8", service.a.url), templatestring("<$${x}>", { x = service.a.url }), templatestring(service.a.url, {}),
    timecmp(timeadd("2026-01-31T09:30:00Z", "1h"), "2026-01-31T09:30:00Z"),
  ]
}
`, nil, nil)
	if got := outputs(t, tree)["values"]; strings.Contains(got, "10.0.0.9") {
		t.Errorf("outputs %s before the export is known", got)
	}
	tree.Learn(tree.Services[0], Known{Address: "h", Exports: map[string]cty.Value{"url": cty.StringVal("10.0.0.9")}})
	want := `["k","k","10.0.0.9","none","\"known\": \"k\"\n\"later\": \"10.0.0.9\"\n",{"url":"10.0.0.9"},["k"],["a"],{"10.0.0.9":["a"],"k":["a"]},true,"\u003c10.0.0.9\u003e","10.0.0.9",1]`
	if got := outputs(t, tree)["values"]; got != want {
		t.Errorf("outputs\n%s, want\n%s", got, want)
	}
}

// A shell takes the line ends of Windows for a part of each line's last word.
func TestScriptLineEnds(t *testing.T) {
	main := "level \"one\" {\n  service \"s\" {\n    boot {\n      script = <<-EOT\n        echo hi\n        exit 0\n      EOT\n    }\n  }\n}\n"
	tree := expand(t, strings.ReplaceAll(main, "\n", "\r\n"), nil, nil)
	prepared, diags := tree.Services[0].Prepare()
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if got, want := string(prepared.Boot.Payload.Files[0].Content), "echo hi\nexit 0\n"; got != want {
		t.Errorf("script %q, want %q", got, want)
	}
}
