package plan

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A plan that passes on what it is given, with what its own service exports.
const relayPlan = `
variable "before" {}
locals {
  url = service.relay.url
}
level "core" {
  service "relay" {
    boot { command = ["true"] }
    exports = { url = string }
  }
}
output "both" { value = "${local.url}${var.before}" }
`

func used(s *Service) []string {
	var list []string
	for other := range s.Uses {
		list = append(list, other.Address)
	}
	return list
}

func TestUses(t *testing.T) {
	tree := expand(t, `
level "vault" {
  service "vault" {
    boot { command = ["true"] }
    exports = { token = string }
  }
}
level "a" {
  plan   = "../relay"
  inputs = { before = "none" }
}
level "b" {
  plan   = "../relay"
  inputs = { before = level.a["both"] }
}
level "database" {
  service "database" {
    boot { command = ["true"] }
    attributes = { secret = service.vault.token, port = 5432 }
  }
  service "replica" {
    for_each = { east = 1 }
    boot { command = ["true"] }
    attributes = { secret = service.vault.token, port = 5432 }
  }
}
level "web" {
  service "both" {
    boot { command = ["true", level.b.both] }
  }
  service "attribute" {
    boot { command = ["true", service.database.secret] }
  }
  service "port" {
    boot { command = ["true", service.database.port, service.replica.east.port] }
  }
}
`, nil, map[string]string{"relay/plan.hcl": relayPlan})
	for address, want := range map[string][]string{
		"web.both":      {"b.core.relay", "a.core.relay"}, // the same plan twice, one through the other
		"web.attribute": {"database.database", "vault.vault"},
		"web.port":      {"database.database", "database.replica[east]"},
	} {
		if diff := cmp.Diff(want, used(service(t, tree, address))); diff != "" {
			t.Errorf("%s uses (-want +got):\n%s", address, diff)
		}
	}
}

// TestUsesOfManyWays has two ways from each level to the one before, which are 2^40 from the last one to the first.
func TestUsesOfManyWays(t *testing.T) {
	const levels = 40
	var main strings.Builder
	before := `"first"`
	for i := range levels {
		fmt.Fprintf(&main, "level \"l%d\" {\n  plan   = \"../relay\"\n  inputs = { before = \"${%s}${%s}\" }\n}\n", i, before, before)
		before = fmt.Sprintf("level.l%d.both", i)
	}
	fmt.Fprintf(&main, "level \"last\" {\n  service \"last\" {\n    boot { command = [%s] }\n  }\n}\n", before)
	tree := expand(t, main.String(), nil, map[string]string{"relay/plan.hcl": relayPlan})
	if got := used(service(t, tree, "last.last")); len(got) != levels {
		t.Errorf("it uses %d services, want %d: %v", len(got), levels, got)
	}
}
