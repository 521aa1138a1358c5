package plan

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"
)

const peersPlan = `
variable "peers" { type = number }
variable "key" {
  type      = string
  sensitive = true
}
level "one" {
  service "x" {
    count = var.peers
    boot { command = ["true"] }
    exports = { port = number }
  }
}
level "two" {
  service "y" {
    count      = 2
    attributes = { first = service.x[0].port }
    boot {
      command = ["true", "${count.index}: ${length(service.x[*].port)}", try(service.x[9999].port, "none")]
      env = {
        ME     = count.index
        PEERS  = join(",", service.x[*].port)
        SECRET = join(",", [for p in service.x[*].port : "${var.key}${p}"])
        FIRST  = self.first
        OWN    = join(",", [for p in service.x[*].port : p + count.index])
      }
    }
    file "peers.json" {
      content = jsonencode(service.x[*].port)
    }
  }
}
`

// What all instances have in common follows what is learned of the services that it comes from.
func TestSharedParts(t *testing.T) {
	tree := expand(t, peersPlan, map[string]string{"peers": "2", "key": "hush-hush-"}, nil)
	learn := func(ports ...string) {
		for i, port := range ports {
			tree.Learn(tree.Services[i], Known{Address: "h", WorkDir: "/w", Exports: map[string]cty.Value{"port": cty.MustParseNumberVal(port)}})
		}
	}
	for _, ports := range [][]string{{"7000", "7001"}, {"7000", "8.5"}} {
		learn(ports...)
		for i, s := range tree.Services[2:] {
			p, diags := s.Prepare()
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			peers := ports[0] + "," + ports[1]
			own := peers
			if i == 1 {
				own = map[string]string{"7001": "7001,7002", "8.5": "7001,9.5"}[ports[1]]
			}
			got := fmt.Sprintf("%v %v [%s]", p.Boot.Argv, p.Boot.Env, p.Files[0].Content)
			want := fmt.Sprintf("[true %d: 2 none] map[FIRST:7000 ME:%d OWN:%s PEERS:%s SECRET:hush-hush-7000,hush-hush-%s] [[%s]]",
				i, i, own, peers, ports[1], peers)
			if got != want {
				t.Errorf("ports %v, service %d:\ngot  %s\nwant %s", ports, i, got, want)
			}
		}
	}
	if shown := tree.Secrets(); len(shown) == 0 {
		t.Error("what is made of a secret is not known as one")
	}
}

// A list of all other services is made once for all instances, not by each for itself: the second one costs the same however
// many services are in it.
func TestSharedPartsAreMadeOnce(t *testing.T) {
	cost := func(peers int) float64 {
		tree := expand(t, `
variable "peers" { type = number }
level "one" {
  service "x" {
    count      = var.peers
    attributes = { port = 7000 + count.index }
    boot { command = ["true"] }
  }
}
level "two" {
  service "y" {
    count      = 2
    attributes = { last = max(service.x[*].port...) }
    boot {
      command = ["true"]
      env     = { ME = count.index, PEERS = join(",", service.x[*].port), LAST = self.last }
    }
    file "peers" { content = jsonencode(service.x[*].port) }
  }
}
`, map[string]string{"peers": fmt.Sprint(peers)}, nil)
		return testing.AllocsPerRun(5, func() {
			if _, diags := tree.Services[peers+1].Prepare(); diags.HasErrors() {
				t.Fatal(diags)
			}
		})
	}
	if few, many := cost(5), cost(2000); many > 2*few {
		t.Errorf("with 5 others a service takes %.0f allocations, with 2,000 of them %.0f", few, many)
	}
}

// An expression is worth the same, fails alike and leaves the same to be masked, whether its parts are shared or not.
func TestSharedPartsAreWhatTheyAreAlone(t *testing.T) {
	const template = `
variable "none" { type = number }
variable "list" { type = list(string) }
variable "key" {
  type      = string
  sensitive = true
}
level "one" {
  service "x" {
    count = 2
    boot { command = ["true"] }
    exports = { port = number }
    export "password" {
      type      = string
      sensitive = true
    }
  }
}
level "two" {
  service "y" {
    %s
    boot { command = ["true", jsonencode([%s, INDEX == 99])] }
  }
}
`
	prepare := func(x, count, index string) string {
		tree := expand(t, strings.ReplaceAll(fmt.Sprintf(template, count, x), "INDEX", index),
			map[string]string{"none": "0", "list": `["7", "8"]`, "key": "hush-hush"}, nil)
		told := ""
		for _, port := range []int64{7000, 8000} {
			for i, s := range tree.Services[:2] {
				tree.Learn(s, Known{Address: "h", Exports: map[string]cty.Value{
					"port": cty.NumberIntVal(port + int64(i)), "password": cty.StringVal(fmt.Sprintf("pass-%d", port))}})
			}
			for _, s := range tree.Services[2:] {
				p, diags := s.Prepare()
				if s != tree.Services[2] {
					continue
				}
				if p != nil && p.Boot != nil {
					told += fmt.Sprintln(p.Boot.Argv)
				}
				for _, d := range diags {
					told += fmt.Sprintln(d.Summary, d.Detail, d.Subject)
				}
			}
		}
		return told + fmt.Sprintf("%q", tree.Secrets())
	}
	for _, x := range []string{
		`join(",", service.x[*].port)`,
		`service.x[*].password`,
		`[for s in service.x : { port = s.port / 3 }]`,
		`{ for s in service.x : s.password => s.port... }`, // the ports are no secrets because a password stands beside them
		`length([for s in service.x : s.password])`,
		`[for c in split("-", var.key) : upper(c)]`,
		`[for s in service.x : tonumber(s.password)]`,
		`"%{ for s in service.x }${s.port};%{ endfor }"`,
		`try(service.x[*].port[5], join("", var.list))`,
		`can([for s in service.x : tonumber(s.password)])`,
		`length(service.x) > 1 ? upper("a") : file("nothing${service.x[0].port}")`,
		`var.list[service.x[0].port - 7000]`,
		`max(service.x[*].port...) - 7001 == 0 ? 1 : (service.x[*].port)[9]`,
		`jsondecode(jsonencode([1e30, 0.1, -0, 123456789012345678901, service.x[0].port]))[4] / 7`,
	} {
		alone, shared := prepare(x, "         ", "var.none   "), prepare(x, "count = 2", "count.index")
		if diff := cmp.Diff(alone, shared); diff != "" {
			t.Errorf("%s (-alone +shared):\n%s", x, diff)
		}
	}
}

// A whole number is written as what it is, whatever the precision that it was read with.
func TestNumbersAsTexts(t *testing.T) {
	if short, err := jsonEncodeFunc().Call([]cty.Value{cty.NumberFloatVal(1 << 60)}); err != nil || short.AsString() != "1152921504606847000" {
		t.Errorf("what pow gives: %#v, %v", short, err)
	}
	for _, number := range []string{"0", "-0", "7", "-12", "8.5", "9223372036854775807", "-9223372036854775808", "18446744073709551615", "1e30", "123456789012345678901234567890"} {
		value := cty.MustParseNumberVal(number)
		want := value.AsBigFloat().Text('f', -1)
		list, err := quickConvert(cty.ListVal([]cty.Value{value}), cty.List(cty.String))
		if err != nil || list.Index(cty.Zero).AsString() != want {
			t.Errorf("%s as an element: %#v, %v, want %s", number, list, err, want)
		}
		encoded, err := jsonEncodeFunc().Call([]cty.Value{cty.TupleVal([]cty.Value{value})})
		if err != nil || encoded.AsString() != "["+want+"]" {
			t.Errorf("%s in JSON: %#v, %v, want %s", number, encoded, err, want)
		}
	}
}
