package plan

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
)

const secretPlan = `
locals {
  url = "db://user:${var.password}@host"
}
level "one" {
  service "db" {
    boot {
      command = ["db", "--url", local.url, "plain", sensitive(env("HOME"))]
      env     = { ENCODED = base64encode(var.password) }
    }
    attributes = {
      secret = local.url
      port   = 5432
    }
    export "token" {
      type      = string
      sensitive = true
    }
    exports = { leaky = string }
    ready { command = ["check", self.token, nonsensitive(upper("x"))] }
  }
}
output "url" {
  value     = local.url
  sensitive = true
}
`

func TestSecrets(t *testing.T) {
	tree := expand(t, secretVariables("password")+secretPlan, map[string]string{"password": "hunter22"}, nil)
	db := tree.Services[0]
	prepared, diags := db.Prepare()
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if got, want := prepared.Boot.Display, "db --url (sensitive) plain (sensitive)"; got != want {
		t.Errorf("shown as %q, want %q", got, want)
	}
	if got := prepared.Boot.Argv[2]; got != "db://user:hunter22@host" {
		t.Errorf("argument %q", got)
	}
	exports, _, err := db.ParseExports([]byte("token=t0ken-xyz\nleaky=it is hunter22\n"))
	if err != nil {
		t.Fatal(err)
	}
	tree.Learn(db, Known{Address: "h", WorkDir: "/w", Exports: exports})
	want := []string{"db://user:hunter22@host", "aHVudGVyMjI=", "/home/ops", "t0ken-xyz", "hunter22"}
	if diff := cmp.Diff(want, tree.Secrets()); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	checks, diags := db.Checks()
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if got, want := checks[0].Display, "check (sensitive) X"; got != want {
		t.Errorf("shown as %q, want %q", got, want)
	}
	attributes, withheld := db.Public(tree.Secrets())
	if diff := cmp.Diff([]string{"leaky", "secret", "token"}, withheld); diff != "" {
		t.Errorf("withheld (-want +got):\n%s", diff)
	}
	for _, secret := range tree.Secrets() {
		if bytes.Contains(attributes, []byte(secret)) {
			t.Errorf("%s contains a secret", attributes)
		}
	}
	captured, err := json.Marshal(tree.Captured())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(captured), `{"env":{},"executables":{},"variables":{},"sensitive":["password"]}`; got != want {
		t.Errorf("captured %s, want %s", got, want)
	}
	if diff := cmp.Diff(map[string]string{"url": `"db://user:hunter22@host" (sensitive)`}, outputs(t, tree)); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
	for _, line := range db.Preview() {
		if strings.Contains(line.Value, "hunter22") {
			t.Errorf("preview shows a secret: %v", line)
		}
	}
}

// secretVariables declares sensitive texts.
func secretVariables(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "variable %q {\n  type      = string\n  sensitive = true\n}\n", name)
	}
	return b.String()
}

// What is a secret in a secret of several lines: each line of a key, and none of a file that was made with one.
func TestSecretLines(t *testing.T) {
	tree := expand(t, secretVariables("key", "password")+`
level "one" {
  service "s" {
    boot {
      command = ["sh"]
      env = {
        FILE = "listen on all\npassword ${var.password}\n"
        LIST = sensitive("correct horse\nbattery staple\n")
        KEY  = join("\n", [for line in split("\n", var.key) : "  ${line}"])
      }
    }
    export "pair" {
      type      = string
      sensitive = true
    }
  }
}
`, map[string]string{"key": "-----BEGIN KEY-----\r\nAAAABBBB\r\n  CCCCDDDD\r\nshort\r\n-----END KEY-----\r\n", "password": "hunter22"}, nil)
	if _, diags := tree.Services[0].Prepare(); diags.HasErrors() {
		t.Fatal(diags)
	}
	known := tree.Secrets()
	for text, want := range map[string]bool{
		"AAAABBBB": true, "CCCCDDDD": true, "short": false, "-----BEGIN KEY-----": false, "hunter22": true,
		"correct horse": true, "battery staple": true, "listen on all": false, "password hunter22": false,
	} {
		if slices.Contains(known, text) != want {
			t.Errorf("%q is a secret: %v, want %v", text, !want, want)
		}
	}
	if more := tree.SecretsAfter(len(known)); len(more) > 0 {
		t.Errorf("there are more than %d secrets: %q", len(known), more)
	}
	want := []string{"user name\npassw0rd", "user name", "passw0rd"}
	if diff := cmp.Diff(want, tree.Services[0].SecretsIn([]byte(`{"pair": "user name\npassw0rd", "other": "public"}`))); diff != "" {
		t.Errorf("secrets in exports (-want +got):\n%s", diff)
	}
}

// Whoever gives a secret that is not masked is told so.
func TestShortSecret(t *testing.T) {
	p := load(t, secretVariables("pin", "none")+`
output "all" {
  value     = [var.pin, var.none]
  sensitive = true
}
`, nil)
	_, diags := p.Expand(Inputs{Variables: map[string]Given{"pin": {Raw: "123"}, "none": {Raw: ""}}})
	if len(diags) != 1 || diags[0].Severity != hcl.DiagWarning || !strings.Contains(diags[0].Detail, "var.pin has fewer than 4") || strings.Contains(diags[0].Detail, "123") {
		t.Errorf("diagnostics %v; want a warning of var.pin", diags)
	}
}

// The file with the attributes has characters as they are.
func TestAttributesFile(t *testing.T) {
	tree := expand(t, `
level "one" {
  service "s" {
    attributes = { p = "a&b<c>d\\u003c" }
    boot { command = ["true"] }
  }
}
`, nil, nil)
	prepared, diags := tree.Services[0].Prepare()
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if want := `"p":"a&b<c>d\\u003c"`; !strings.Contains(string(prepared.Attributes), want) {
		t.Errorf("attributes %s have no %s", prepared.Attributes, want)
	}
}

// Nothing that is said of a mistake tells a secret: neither as it was given, nor what was made of it, cut short or escaped,
// nor the values that hcl shows with a message.
func TestSecretsInMessages(t *testing.T) {
	long := strings.Repeat("hunter22", 12)
	for _, x := range []string{
		`tonumber(var.p)`, `parseint(var.p, 10)`, `jsondecode(var.p)`, `file(var.p)`, `regex(var.p, "x")`, `{ a = 1 }[var.p]`, `cidrhost(var.p, 1)`,
		`tonumber(upper(var.p))`, `tonumber("${var.pin}")`, `file("dir/${var.long}")`, `executable(base64encode(var.p))`, `tonumber(var.escaped)`,
		`{ for x in ["a", "a"] : upper(var.p) => x }`, `[for x in var.list : tonumber(upper(x))]`, `[for k, x in var.map : tonumber(upper(k))]`,
		`[for x in toset(var.list) : tonumber(upper(x))]`, `"%{ for x in toset(var.list) }${tonumber(upper(x))}%{ endfor }"`, `[for x in var.pins : x + 1]`,
		`try(tonumber(upper(var.p)), file(var.long))`, `templatefile("number.tmpl", { x = upper(var.p) })`,
		`templatefile("number.tmpl", { (upper(var.p)) = 1 })`, `tonumber(upper(keys(var.map)[0]))`,
		`try({ for x in ["a", "a"] : upper(var.p) => x })`, `try(1 + "a", try({ for x in ["a", "a"] : upper(var.p) => x }))`,
		`templatestring("$${${var.p}}", {})`, `templatestring("$${substr(x, 0, 1) + 1}", { x = var.p })`, `lookup({ a = 1 }, upper(var.p))`,
		`timeadd(var.p, "1h")`, `timeadd("2026-01-31T09:30:00Z", upper(var.p))`, `formatdate(upper(var.p), "2026-01-31T09:30:00Z")`, `uuidv5(var.long, "x")`,
		`yamldecode("a: !${var.p}")`, `yamldecode("!${upper(var.p)} {}")`, `yamldecode("*${substr(var.p, 1, 8)}")`, `textencodebase64("x", upper(var.p))`, `cidrcontains(var.p, var.p)`,
	} {
		p := load(t, secretVariables("p", "pin", "long", "escaped")+`
variable "list" {
  type      = list(string)
  sensitive = true
}
variable "pins" {
  type      = list(string)
  sensitive = true
}
variable "map" {
  type      = map(string)
  sensitive = true
}
output "x" {
  value     = `+x+`
  sensitive = true
}
`, map[string]string{"main/number.tmpl": "${tonumber(x)}"})
		given := map[string]Given{}
		for name, raw := range map[string]string{
			"p": "(hunter22", "pin": "h2r", "long": long, "escaped": "hunter22\"\\\n",
			"list": `["hunter22"]`, "map": `{ "hunter22" = "hunter22" }`, "pins": `["h2r"]`,
		} {
			given[name] = Given{Raw: raw, From: "--var"}
		}
		_, diags := p.Expand(Inputs{Variables: given})
		if !diags.HasErrors() {
			t.Errorf("%s gives no error", x)
		}
		for _, d := range diags {
			var shown strings.Builder
			if err := hcl.NewDiagnosticTextWriter(&shown, nil, 0, false).WriteDiagnostic(d); err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{"hunter22", "(HUNTER22", base64.StdEncoding.EncodeToString([]byte("(hunter22")), "h2r"} {
				if strings.Contains(strings.ToLower(shown.String()), strings.ToLower(secret)) {
					t.Errorf("%s: the message tells the secret: %s", x, shown.String())
				}
			}
		}
	}
}

// What a function quotes can be a part of a secret only.
func TestPartsOfSecretsInMessages(t *testing.T) {
	for x, want := range map[string]string{
		`jsondecode(var.p)`:                                         `invalid character '(sensitive)' looking for beginning of value`,
		`yamldecode("!${var.p}'s {}")`:                              `can't interpret mapping as "(sensitive)"`,
		`regex("[${var.p}", "x")`:                                   "missing closing ] in (sensitive)",
		`formatdate(var.p, "2026-01-31T09:30:00Z")`:                 `invalid date format verb "(sensitive)"`,
		`format("%${var.p}", 1)`:                                    `(sensitive)`,
		`[for x in toset([var.p]) : jsondecode(x)]`:                 `invalid character '(sensitive)'`,
		`[for k, x in toset([var.p]) : x if jsondecode(k)]`:         `invalid character '(sensitive)'`,
		`{ for k, x in { (var.p) = 1 } : jsondecode(k) => x }`:      `invalid character '(sensitive)'`,
		`"%{ for x in toset([var.p]) }${jsondecode(x)}%{ endfor }"`: `invalid character '(sensitive)'`,
	} {
		p := load(t, secretVariables("p")+"output \"x\" {\n  value     = "+x+"\n  sensitive = true\n}\n", nil)
		_, diags := p.Expand(Inputs{Variables: map[string]Given{"p": {Raw: "QQ-hunter22", From: "--var"}}})
		if !diags.HasErrors() || !strings.Contains(diags.Error(), want) || strings.Contains(diags.Error(), "Q") {
			t.Errorf("%s: %v, want one that says %s, without Q", x, diags, want)
		}
	}
}

// The name of an environment variable can be made of a secret, too.
func TestSecretNameInEnvironment(t *testing.T) {
	p := load(t, secretVariables("name")+`
level "one" {
  service "s" {
    boot {
      command = ["true"]
      env     = { (var.name) = "x" }
    }
  }
}
`, nil)
	_, diags := p.Expand(Inputs{Variables: map[string]Given{"name": {Raw: "hunter-22"}}})
	if !diags.HasErrors() || strings.Contains(diags.Error(), "hunter-22") {
		t.Errorf("Expand = %v, want a message without the name", diags)
	}
}

// What a level is given of a secret stays one in its outputs, which its own plan need not know.
func TestSecretInput(t *testing.T) {
	inner := `
variable "url" { type = string }
output "dashboard" { value = "${var.url}/dashboard" }
level "core" {
  service "app" {
    boot { command = ["app", var.url] }
  }
}
`
	for _, sensitive := range []string{"true", "false"} {
		p := load(t, secretVariables("password")+`
level "inner" {
  plan   = "../inner"
  inputs = { url = "db://${var.password}@host" }
}
output "dashboard" {
  value     = level.inner.dashboard
  sensitive = `+sensitive+`
}
`, map[string]string{"inner/plan.hcl": inner})
		_, diags := p.Expand(Inputs{Variables: map[string]Given{"password": {Raw: "hunter22"}}})
		if diags.HasErrors() != (sensitive == "false") || diags.HasErrors() && diags[0].Subject.Filename != "main/plan.hcl" {
			t.Errorf("sensitive = %s: Expand = %v", sensitive, diags)
		}
	}
}
