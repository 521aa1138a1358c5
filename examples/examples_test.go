// Package examples has plans to learn from. Every command in their READMEs, and in docs/first-plan.md, is run by a test,
// and must print what stands there.
package examples

import (
	"encoding/json"
	"flag"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/launchplan/launch/internal/sandbox"
)

var update = flag.Bool("update", false, "write what the commands print into the READMEs")

func TestReadmes(t *testing.T) {
	readmes, err := filepath.Glob("[0-9]*/README.md")
	if err != nil || len(readmes) == 0 {
		t.Fatalf("no READMEs: %v", err)
	}
	plans, _ := filepath.Glob("[0-9]*/plan.hcl")
	if len(plans) != len(readmes) {
		t.Errorf("%d examples have a plan, %d a README", len(plans), len(readmes))
	}
	for _, readme := range readmes {
		t.Run(filepath.Dir(readme), func(t *testing.T) {
			box := sandbox.New(t)
			usePorts(t, box)
			box.CheckReadme(t, readme, *update)
		})
	}
}

// The walk through a first plan begins with nothing: its files are written as the page says.
func TestFirstPlan(t *testing.T) {
	for _, program := range []string{"python3", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("there is no %s", program)
		}
	}
	box := sandbox.New(t)
	usePorts(t, box)
	box.Dir = box.Home
	box.CheckReadme(t, "../docs/first-plan.md", *update)
}

// The plan in the README is one that launch takes.
func TestReadmePlan(t *testing.T) {
	box := sandbox.New(t)
	box.Dir = box.Home
	box.CheckReadme(t, "../README.md", false) // writes the plan
	box.Must(t, "launch validate shop")
	box.Must(t, "launch fmt --check shop")
}

// usePorts makes examples that listen use ports that are free now. The READMEs show the plans' own.
func usePorts(t *testing.T, box *sandbox.Sandbox) {
	if *update {
		return
	}
	ports := map[string]int{}
	for _, name := range []string{"registry", "store_0", "store_1", "web_0", "web_1", "counter", "port"} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close() // when all have been chosen, so that they differ
		ports[name] = ln.Addr().(*net.TCPAddr).Port
	}
	data, err := json.Marshal(ports)
	if err != nil {
		t.Fatal(err)
	}
	box.Set("LAUNCH_VAR_ports", string(data))
	box.Set("LAUNCH_VAR_port", strconv.Itoa(ports["port"]))
	box.Set("LAUNCH_VAR_listen", "127.0.0.1:"+strconv.Itoa(ports["registry"]))
}
