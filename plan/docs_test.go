package plan

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// docFiles are what the examples of docs/language.md refer to.
func docFiles() map[string]string {
	script := "#!/bin/sh\n"
	return map[string]string{
		"main/database/boot.sh": script, "main/database/check.sh": script, "main/database/stop.sh": script,
		"main/web/install.sh": script, "main/web/index.html": "<h1>hello</h1>\n",
		"dispatch/plan.hcl": `
variable "database_url" { type = string }
level "core" {
  service "app" {
    process { command = ["app", var.database_url] }
  }
}
output "url" { value = service.app.address }
`,
	}
}

func language(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("../docs/language.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

var hclBlock = regexp.MustCompile("(?s)```hcl([^\n]*)\n(.*?)\n```")

// TestLanguageExamples loads every HCL block of the reference. Its info string says what is
// around it: nothing, a level or a service.
func TestLanguageExamples(t *testing.T) {
	blocks := hclBlock.FindAllStringSubmatch(language(t), -1)
	if len(blocks) < 18 {
		t.Fatalf("found %d examples", len(blocks))
	}
	for i, block := range blocks {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			src := block[2]
			switch strings.TrimSpace(block[1]) {
			case "":
			case "in=level":
				src = "level \"one\" {\n" + src + "\n}\n"
			case "in=service":
				if !strings.Contains(src, "boot {") && !strings.Contains(src, "process {") {
					src = "boot { command = [\"true\"] }\n" + src
				}
				src = "level \"one\" {\nservice \"a\" {\n" + src + "\n}\n}\n"
			default:
				t.Fatalf("unknown info string %q", block[1])
			}
			p := load(t, src, docFiles())
			given := map[string]Given{}
			for _, v := range p.Variables {
				if v.Name == "password" {
					given[v.Name] = Given{Raw: "hunter22"}
				}
			}
			if _, diags := p.Expand(Inputs{Variables: given, RunName: "demo"}); diags.HasErrors() {
				t.Errorf("%v\n%s", diags.Errs(), src)
			}
			formatted, diags := Format("plan.hcl", []byte(src))
			if diags.HasErrors() || strings.TrimSpace(block[1]) == "" && string(formatted) != src {
				t.Errorf("not formatted; it should be\n%s", formatted)
			}
		})
	}
}

var functionRow = regexp.MustCompile("(?m)^\\| `(([a-z0-9]+)\\(.*)` \\| `([^`]*)` \\|")

// TestLanguageFunctions evaluates the examples in the table of functions, and finds every function in it.
func TestLanguageFunctions(t *testing.T) {
	rows := functionRow.FindAllStringSubmatch(language(t), -1)
	documented := map[string]bool{}
	for _, row := range rows {
		documented[row[2]] = true
		t.Run(row[2], func(t *testing.T) {
			tree := expand(t, "output \"x\" {\n  value = "+row[1]+"\n  sensitive = true\n}\n", nil, docFiles())
			got, diags := tree.Outputs()
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			var have, want any
			if err := json.Unmarshal(got["x"].JSON, &have); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(row[3]), &want); err != nil {
				t.Fatalf("the result is no JSON: %s", row[3])
			}
			if diff := cmp.Diff(want, have); diff != "" {
				t.Errorf("%s (-documented +is):\n%s", row[1], diff)
			}
		})
	}
	p := load(t, "", nil)
	for name := range newScope(p.loader, p.root, nil, &sync.Mutex{}).functions {
		if !documented[name] {
			t.Errorf("function %s is not documented", name)
		}
	}
}
