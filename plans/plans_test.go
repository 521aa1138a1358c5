// Package plans has the plans that bring up whole systems. Its tests boot them with the built
// binaries, break things, and look at what is left.
package plans

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/launchplan/launch/internal/sandbox"
)

var update = flag.Bool("update", false, "write what the commands print into the READMEs")

func TestReadmes(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil && os.Getenv("CI") == "" {
		t.Skip("the READMEs use curl, which is not installed here")
	}
	for _, readme := range []string{"lightweight/README.md", "dispatch/README.md"} {
		t.Run(filepath.Dir(readme), func(t *testing.T) { sandbox.New(t).CheckReadme(t, readme, *update) })
	}
}

// Whoever boots one of our plans is warned of nothing.
func TestNoWarnings(t *testing.T) {
	box := sandbox.New(t)
	for _, plan := range []string{"plans/lightweight", "plans/dispatch", copyOfFull(t, box)} {
		if out := box.Must(t, "launch validate "+plan); out != "the plan is valid\n" {
			t.Errorf("%s:\n%s", plan, out)
		}
	}
}

// outputs of plans/lightweight.
type outputs struct {
	Web            []string `json:"web"`
	Count          string   `json:"count"`
	Token          string   `json:"token_file"`
	StateDirectory string   `json:"state_directory"`
	Credentials    string   `json:"credentials"`
	DispatcherURL  string   `json:"dispatcher_url"`
}

func outputsOf(t *testing.T, box *sandbox.Sandbox, run string) outputs {
	t.Helper()
	var o outputs
	text := box.Must(t, "launch output "+run+" -o json")
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return o
}

// booted boots plans/lightweight, to be terminated at the end.
func booted(t *testing.T) (*sandbox.Sandbox, outputs) {
	t.Helper()
	box := sandbox.New(t)
	box.Must(t, "launch boot plans/lightweight -n sys")
	t.Cleanup(func() { box.Must(t, "launch terminate sys") })
	o := outputsOf(t, box, "sys")
	box.Set("EPUHARNESS_STATE", o.StateDirectory)
	return box, o
}

// webs are the URLs as arguments.
func (o outputs) webs() string { return strings.Join(o.Web, " ") }

func TestLightweight(t *testing.T) {
	box, o := booted(t)
	box.Must(t, "launch status sys")
	if len(o.Web) != 2 {
		t.Errorf("the web servers are %q", o.Web)
	}
	box.Must(t, "NOTES_TOKEN=$(cat "+o.Token+") roundtrip "+o.webs())
	if out, status := box.Run(t, "NOTES_TOKEN=wrong roundtrip "+o.webs()); status == 0 || !strings.Contains(out, "401") {
		t.Errorf("with a wrong token: status %d, %s", status, out)
	}
	list := box.Must(t, "epuharness process list")
	for _, tag := range []string{"registry", "store", "web"} {
		if a, b := nodeOf(t, list, tag+"-0."), nodeOf(t, list, tag+"-1."); a == b {
			t.Errorf("%s-0 and %s-1 are both on node %s", tag, tag, a)
		}
	}
	if mode := box.Must(t, "epuharness boot-mode"); !strings.Contains(mode, "off") {
		t.Errorf("boot mode after the boot: %s", mode)
	}
	keepsSecret(t, box, o)
}

// nodeOf reads a process's node from a list.
func nodeOf(t *testing.T, list, process string) string {
	t.Helper()
	for line := range strings.Lines(list) {
		if strings.HasPrefix(line, process) {
			return strings.Fields(line)[4]
		}
	}
	t.Fatalf("no process %s in\n%s", process, list)
	return ""
}

// keepsSecret looks for the token and the credentials in all that launch keeps: its state, the logs.
func keepsSecret(t *testing.T, box *sandbox.Sandbox, o outputs) {
	t.Helper()
	token, err := os.ReadFile(o.Token)
	if err != nil {
		t.Fatal(err)
	}
	if len(token) != 32 {
		t.Fatalf("the token has %d bytes", len(token))
	}
	err = filepath.WalkDir(filepath.Join(box.Home, ".local", "state", "launch"), func(path string, d fs.DirEntry, err error) error {
		if d.IsDir() && d.Name() == "work" {
			return fs.SkipDir // the services' own
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, token) {
			t.Errorf("the token is in %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// A process that dies is started again by its agent, at the same address: nothing is to be repaired.
func TestProcessDies(t *testing.T) {
	box, _ := booted(t)
	web := processID(t, box, "web-0.")
	pid := fieldOf(t, box, web, "pid")
	box.Must(t, "kill -9 "+pid)
	box.Must(t, "until epuharness process describe "+web+" | grep -q '\"starts\": 2'; do :; done; epuharness process wait "+web)
	box.Must(t, "NOTES_TOKEN=x; until launch status sys > $HOME/status; do :; done")
}

func processID(t *testing.T, box *sandbox.Sandbox, prefix string) string {
	t.Helper()
	for line := range strings.Lines(box.Must(t, "epuharness process list")) {
		if strings.HasPrefix(line, prefix) {
			return strings.Fields(line)[0]
		}
	}
	t.Fatalf("no process %s...", prefix)
	return ""
}

func fieldOf(t *testing.T, box *sandbox.Sandbox, process, field string) string {
	t.Helper()
	var fields map[string]any
	d := json.NewDecoder(strings.NewReader(box.Must(t, "epuharness process describe "+process)))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil {
		t.Fatal(err)
	}
	number, ok := fields[field].(json.Number)
	if !ok {
		t.Fatalf("process %s has no number %s: %v", process, field, fields)
	}
	return number.String()
}

func TestNodeLost(t *testing.T) {
	box, _ := booted(t)
	box.Must(t, "epuharness kill node two")
	out, status := box.Run(t, "launch status sys")
	if status != 1 || !strings.Contains(out, "connection refused") {
		t.Errorf("status with a node lost: %d\n%s", status, out)
	}
	box.Must(t, "launch repair sys")
	box.Must(t, "launch status sys")
}

// With the whole harness gone, nothing is left to end, and terminate says so by ending well.
func TestHarnessGone(t *testing.T) {
	box, _ := booted(t)
	box.Must(t, "epuharness kill")
	if out, status := box.Run(t, "launch status sys"); status != 1 {
		t.Errorf("status without the harness: %d\n%s", status, out)
	}
}

// A boot that is killed at any level goes on with resume, and nothing is there twice.
func TestBootKilled(t *testing.T) {
	for _, after := range []string{"harness.harness ready", "definition.store. ready", "registry.registry.1. ready", "storage.store.0. ready", "front.web.1. ready"} {
		t.Run(after, func(t *testing.T) {
			box := sandbox.New(t)
			t.Cleanup(func() { box.Must(t, "launch terminate sys") })
			box.Must(t, `mkfifo $HOME/progress
				launch boot plans/lightweight -n sys > $HOME/progress 2>&1 & boot=$!
				sed "/`+after+`/q" < $HOME/progress > $HOME/shown
				kill -9 $boot
				wait $boot || true`) // until its lock is gone with it
			box.Must(t, "launch resume sys")
			o := outputsOf(t, box, "sys")
			box.Set("EPUHARNESS_STATE", o.StateDirectory)
			if n := strings.Count(box.Must(t, "epuharness process list"), "RUNNING"); n != 7 {
				t.Errorf("%d processes run, not 7", n)
			}
			box.Must(t, "NOTES_TOKEN=$(cat "+o.Token+") roundtrip "+o.webs())
		})
	}
}

// plans/dispatch boots on any dispatcher, also twice on the same one.
func TestDispatchAlone(t *testing.T) {
	box := sandbox.New(t)
	box.Set("EPUHARNESS_STATE", filepath.Join(box.Home, "h"))
	url := strings.TrimSpace(box.Must(t, "epuharness start plans/lightweight/harness/deployment.hcl"))
	variables := " --var dispatcher_url=" + url + " --var credentials=" + filepath.Join(box.Home, "h", "credentials.json")
	box.Must(t, "launch boot plans/dispatch -n one"+variables)
	box.Must(t, "launch boot plans/dispatch -n two"+variables)
	box.Must(t, "launch status one && launch status two")
	box.Must(t, "launch terminate one")
	box.Must(t, "launch status two")
	box.Must(t, "launch terminate two")
	if left := box.Must(t, "epuharness process list; epuharness definition list"); strings.Count(left, "\n") != 2 {
		t.Errorf("the dispatcher still knows\n%s", left)
	}
	box.Must(t, "epuharness stop") // it would refuse with processes left
}

// What cannot be placed is explained, and leaves nothing behind.
func TestTooManyReplicas(t *testing.T) {
	box := sandbox.New(t)
	box.Set("EPUHARNESS_STATE", filepath.Join(box.Home, "h"))
	url := strings.TrimSpace(box.Must(t, "epuharness start plans/lightweight/harness/deployment.hcl"))
	out, status := box.Run(t, "launch boot plans/dispatch -n many --var replicas=3 --var placed_within=10s --var dispatcher_url="+url+" --var credentials=$EPUHARNESS_STATE/credentials.json")
	for _, want := range []string{"storage.store[", "WAITING", "has a process with the exclusive tag"} {
		if status != 1 || !strings.Contains(out, want) {
			t.Errorf("status %d, without %q:\n%s", status, want, out)
		}
	}
	box.Must(t, "launch terminate many")
	box.Must(t, "epuharness stop")
}
