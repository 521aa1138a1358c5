package plan

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
)

// A writer makes random plans that are valid by construction.
type writer struct {
	r        *rand.Rand
	out      strings.Builder
	services []made // of the levels before the present one
	fresh    []made
}

// A made service is what others may refer to.
type made struct {
	name    string
	many    string // "", "count" or "for_each"
	exports bool
	off     bool
}

func (w *writer) pick(options ...string) string { return options[w.r.IntN(len(options))] }

// value is an expression for a text, in the place of a service that may refer to itself by self.
func (w *writer) value(self string) string {
	switch w.r.IntN(9) {
	case 0:
		return `"text"`
	case 1:
		return `var.size`
	case 2:
		return `upper("a-${run.name}")`
	case 3:
		return self
	case 4:
		return `join(",", [for i in range(var.size) : "n${i}"])`
	case 5:
		return `local.secret`
	}
	if len(w.services) == 0 {
		return `var.on ? "yes" : "no"`
	}
	s := w.services[w.r.IntN(len(w.services))]
	attribute := w.pick("address", "port", "name")
	if s.exports {
		attribute = w.pick("url", "n", "address", "list[0]", "token")
	}
	ref := "service." + s.name
	switch {
	case s.off:
		return fmt.Sprintf("try(%s.address, \"none\")", ref)
	case s.many == "count":
		return w.pick(fmt.Sprintf("%s[0].%s", ref, attribute), fmt.Sprintf("join(\" \", %s[*].address)", ref), fmt.Sprintf("length(%s)", ref))
	case s.many == "for_each":
		return w.pick(fmt.Sprintf("%s[\"a\"].%s", ref, attribute), fmt.Sprintf("join(\" \", [for k, s in %s : \"${k}=${s.address}\"])", ref))
	}
	return w.pick(fmt.Sprintf("%s.%s", ref, attribute), fmt.Sprintf("\"<${%s.%s}>\"", ref, attribute), fmt.Sprintf("jsonencode({ a = %s.%s })", ref, attribute))
}

func (w *writer) service(name string) {
	s := made{name: name, many: w.pick("", "", "count", "for_each"), exports: w.r.IntN(2) == 0, off: w.r.IntN(8) == 0}
	s.off = s.off && s.many == ""
	self := `self.address`
	fmt.Fprintf(&w.out, "  service %q {\n", name)
	switch s.many {
	case "count":
		fmt.Fprintf(&w.out, "    count = %s\n", w.pick("1", "2", "var.size", "length([1, 2])"))
		self = w.pick(self, `"i${count.index}"`)
	case "for_each":
		fmt.Fprintf(&w.out, "    for_each = %s\n", w.pick(`toset(["a", "b"])`, `{ a = 1, b = 2 }`))
		self = w.pick(self, `"${each.key}/${each.value}"`)
	}
	if s.off {
		fmt.Fprintf(&w.out, "    enabled = %s\n", w.pick("false", "!var.on"))
	}
	fmt.Fprintf(&w.out, "    attributes = { port = 80 + %s, mine = %s }\n", w.pick("1", "var.size"), w.value(self))
	fmt.Fprintf(&w.out, "    file \"conf\" { content = %s }\n", w.value(self))
	if s.exports {
		w.out.WriteString("    exports = { url = string, n = number, list = list(string) }\n    export \"token\" {\n      type = string\n      sensitive = true\n      default = \"std\"\n    }\n")
		fmt.Fprintf(&w.out, "    boot {\n      %s\n      env = { A = %s }\n    }\n", w.pick(`program = "boot.sh"`, `script = "echo"`, `command = ["x", self.port]`), w.value(self))
		fmt.Fprintf(&w.out, "    ready { command = [\"check\", self.url, %s] }\n", w.value("self.n"))
		fmt.Fprintf(&w.out, "    terminate { command = [\"stop\", %s] }\n", w.value("self.token"))
	} else {
		fmt.Fprintf(&w.out, "    process { command = [\"x\", %s] }\n", w.value("self.mine"))
		w.out.WriteString("    ready { tcp = \"${self.address}:${self.port}\" }\n    gone { tcp = \"${self.address}:80\" }\n")
	}
	w.out.WriteString("  }\n")
	w.fresh = append(w.fresh, s)
}

func (w *writer) plan() string {
	w.out.WriteString("variable \"size\" { default = 2 }\nvariable \"on\" { default = true }\nlocals {\n  secret = sensitive(\"hunter22\")\n}\n")
	for level := range 1 + w.r.IntN(5) {
		fmt.Fprintf(&w.out, "level \"l%d\" {\n", level)
		if level > 0 && w.r.IntN(3) == 0 {
			fmt.Fprintf(&w.out, "  after = [%s]\n", w.pick("", "level.l0"))
		}
		for i := range 1 + w.r.IntN(4) {
			w.service(fmt.Sprintf("s%d_%d", level, i))
		}
		w.out.WriteString("}\n")
		w.services = append(w.services, w.fresh...)
		w.fresh = nil
	}
	fmt.Fprintf(&w.out, "output \"x\" {\n  value = [%s, %s]\n  sensitive = true\n}\n", w.value(`"a"`), w.value(`"b"`))
	return w.out.String()
}

// TestNoSurprises: where Load and Expand are silent, a run that goes well meets no mistake of the plan.
func TestNoSurprises(t *testing.T) {
	seeds := uint64(40)
	if os.Getenv("LAUNCH_LONG") != "" {
		seeds = 20_000
	}
	for seed := range seeds {
		w := &writer{r: rand.New(rand.NewPCG(seed, 1))}
		src := w.plan()
		files := append(commonFiles(), SnapshotFile{Dir: "/plans/main", Path: "plan.hcl", Mode: 0o644, Content: []byte(src)})
		p, diags := Load("/plans/main", testOptions(files))
		if diags.HasErrors() {
			t.Fatalf("seed %d: Load: %v\n%s", seed, diags.Errs(), src)
		}
		tree, diags := p.Expand(Inputs{RunName: "demo", RunID: "id"})
		if diags.HasErrors() {
			t.Fatalf("seed %d: Expand: %v\n%s", seed, diags.Errs(), src)
		}
		for _, s := range tree.Services {
			if problem := runOnce(tree, s); problem != nil {
				t.Fatalf("seed %d: %s: %v\n%s", seed, s.Address, problem, src)
			}
		}
		if got, diags := tree.Outputs(); diags.HasErrors() || len(got) != 1 {
			t.Fatalf("seed %d: outputs %v, %v\n%s", seed, got, diags, src)
		}
	}
}

// runOnce takes a service through its life, as the engine would.
func runOnce(tree *Tree, s *Service) error {
	if _, diags := s.Target(); diags.HasErrors() {
		return diags
	}
	known := Known{Address: "10.0.0.1", WorkDir: "/work/" + s.Address}
	tree.Learn(s, known)
	prepared, diags := s.Prepare()
	if diags.HasErrors() {
		return diags
	}
	if s.HasBoot != (prepared.Boot != nil) || s.HasProcess != (prepared.Process != nil) {
		return fmt.Errorf("prepared %+v", prepared)
	}
	known.Exports = map[string]cty.Value{}
	if s.HasBoot {
		var err error
		if known.Exports, _, err = s.ParseExports([]byte(`{"url": "u", "n": 1, "list": ["x"]}`)); err != nil {
			return err
		}
	}
	tree.Learn(s, known)
	if checks, diags := s.Checks(); diags.HasErrors() || len(checks) != 1 {
		return fmt.Errorf("checks %v, %w", checks, diags)
	}
	if _, diags := s.Ending(); diags.HasErrors() {
		return diags
	}
	for _, line := range s.Preview() {
		if strings.Contains(line.Value, "hunter22") {
			return fmt.Errorf("the preview shows a secret: %v", line)
		}
	}
	return nil
}
