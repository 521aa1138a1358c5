package plan

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func archive(t *testing.T, files map[string]string) string {
	t.Helper()
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	out := tar.NewWriter(zipped)
	for _, name := range keys(files) {
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(files[name])), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.String()
}

func TestProgramForms(t *testing.T) {
	more := map[string]string{
		"main/top.tar.gz":    archive(t, map[string]string{"run.sh": "#!/bin/sh\n", "lib/x": "x"}),
		"main/folder.tar.gz": archive(t, map[string]string{"pkg/run.sh": "#!/bin/sh\n", "pkg/x": "x"}),
	}
	tree := expand(t, `
level "one" {
  service "file" {
    count = 2
    boot {
      program = "boot.sh"
      args    = ["--n", 5, "two words"]
      env     = { A = 1, B = null, C = "x" }
    }
  }
  service "directory" {
    boot { program = "bundle" }
  }
  service "top" {
    boot { program = "top.tar.gz" }
  }
  service "folder" {
    boot { program = "folder.tar.gz" }
  }
  service "script" {
    boot { script = "echo hello" }
  }
  service "process" {
    process {
      command      = ["sleep", "60"]
      stop_signal  = "INT"
      stop_timeout = "3s"
    }
  }
}
`, nil, more)
	got := map[string]string{}
	var payloads []*Payload
	for _, s := range tree.Services {
		p, diags := s.Prepare()
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		if p.Process != nil {
			ending, diags := s.Ending()
			if diags.HasErrors() || ending.Signal != "SIGINT" || ending.Grace.String() != "3s" || p.Process.StopSignal != "SIGINT" {
				t.Errorf("process %+v, ending %+v, %v", p.Process, ending, diags)
			}
			continue
		}
		payloads = append(payloads, p.Boot.Payload)
		got[s.Address] = p.Boot.Payload.Entry + " of"
		for _, f := range p.Boot.Payload.Files {
			got[s.Address] += " " + f.Path
		}
	}
	want := map[string]string{
		"one.file[0]": "boot.sh of boot.sh", "one.file[1]": "boot.sh of boot.sh", "one.directory": "run.sh of run.sh",
		"one.top": "run.sh of lib/x run.sh", "one.folder": "pkg/run.sh of pkg/run.sh pkg/x", "one.script": "script.sh of script.sh",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("payloads (-want +got):\n%s", diff)
	}
	if payloads[0] != payloads[1] {
		t.Error("two services with one program have two payloads")
	}
	prepared, _ := tree.Services[0].Prepare()
	if diff := cmp.Diff(map[string]string{"A": "1", "C": "x"}, prepared.Boot.Env); diff != "" {
		t.Errorf("env (-want +got):\n%s", diff)
	}
	if got, want := prepared.Boot.Display, `boot.sh --n 5 "two words"`; got != want {
		t.Errorf("shown as %s, want %s", got, want)
	}
}

func TestArchivesThatAreRefused(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"leads out of the archive": {"run.sh": "", "../evil": ""},
		"has no run.sh":            {"a/x": "", "b/run.sh": ""},
	} {
		_, err := makePayload(&planFiles{dir: "/p", fsys: newKept(SnapshotFile{Path: "x.tar.gz", Content: []byte(archive(t, files))}), read: map[string]*planFile{}}, "x.tar.gz")
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want one that says %q", err, name)
		}
	}
}

func newKept(files ...SnapshotFile) *keptFS {
	kept := newKeptFS()
	for _, file := range files {
		kept.add(file)
	}
	return kept
}

// A plan on disk cannot reach outside of its directory, nor make launch wait.
func TestHostileFiles(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("outside"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	large, err := os.Create(filepath.Join(dir, "large"))
	if err != nil {
		t.Fatal(err)
	}
	if err := large.Truncate(1 << 40); err != nil {
		t.Fatal(err)
	}
	large.Close()
	for x, want := range map[string]string{
		`file("link")`:            "leads out of the plan's directory",
		`file("fifo")`:            "it is not a regular file",
		`file("large")`:           "would be larger than the 64 MiB",
		`file("/etc/hostname")`:   "lies outside of the plan's directory",
		`file("../x")`:            "lies outside of the plan's directory",
		`file(".")`:               "it is a directory",
		`file("")`:                "the path is empty",
		`fileset(".", "**/fif*")`: "it is not a regular file",
	} {
		if err := os.WriteFile(filepath.Join(dir, "plan.hcl"), []byte("output \"x\" { value = "+x+" }\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		_, diags := Load(dir, Options{})
		if !strings.Contains(diags.Error(), want) {
			t.Errorf("%s: %v, want one that says %q", x, diags, want)
		}
	}
}

// A link may go by way of outside, as long as it ends in the plan. A resumed run finds what it led to.
func TestLinksWithinThePlan(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "plan")
	if err := os.MkdirAll(filepath.Join(dir, "shared"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"shared/x":  "shared",
		"plan.hcl":  `output "x" { value = [file("absolute"), file("around"), file("inside"), file("folder/x"), fileexists("folder/x")] }` + "\n",
		"other.txt": "other",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{
		"absolute": filepath.Join(dir, "shared/x"), "around": "../plan/other.txt", "inside": "shared/x", "folder": filepath.Join(dir, "shared"),
	} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	p, diags := Load(dir, Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	tree, diags := p.Expand(Inputs{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if diff := cmp.Diff(map[string]string{"x": `["shared","other","shared","shared",true]`}, outputs(t, tree)); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
	kept, err := tree.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if again, diags := Load(dir, testOptions(kept)); diags.HasErrors() || again == nil {
		t.Errorf("from the snapshot: %v", diags)
	}
}

func TestPlanFileThatIsNone(t *testing.T) {
	dir := t.TempDir()
	if p, diags := Load(dir, Options{}); p != nil || !strings.Contains(diags.Error(), "it has no plan.hcl") {
		t.Errorf("empty directory: %v, %v", p, diags)
	}
	if p, diags := Load(filepath.Join(dir, "nothing"), Options{}); p != nil || !strings.Contains(diags.Error(), "does not exist") {
		t.Errorf("missing directory: %v, %v", p, diags)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "plan.hcl"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, diags := Load(dir, Options{}); !strings.Contains(diags.Error(), "it is not a regular file") {
		t.Errorf("plan.hcl is a FIFO: %v", diags)
	}
}
