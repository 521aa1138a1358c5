package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/launchplan/launch/harness/wire"
)

func TestExamplesAreRead(t *testing.T) {
	files, err := filepath.Glob("../../examples/deployments/*.hcl")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if _, _, diags := Load(f); diags.HasErrors() {
			t.Errorf("%s: %v", f, diags)
		}
	}
}

func TestDefaultIsTheOneNodeExample(t *testing.T) {
	got, _, diags := Load("../../examples/deployments/one-node.hcl")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if diff := cmp.Diff(Default(), got); diff != "" {
		t.Errorf("(-default +example):\n%s", diff)
	}
}

func TestDeployment(t *testing.T) {
	got, _, diags := Parse([]byte(`
engine "default" {
  slots     = 4
  base_need = 1
}
engine "fast" {
  slots     = 16
  heartbeat = "500ms"
}
dispatcher "pd" {}
node "one" {
  engine = "default"
  agent "one-a" {}
  agent "one-b" {
    slots = 8
  }
}
node "two" {
  engine     = "fast"
  properties = { rack = 7, big = true }
  agent "two-a" {
    properties = { disk = "ssd" }
  }
}
broker {
  url         = "nats://b1:4222,nats://b2:4222"
  credentials = "creds.json"
  tls { ca = "ca.pem" }
}`), "d.hcl")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	none := map[string]string{}
	second := wire.Duration(2 * time.Second)
	want := &Deployment{
		Engines: []wire.Engine{
			{Name: "default", Slots: 4, BaseNeed: 1, Heartbeat: second, Warning: 2, Missing: 4, Default: true},
			{Name: "fast", Slots: 16, Heartbeat: wire.Duration(500 * time.Millisecond), Warning: 2, Missing: 4},
		},
		Dispatchers: []Dispatcher{{Name: "pd"}},
		Nodes: []Node{
			{Name: "one", Engine: "default", Properties: none, Agents: []Agent{
				{Name: "one-a", Engine: "default", Properties: none}, {Name: "one-b", Engine: "default", Slots: 8, Properties: none}}},
			{Name: "two", Engine: "fast", Properties: map[string]string{"rack": "7", "big": "true"}, Agents: []Agent{
				{Name: "two-a", Engine: "fast", Properties: map[string]string{"disk": "ssd"}}}},
		},
		Broker: &Broker{URL: "nats://b1:4222,nats://b2:4222", Credentials: "creds.json", CA: "ca.pem"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestMistakes reads testdata/*.hcl, in which every line begins with the diagnostics
// wanted: "# want: LINE: SUMMARY".
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/*.hcl")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for line := range strings.SplitSeq(string(src), "\n") {
			if w, ok := strings.CutPrefix(line, "# want: "); ok {
				want = append(want, w)
			}
		}
		_, _, diags := Parse(src, f)
		for _, d := range diags {
			got = append(got, fmt.Sprintf("%d: %s", d.Subject.Start.Line, d.Summary))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s%v", f, diff, diags)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.hcl")
	examples, _ := filepath.Glob("../../examples/deployments/*.hcl")
	for _, path := range append(files, examples...) {
		src, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		d, _, diags := Parse(src, "f.hcl")
		if (d == nil) != diags.HasErrors() {
			t.Fatalf("a deployment %v, with %v", d, diags)
		}
		for _, diag := range diags {
			if diag.Subject == nil || diag.Subject.Start.Byte > len(src) || diag.Subject.End.Byte > len(src) {
				t.Errorf("%s: out of the file: %v", diag.Summary, diag.Subject)
			}
		}
	})
}
