package plan

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/zclconf/go-cty/cty"
)

// A level's services are learned of and prepared at the same time, others look on.
func TestConcurrentUse(t *testing.T) {
	tree := expand(t, `
locals {
  all = join(",", [for s in service.node : s.url])
}
level "one" {
  service "node" {
    count = 40
    boot { command = ["node", count.index, sensitive("hunter22-${count.index}")] }
    exports = { url = string }
  }
}
level "two" {
  service "client" {
    count = 40
    boot { command = ["client", service.node[count.index].url, try(local.all, "")] }
  }
}
output "all" { value = local.all }
`, nil, nil)
	var wg sync.WaitGroup
	for i, s := range tree.Services[:40] {
		wg.Go(func() {
			tree.Learn(s, Known{Address: "h", WorkDir: "/w"})
			if _, diags := s.Prepare(); diags.HasErrors() {
				t.Error(diags)
			}
			tree.Learn(s, Known{Address: "h", WorkDir: "/w", Exports: map[string]cty.Value{"url": cty.StringVal(fmt.Sprint("u", i))}})
			s.Public(tree.Secrets())
		})
		wg.Go(func() {
			tree.Services[40+i].Prepare() // not known yet, or known
			tree.Services[40+i].Preview()
			tree.Outputs()
			tree.Captured()
		})
	}
	wg.Wait()
	for i, s := range tree.Services[40:] {
		p, diags := s.Prepare()
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		if got, want := p.Boot.Argv[1], fmt.Sprint("u", i); got != want || strings.Count(p.Boot.Argv[2], ",") != 39 {
			t.Errorf("%s: argv %v", s.Address, p.Boot.Argv)
		}
	}
}

// A hundred thousand services are no value too large, neither for others nor for a for expression.
func TestHundredThousand(t *testing.T) {
	if os.Getenv("LAUNCH_LONG") == "" {
		t.Skip("takes seconds; set LAUNCH_LONG=1")
	}
	tree := expand(t, `
locals {
  all = join(",", [for s in service.node : s.address])
}
level "one" {
  service "node" {
    count = 100000
    boot { command = ["node"] }
    attributes = { port = 9000 + count.index }
  }
}
level "two" {
  service "client" {
    count = 3
    boot { command = ["client", service.node[99999 - count.index].address, length(local.all)] }
  }
}
`, nil, nil)
	for i, s := range tree.Services[:100_000] {
		tree.Learn(s, Known{Address: fmt.Sprint("10.0.0.", i), WorkDir: "/work"})
	}
	p, diags := service(t, tree, "two.client[2]").Prepare()
	if diags.HasErrors() || p.Boot.Argv[1] != "10.0.0.99997" {
		t.Fatal(diags)
	}
}
