package cloudinitd

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/zclconf/go-cty/cty"

	"github.com/launchplan/launch/plan"
)

// testEnv is the environment of every test.
var testEnv = map[string]string{"TARGET": "10.1.1.1", "SITE": "here", "EMPTY": "", "MY_TOKEN": "s3cr3t-token", "BHOST": "127.0.0.1"}

func lookupEnv(name string) (string, bool) {
	value, ok := testEnv[name]
	return value, ok
}

// unpack writes the files below old/ of an archive; what is below NAME.tar.gz/ goes into one.
func unpack(t testing.TB, archive *txtar.Archive) (dir string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tarballs := map[string][]txtar.File{}
	for _, f := range archive.Files {
		name, ok := strings.CutPrefix(f.Name, "old/")
		if !ok {
			continue
		}
		if ball, inner, ok := strings.Cut(name, ".tar.gz/"); ok {
			tarballs[ball+".tar.gz"] = append(tarballs[ball+".tar.gz"], txtar.File{Name: inner, Data: f.Data})
			continue
		}
		writeTestFile(t, filepath.Join(dir, name), f.Data)
	}
	for name, files := range tarballs {
		writeTestFile(t, filepath.Join(dir, name), tarball(t, files))
	}
	return dir
}

func writeTestFile(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func tarball(t testing.TB, files []txtar.File) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.Name, Mode: 0o644, Size: int64(len(f.Data))}); err != nil {
			t.Fatal(err)
		}
		w.Write(f.Data)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(t testing.TB, dir string) (*Imported, hcl.Diagnostics) {
	t.Helper()
	opts := Options{Main: filepath.Join(dir, "main.conf"), Home: filepath.Join(dir, "home"), LookupEnv: lookupEnv}
	if extra := filepath.Join(dir, "globals.ini"); exists(extra) {
		opts.GlobalVarFiles = []string{extra}
		opts.GlobalVars = []string{"rank=command line", "Upper=x"}
	}
	return Read(opts)
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// lines renders diagnostics as FILE:LINE: severity: summary: detail.
func lines(dir string, diags hcl.Diagnostics) string {
	var b strings.Builder
	for _, d := range diags {
		severity := "error"
		if d.Severity == hcl.DiagWarning {
			severity = "warning"
		}
		place := ""
		if d.Subject != nil {
			place = fmt.Sprintf("%s:%d: ", d.Subject.Filename, d.Subject.Start.Line)
		}
		fmt.Fprintf(&b, "%s%s: %s: %s\n", place, severity, d.Summary, d.Detail)
	}
	return strings.ReplaceAll(strings.ReplaceAll(b.String(), dir+"/", ""), dir, "DIR")
}

func archives(t testing.TB) []string {
	t.Helper()
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal("no testdata", err)
	}
	return names
}

// TestImport compares what becomes of each old plan with what its archive says. UPDATE=1 writes that anew.
func TestImport(t *testing.T) {
	for _, name := range archives(t) {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			dir := unpack(t, archive)
			im, diags := read(t, dir)
			got := []txtar.File{}
			if text := lines(dir, diags); text != "" {
				got = append(got, txtar.File{Name: "want/diagnostics", Data: []byte(text)})
			}
			for _, f := range im.Files {
				if strings.HasSuffix(f.Path, ".hcl") || f.Path == secretsFile || strings.HasSuffix(f.Path, ".tmpl") && !strings.HasPrefix(f.Path, "cloudinitd") {
					got = append(got, txtar.File{Name: "want/" + f.Path, Data: bytes.ReplaceAll(f.Content, []byte(dir+"/"), nil)})
				}
			}
			if os.Getenv("UPDATE") != "" {
				archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return strings.HasPrefix(f.Name, "want/") })
				archive.Files = append(archive.Files, got...)
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			var want []txtar.File
			for _, f := range archive.Files {
				if strings.HasPrefix(f.Name, "want/") {
					want = append(want, f)
				}
			}
			if diff := cmp.Diff(asText(want), asText(got)); diff != "" {
				t.Errorf("imported plan (-want +got):\n%s", diff)
			}
			if im.Files != nil {
				expand(t, writeTo(t, im))
			}
		})
	}
}

func asText(files []txtar.File) map[string]string {
	text := map[string]string{}
	for _, f := range files {
		text[f.Name] = string(f.Data)
	}
	return text
}

func writeTo(t testing.TB, im *Imported) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "new")
	if err := im.Write(out); err != nil {
		t.Fatal(err)
	}
	return out
}

// runnerTypes are launch's runners, as far as imported plans use them.
func runnerTypes() []plan.RunnerType {
	text := plan.RunnerAttribute{Type: cty.String}
	ssh := map[string]plan.RunnerAttribute{"user": text, "identity_file": text, "host_key_policy": text}
	return []plan.RunnerType{
		{Name: "ssh", Attributes: ssh, Host: plan.NeedsHost},
		{Name: "ec2", Host: plan.MayHaveHost, Attributes: map[string]plan.RunnerAttribute{
			"region": text, "endpoint": text, "image": text, "instance_type": text, "key_name": text,
			"security_groups": {Type: cty.List(cty.String)},
		}, Blocks: map[string]map[string]plan.RunnerAttribute{"ssh": ssh}},
	}
}

// expand loads an imported plan as launch does. There must be nothing to say of it.
func expand(t testing.TB, dir string) *plan.Tree {
	t.Helper()
	p, diags := plan.Load(dir, plan.Options{Runners: runnerTypes(), LookupEnv: lookupEnv})
	if len(diags) > 0 {
		t.Fatal("the imported plan: ", lines(dir, diags))
	}
	in := plan.Inputs{RunName: "run-1", RunID: "01RUN", Variables: map[string]plan.Given{}}
	if src, err := os.ReadFile(filepath.Join(dir, secretsFile)); err == nil {
		if in.Variables, diags = plan.ParseVarFile(secretsFile, src); len(diags) > 0 {
			t.Fatal("the imported plan's secrets: ", lines(dir, diags))
		}
	}
	for _, v := range p.Variables {
		if _, given := in.Variables[v.Name]; !given && (v.Default == cty.NilVal || v.Default.IsNull()) {
			in.Variables[v.Name] = plan.Given{Raw: "given " + v.Name, From: "test"}
		}
	}
	tree, diags := p.Expand(in)
	if len(diags) > 0 {
		t.Fatal("the imported plan, expanded: ", lines(dir, diags))
	}
	return tree
}

// TestKeyStaysWhereItIs: whatever directory an old plan is imported from, and the new one is booted from, its
// private keys are found.
func TestKeyStaysWhereItIs(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"main.conf":         "[defaults]\nlocalsshkeypath: keys/k1\n[runlevels]\nlevel1: levels/one.conf\n",
		"levels/keys/k1":    "a key",
		"levels/keys/other": "a key",
		"levels/ready.sh":   "#!/bin/sh\n",
		"levels/one.conf": "[svc-host]\nhostname: 10.0.0.1\nreadypgm: ready.sh\nreadypgm_args: ${.localkey}\n" +
			"[svc-vm]\nimage: ami-1\n[svc-env]\nhostname: 10.0.0.2\nlocalsshkeypath: env.KEY_PATH\n",
	} {
		writeTestFile(t, filepath.Join(dir, name), []byte(content))
	}
	t.Chdir(dir)
	lookup := func(name string) (string, bool) { return "keys/other", name == "KEY_PATH" }
	im, diags := Read(Options{Main: "main.conf", Home: dir, LookupEnv: lookup})
	if len(diags) > 0 {
		t.Fatal(lines(dir, diags))
	}
	out := writeTo(t, im)
	for env, want := range map[string]string{
		"keys/other": dir + "/levels/keys/other", "../k": dir + "/levels/../k", "/etc/k": "/etc/k", "~/k": "~/k", "": "",
	} {
		p, diags := plan.Load(out, plan.Options{Runners: runnerTypes(), LookupEnv: func(string) (string, bool) { return env, true }})
		if len(diags) > 0 {
			t.Fatal(lines(dir, diags))
		}
		tree, diags := p.Expand(plan.Inputs{RunName: "run-1", RunID: "01RUN"})
		if len(diags) > 0 {
			t.Fatal(lines(dir, diags))
		}
		got := map[string]string{}
		for _, svc := range tree.Services {
			config := svc.Runner.Config
			if svc.Name == "vm" {
				config = config.GetAttr("ssh")
			}
			got[svc.Name] = config.GetAttr("identity_file").AsString()
		}
		key := dir + "/levels/keys/k1"
		if diff := cmp.Diff(map[string]string{"host": key, "vm": key, "env": want}, got); diff != "" {
			t.Errorf("identity_file with KEY_PATH=%s (-want +got):\n%s", env, diff)
		}
		probes, diags := tree.Services[0].Checks()
		if len(diags) > 0 || probes[0].Program.Argv[1] != key {
			t.Errorf("${.localkey} is not %s: %v %v", key, probes, diags)
		}
	}
}

func TestWriteIsPrivateAndAtomic(t *testing.T) {
	im := &Imported{Files: []File{{Path: "plan.hcl", Mode: 0o600, Content: []byte("x")}, {Path: "a/b.sh", Mode: 0o700}}}
	parent := t.TempDir()
	out := filepath.Join(parent, "deep", "new")
	if err := im.Write(out); err != nil {
		t.Fatal(err)
	}
	got := map[string]fs.FileMode{}
	err := filepath.WalkDir(out, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		got[strings.TrimPrefix(name, out)] = info.Mode()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]fs.FileMode{"": fs.ModeDir | 0o700, "/plan.hcl": 0o600, "/a": fs.ModeDir | 0o700, "/a/b.sh": 0o700}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("modes (-want +got):\n%s", diff)
	}
	if err := im.Write(out); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("Write into a directory with files = %v, want it refused", err)
	}
	empty := filepath.Join(parent, "empty")
	os.Mkdir(empty, 0o700)
	if err := im.Write(empty); err != nil {
		t.Errorf("Write into an empty directory: %v", err)
	}
	bad := &Imported{Files: []File{{Path: "a", Mode: 0o600}, {Path: "a/b", Mode: 0o600}}}
	if err := bad.Write(filepath.Join(parent, "bad")); err == nil {
		t.Error("Write of a file below a file succeeded")
	}
	entries, _ := os.ReadDir(parent)
	for _, e := range entries {
		if e.Name() != "deep" && e.Name() != "empty" {
			t.Errorf("a failed Write left %s behind", e.Name())
		}
	}
}
