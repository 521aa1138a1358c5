package plan

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/zclconf/go-cty/cty"
)

func writeFiles(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if filepath.Ext(name) == ".sh" {
			mode = 0o755
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
}

const designPlan = `
description = "A database, then web servers that know its address"
variable "web_count" {
  type        = number
  default     = 2
  description = "How many web servers"
  validation {
    condition     = var.web_count > 0
    error_message = "At least one web server is needed."
  }
}
variable "db_password" {
  type      = string
  sensitive = true
}
locals {
  db_port = 5432
}
runner "ssh" "rack" {
  user          = "ops"
  identity_file = "~/.ssh/id_ed25519"
}
runner "ec2" "west" {
  region        = "us-west-2"
  image         = "ami-0abc"
  instance_type = "m7g.large"
  ssh { user = "ubuntu" }
}
level "storage" {
  service "database" {
    runner = runner.ssh.rack
    host   = "10.0.0.5"
    file "bootconf.json" {
      content = jsonencode({ port = local.db_port, password = var.db_password })
    }
    boot {
      program = "database/boot.sh"
      args    = ["--port", local.db_port]
      env     = { MODE = "fast" }
      timeout = "10m"
      retries = 1
    }
    attributes = { port = local.db_port }
    exports    = { url = string }
    ready {
      tcp     = "${self.address}:${local.db_port}"
      timeout = "2m"
    }
    ready {
      program  = "database/check.sh"
      args     = [self.url]
      interval = "500ms"
    }
    terminate { program = "database/stop.sh" }
  }
}
level "web" {
  service "web" {
    count  = var.web_count
    runner = runner.ec2.west
    file "install.sh" { source = "web/install.sh" }
    boot {
      script = "exec sh ./install.sh \"$DATABASE\""
      env    = { DATABASE = service.database.url }
    }
    ready {
      http { url = "http://${self.address}:8080/healthz" }
    }
  }
}
level "apps" {
  plan   = "../dispatch"
  inputs = { database_url = service.database.url }
}
output "web" { value = service.web[*].address }
output "apps" { value = level.apps.url }
`

func TestDesignExample(t *testing.T) {
	top := t.TempDir()
	writeFiles(t, top, map[string]string{
		"example/plan.hcl":          designPlan,
		"example/database/boot.sh":  "#!/bin/sh\n",
		"example/database/check.sh": "#!/bin/sh\n",
		"example/database/stop.sh":  "#!/bin/sh\n",
		"example/web/install.sh":    "#!/bin/sh\n",
		"dispatch/plan.hcl": `
variable "database_url" { type = string }
level "core" {
  service "app" {
    process { command = ["app", var.database_url] }
  }
}
output "url" { value = service.app.address }
`,
	})
	p, diags := Load(filepath.Join(top, "example"), Options{Runners: testRunners()})
	t.Log(diags)
	if diags.HasErrors() {
		t.Fatal(diags.Errs())
	}
	tree, diags := p.Expand(Inputs{Variables: map[string]Given{"db_password": {Raw: "hunter22"}}})
	t.Log(diags)
	if diags.HasErrors() {
		t.Fatal(diags.Errs())
	}
	for _, l := range tree.Levels {
		t.Log(l.Name, len(l.Services), l.Group, len(l.After))
	}
	db := tree.Services[0]
	host, diags := db.Target()
	t.Log(host, diags)
	t.Log(db.Preview())
	prep, diags := db.Prepare()
	t.Logf("%+v %v", prep, diags)
	tree.Learn(db, Known{Address: "10.0.0.5", WorkDir: "/x"})
	ex, ignored, err := db.ParseExports([]byte("url=postgres://x\nfoo=1"))
	t.Log(ex, ignored, err)
	for _, s := range tree.Services[1:] {
		t.Log(s.Address, s.Preview())
		_, diags := s.Prepare()
		t.Log(diags)
	}
	tree.Learn(db, Known{Address: "10.0.0.5", WorkDir: "/x", Exports: ex})
	checks, diags := db.Checks()
	t.Logf("%+v %v", checks[0], diags)
	for _, s := range tree.Services[1:] {
		tree.Learn(s, Known{Address: "10.0.0.9", WorkDir: "/x", Exports: map[string]cty.Value{}})
		prep, diags := s.Prepare()
		t.Logf("%s %+v %v", s.Address, prep, diags)
		pub, with := s.Public(tree.Secrets())
		t.Logf("%s %v", pub, with)
	}
	out, diags := tree.Outputs()
	for n, o := range out {
		t.Logf("%s=%s %v", n, o.JSON, diags)
	}
	t.Log(tree.Secrets())
	t.Log(tree.Captured())
	snap, err := tree.Snapshot()
	for _, f := range snap {
		t.Log(f.Dir, f.Path, f.Mode)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Log(db.Fingerprint(prep, host, []byte("k")))
	p2, diags := Load(filepath.Join(top, "example"), Options{Runners: testRunners(), Source: SnapshotSource(snap)})
	t.Log(diags)
	if diags.HasErrors() {
		t.Fatal(diags.Errs())
	}
	_, diags = p2.Expand(Inputs{Variables: map[string]Given{"db_password": {Raw: "hunter22"}}})
	t.Log(diags)
	if diags.HasErrors() {
		t.Fatal(diags.Errs())
	}
}
