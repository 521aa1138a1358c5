package plan

import (
	"bytes"
	"encoding/xml"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const graphPlan = `
locals {
  db = service.database.url
}
level "storage" {
  service "database" {
    boot { command = ["db"] }
    exports = { url = string }
  }
  service "cache" {
    process { command = ["cache"] }
  }
}
level "mail" {
  after = []
  service "relay" {
    process { command = ["relay"] }
  }
}
level "web" {
  after = [level.storage, level.mail]
  service "web" {
    count = 3
    boot { command = ["web", local.db, service.cache.address, service.relay.address] }
  }
}
level "apps" {
  plan   = "../inner"
  inputs = { db = local.db }
}
level "last" {
  service "check" {
    ready { command = ["check", level.apps.first] }
  }
}
`

func graphOf(t *testing.T) *Graph {
	t.Helper()
	return load(t, graphPlan, map[string]string{"inner/plan.hcl": `
variable "db" { type = string }
level "core" {
  service "app" {
    for_each = toset(["a", "b"])
    boot { command = ["app", var.db] }
  }
}
level "front" {
  service "proxy" {
    boot { command = ["proxy", service.app["a"].address] }
  }
}
output "first" { value = service.proxy.address }
`}).Graph()
}

func TestGraphText(t *testing.T) {
	var out bytes.Buffer
	if err := graphOf(t).WriteText(&out); err != nil {
		t.Fatal(err)
	}
	want := `storage
  database
  cache
mail
  relay
web  (after storage, mail)
  web[*]  <- storage.database, storage.cache, mail.relay
apps.core  (after web)
  app[each]  <- storage.database
apps.front  (after apps.core)
  proxy  <- apps.core.app
last  (after apps.front)
  check  <- apps.front.proxy
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

func TestGraphFormats(t *testing.T) {
	g := graphOf(t)
	var dot, mermaid, svg bytes.Buffer
	for _, err := range []error{g.WriteDOT(&dot), g.WriteMermaid(&mermaid), g.WriteSVG(&svg)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for out, want := range map[string]string{
		dot.String():     `"storage.database" -> "apps.core.app";`,
		mermaid.String(): `s3["web[*]"]`,
		svg.String():     `<title>apps.core.app</title>`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%s\ndoes not contain %s", out, want)
		}
	}
	decoder := xml.NewDecoder(&svg)
	for {
		if _, err := decoder.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if path := os.Getenv("GRAPH_SVG"); path != "" { // to be looked at
		var svg bytes.Buffer
		_ = g.WriteSVG(&svg)
		if err := os.WriteFile(path, svg.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// A graph needs no variables, and is drawn of a plan with mistakes as far as it goes.
func TestGraphOfBrokenPlans(t *testing.T) {
	for _, src := range []string{"", "level \"a\" {}\nlevel \"a\" {}\n", "level \"a\" { plan = \"../nowhere\" }\n", "level \"a\" { after = [level.b] }\nlevel \"b\" {}\n", "{"} {
		files := append(commonFiles(), SnapshotFile{Dir: "/plans/main", Path: "plan.hcl", Mode: 0o644, Content: []byte(src)})
		p, _ := Load("/plans/main", testOptions(files))
		for _, write := range []func(io.Writer) error{p.Graph().WriteText, p.Graph().WriteDOT, p.Graph().WriteMermaid, p.Graph().WriteSVG} {
			if err := write(io.Discard); err != nil {
				t.Error(err)
			}
		}
	}
}
