package cloudinitd

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzImport imports plans of five files with hostile content. Whatever they say, there is an answer soon, its
// ranges lie within the files, and what is written is HCL.
func FuzzImport(f *testing.F) {
	names := []string{"main.conf", "one.conf", "two.conf", "deps.conf", "conf.json"}
	f.Add([]byte("[runlevels]\nlevel1: one.conf\nlevel2: two.conf\n[defaults]\nlocal_exe: true\n"),
		[]byte("[svc-a]\nhostname: localhost\nbootpgm: one.conf\nbootconf: conf.json\ndeps: deps.conf\nreplica_count: 3\n"),
		[]byte("[svc-b]\nhostname: ${a-1.hostname}\nreadypgm: two.conf\nreadypgm_args: 'a b' ${a-0.x} ${.y}\ndeps: deps.conf\n"),
		[]byte("[deps]\nx: %(y)s ${global.z}\ny: ${.x}\n"), []byte("{\"a\": \"$x ${y} $$\"}"))
	for _, name := range archives(f) {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		var seed [5][]byte
		next := 1
		for _, file := range archive.Files {
			switch {
			case file.Name == "old/main.conf":
				seed[0] = file.Data
			case strings.HasSuffix(file.Name, ".json"):
				seed[4] = file.Data
			case strings.HasPrefix(file.Name, "old/") && strings.HasSuffix(file.Name, ".conf") && next < 4:
				seed[next] = file.Data
				next++
			}
		}
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4])
	}
	f.Fuzz(func(t *testing.T, a, b, c, d, e []byte) {
		dir := t.TempDir()
		for i, data := range [][]byte{a, b, c, d, e} {
			if err := os.WriteFile(filepath.Join(dir, names[i]), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		im, diags := Read(Options{Main: filepath.Join(dir, "main.conf"), Home: dir, LookupEnv: lookupEnv})
		for _, diag := range diags {
			if diag.Subject == nil {
				continue
			}
			src := im.Sources[diag.Subject.Filename]
			if diag.Subject.Start.Byte > diag.Subject.End.Byte || src != nil && diag.Subject.End.Byte > len(src.Bytes) {
				t.Errorf("%v: range %v is not in the file", diag, diag.Subject)
			}
		}
		if diags.HasErrors() != (im.Files == nil) {
			t.Errorf("errors: %v, files: %d", diags.HasErrors(), len(im.Files))
		}
		for _, file := range im.Files {
			if strings.HasSuffix(file.Path, ".hcl") {
				if _, diags := hclsyntax.ParseConfig(file.Content, file.Path, hcl.InitialPos); diags.HasErrors() {
					t.Errorf("%v\n%s", diags, file.Content)
				}
			}
		}
	})
}

// TestBounds: plans that would grow without end, or for a long time, are refused, or done with soon.
func TestBounds(t *testing.T) {
	const top = "[runlevels]\nlevel1: one.conf\n[defaults]\nlocal_exe: true\n"
	var doubling, percent, wide, many strings.Builder
	doubling.WriteString("[deps]\na0: xxxxxxxxxx\n")
	percent.WriteString("[deps]\na0: xxxxxxxxxx\n")
	for i := 1; i < 60; i++ {
		n := string(rune('a'+i/10)) + string(rune('0'+i%10))
		p := string(rune('a'+(i-1)/10)) + string(rune('0'+(i-1)%10))
		doubling.WriteString(n + ": ${." + p + "}${." + p + "}\n")
		percent.WriteString(n + ": %(" + p + ")s%(" + p + ")s\n")
	}
	wide.WriteString("[deps]\n")
	for i := range 20_000 {
		wide.WriteString("k" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strconv.Itoa(i) + ": v\n")
	}
	for i := range 5_000 {
		many.WriteString("[svc-s" + strconv.Itoa(i) + "]\nhostname: localhost\n")
	}
	tests := map[string]struct{ one, deps, want string }{
		"references that double":     {"[svc-a]\nhostname: x\ndeps: deps.conf\n", doubling.String(), "Value too long"},
		"interpolation that doubles": {"[svc-a]\nhostname: x\ndeps: deps.conf\n", percent.String(), "Value cannot be interpolated"},
		"hostname of itself":         {"[svc-a]\nhostname: ${.hostname}\nbootpgm: one.conf\nbootpgm_args: ${.hostname}\n", "", "References without end"},
		"hostnames in a circle":      {"[svc-a]\nhostname: ${b.hostname}\nbootpgm: one.conf\nbootpgm_args: ${.hostname}\n[svc-b]\nhostname: ${a.hostname}\n", "", "References without end"},
		"many dependencies":          {many.String() + strings.Repeat("[svc-a]\nhostname: x\ndeps: deps.conf\n[svc-b]\nhostname: x\ndeps: deps.conf\n", 1), wide.String(), ""},
		"too many dependencies":      {strings.ReplaceAll(many.String(), "localhost\n", "x\ndeps: deps.conf\n"), wide.String(), "Too many dependencies"},
		"too many copies":            {"[svc-a]\nhostname: x\nreplica_count: 1000000000\n", "", "Not a number"},
		"a file too long":            {"[svc-a]\nhostname: x\n" + strings.Repeat("# comment\n", 200_000), "", "File cannot be read"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeTestFile(t, filepath.Join(dir, "main.conf"), []byte(top))
			writeTestFile(t, filepath.Join(dir, "one.conf"), []byte(tt.one))
			writeTestFile(t, filepath.Join(dir, "deps.conf"), []byte(tt.deps))
			_, diags := read(t, dir)
			found := ""
			for _, d := range diags.Errs() {
				found += d.Error() + "\n"
			}
			if tt.want == "" && found != "" || !strings.Contains(found, tt.want) {
				t.Errorf("errors %.400q, want %q", found, tt.want)
			}
		})
	}
}

// TestDependenciesOfDependencies: what each level doubles is looked at once.
func TestDependenciesOfDependencies(t *testing.T) {
	dir := t.TempDir()
	top := "[runlevels]\n"
	for i := range 60 {
		n, before := strconv.Itoa(i), strconv.Itoa(i-1)
		top += "level" + n + ": l" + n + ".conf\n"
		writeTestFile(t, filepath.Join(dir, "l"+n+".conf"), []byte("[svc-s"+n+"]\nhostname: localhost\ndeps: d"+n+".conf\n"))
		deps := "[deps]\nx: v\n"
		if i > 0 {
			deps = "[deps]\nx: ${s" + before + ".x}${s" + before + ".x}\na_token: ${s" + before + ".x}\n"
		}
		writeTestFile(t, filepath.Join(dir, "d"+n+".conf"), []byte(deps))
	}
	writeTestFile(t, filepath.Join(dir, "main.conf"), []byte(top))
	if _, diags := read(t, dir); len(diags) > 0 {
		t.Fatal(diags)
	}
}
