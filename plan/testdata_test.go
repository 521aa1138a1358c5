package plan

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

var update = flag.Bool("update", false, "write what is reported into the first line of the invalid plans")

// testRunners are runner types as cmd/launch registers them.
func testRunners() []RunnerType {
	return []RunnerType{
		{Name: "ssh", Host: NeedsHost, Attributes: map[string]RunnerAttribute{
			"user": {Type: cty.String}, "identity_file": {Type: cty.String}, "port": {Type: cty.Number}}},
		{Name: "ec2", Host: MayHaveHost, Attributes: map[string]RunnerAttribute{
			"region": {Type: cty.String}, "image": {Type: cty.String, Required: true}, "instance_type": {Type: cty.String}},
			Blocks: map[string]map[string]RunnerAttribute{"ssh": {"user": {Type: cty.String}}, "pool": {"size": {Type: cty.Number, Required: true}}}, Pool: "pool"},
	}
}

// testOptions load plans from files in memory, by directory.
func testOptions(files []SnapshotFile) Options {
	return Options{
		Source: SnapshotSource(files), Runners: testRunners(), Version: "0.2.0", WorkDir: "/plans",
		LookupEnv:  func(name string) (string, bool) { return "/home/ops", name == "HOME" },
		Executable: func(name string) (string, error) { return "/usr/bin/" + name, existing(name) },
	}
}

func existing(name string) error {
	if name == "tool" {
		return nil
	}
	return fs.ErrNotExist
}

// commonFiles are in every plan that the tests load.
func commonFiles() []SnapshotFile {
	file := func(path string, mode fs.FileMode, content string) SnapshotFile {
		return SnapshotFile{Dir: "/plans/main", Path: path, Mode: mode, Content: []byte(content)}
	}
	return []SnapshotFile{
		file("boot.sh", 0o755, "#!/bin/sh\n"),
		file("plain.txt", 0o644, "plain\n"),
		file("bundle/run.sh", 0o755, "#!/bin/sh\n"),
		file("empty/readme", 0o644, "no run.sh here\n"),
		file("broken.tar.gz", 0o644, "not an archive"),
		file("greeting.tmpl", 0o644, "Hello ${name}!\n"),
		file("broken.tmpl", 0o644, "Hello ${name"),
		file("binary", 0o644, "\xff\xfe"),
		{Dir: "/plans/child", Path: "plan.hcl", Mode: 0o644, Content: []byte(childPlan)},
	}
}

const childPlan = `
variable "url" { type = string }
variable "size" {
  type    = number
  default = 1
  validation {
    condition     = var.size < 10
    error_message = "Too large."
  }
}
level "core" {
  service "app" {
    count = var.size
    process { command = ["app", var.url] }
  }
}
output "first" { value = service.app[0].address }
`

// invalidCase reads a plan of testdata/invalid: one file, or a directory with several.
func invalidCase(t *testing.T, path string) (files []SnapshotFile, first string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	files = commonFiles()
	if !info.IsDir() {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return append(files, SnapshotFile{Dir: "/plans/main", Path: "plan.hcl", Mode: 0o644, Content: content}), path
	}
	err = filepath.WalkDir(path, func(p string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(p)
		rel, _ := filepath.Rel(path, p)
		dir, base, nested := strings.Cut(filepath.ToSlash(rel), "/")
		if !nested {
			dir, base = "main", rel
		}
		files = append(files, SnapshotFile{Dir: "/plans/" + dir, Path: base, Mode: 0o644, Content: content})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, filepath.Join(path, "plan.hcl")
}

var wantLine = regexp.MustCompile(`^# want: (.*)\n`)

// TestInvalidPlans holds each plan of testdata/invalid against its first line: one mistake,
// said once, at the right place.
func TestInvalidPlans(t *testing.T) {
	paths, err := filepath.Glob("testdata/invalid/*")
	if err != nil || len(paths) == 0 {
		t.Fatal("no invalid plans", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			files, first := invalidCase(t, path)
			p, diags := Load("/plans/main", testOptions(files))
			if p != nil && !diags.HasErrors() {
				_, moreDiags := p.Expand(Inputs{RunName: "test", RunID: "id"})
				diags = append(diags, moreDiags...)
			}
			var got []string
			for _, d := range diags {
				got = append(got, shownDiagnostic(d))
			}
			content, err := os.ReadFile(first)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				line := "# want: " + strings.Join(got, "; ") + "\n"
				if wantLine.Match(content) {
					content = wantLine.ReplaceAllLiteral(content, []byte(line))
				}
				if err := os.WriteFile(first, content, 0o644); err != nil {
					t.Fatal(err)
				}
				for _, d := range diags {
					fmt.Printf("%s\n    %s\n    %s\n", filepath.Base(path), shownDiagnostic(d), d.Detail)
				}
				return
			}
			m := wantLine.FindSubmatch(content)
			if m == nil {
				t.Fatalf("%s does not begin with \"# want: LINE,COLUMN-COLUMN: Summary\"", first)
			}
			if want := string(m[1]); strings.Join(got, "; ") != want {
				t.Errorf("reported:\n  %s\nwant:\n  %s\n%v", strings.Join(got, "; "), want, diags)
			}
			checkWording(t, diags)
		})
	}
}

// shownDiagnostic is place and summary; the file only where it is another one than plan.hcl.
func shownDiagnostic(d *hcl.Diagnostic) string {
	if d.Subject == nil {
		return d.Summary
	}
	file := ""
	if name := strings.TrimPrefix(d.Subject.Filename, "main/"); name != "plan.hcl" {
		file = name + ":"
	}
	end := fmt.Sprint(d.Subject.End.Column)
	if d.Subject.End.Line != d.Subject.Start.Line {
		end = fmt.Sprintf("%d,%d", d.Subject.End.Line, d.Subject.End.Column)
	}
	return fmt.Sprintf("%s%d,%d-%s: %s", file, d.Subject.Start.Line, d.Subject.Start.Column, end, d.Summary)
}

// checkWording holds what is said to the rules of CONTRIBUTING: sentences, with a full stop.
func checkWording(t *testing.T, diags hcl.Diagnostics) {
	t.Helper()
	for _, d := range diags {
		if d.Detail == "" || !strings.HasSuffix(d.Detail, ".") && !strings.HasSuffix(d.Detail, "?") {
			t.Errorf("detail is no sentence: %q", d.Detail)
		}
		if strings.HasSuffix(d.Summary, ".") {
			t.Errorf("summary ends with a full stop: %q", d.Summary)
		}
	}
}
