package plan

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
)

const secretPlan = `
variable "password" {
  type      = string
  sensitive = true
}
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
	tree := expand(t, secretPlan, map[string]string{"password": "hunter22"}, nil)
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

// What is a secret in a secret of several lines: each line of a key, and none of a file that was made with one.
func TestSecretLines(t *testing.T) {
	tree := expand(t, `
variable "key" {
  type      = string
  sensitive = true
}
variable "password" {
  type      = string
  sensitive = true
}
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
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "plan.hcl"), []byte(`
variable "pin" {
  type      = string
  sensitive = true
  default   = "123"
}
variable "none" {
  type      = string
  sensitive = true
  default   = ""
}
output "all" {
  value     = [var.pin, var.none]
  sensitive = true
}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	p, diags := Load(dir, Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	_, diags = p.Expand(Inputs{})
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

// A function that quotes its arguments in an error does not tell secrets.
func TestSecretsInMessages(t *testing.T) {
	for _, x := range []string{`tonumber(var.p)`, `parseint(var.p, 10)`, `jsondecode(var.p)`, `file(var.p)`, `regex(var.p, "x")`, `{ a = 1 }[var.p]`, `cidrhost(var.p, 1)`} {
		p := load(t, `
variable "p" {
  type      = string
  sensitive = true
}
output "x" {
  value     = `+x+`
  sensitive = true
}
`, nil)
		_, diags := p.Expand(Inputs{Variables: map[string]Given{"p": {Raw: "(hunter22", From: "--var"}}})
		if !diags.HasErrors() {
			t.Errorf("%s gives no error", x)
		}
		for _, d := range diags {
			if strings.Contains(d.Summary+d.Detail, "hunter22") {
				t.Errorf("%s: the message tells the secret: %s", x, d.Detail)
			}
		}
	}
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
	later, diags := p.Expand(Inputs{Later: true, Withheld: captured.Sensitive})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
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
	p := load(t, `
variable "token" {
  type      = string
  sensitive = true
}
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
	tree, diags := p.Expand(Inputs{Later: true, Withheld: []string{"token", "salt"}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
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
	p := load(t, `
variable "token" {
  type      = string
  sensitive = true
}
variable "salt" {
  type      = string
  sensitive = true
}
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
	tree, diags := p.Expand(Inputs{Later: true, Withheld: []string{"token", "salt"}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
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
