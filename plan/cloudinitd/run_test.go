package cloudinitd

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/zclconf/go-cty/cty"

	"github.com/launchplan/launch/plan"
)

// TestImportedPlansRun boots the imported plans whose archive begins with "run: ok" (or "run: failed SERVICE")
// on this machine, with just enough of an engine: files, boot, exports, ready, terminate. The programs of
// the old plans say by their status whether they found what cloudinit.d would have given them.
func TestImportedPlansRun(t *testing.T) {
	for _, name := range archives(t) {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want, ok := strings.CutPrefix(strings.Split(string(archive.Comment), "\n")[0], "run: ")
		if !ok {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			im, diags := read(t, unpack(t, archive))
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			if got := boot(t, expand(t, writeTo(t, im))); got != want {
				t.Errorf("the run: %s, want %s", got, want)
			}
		})
	}
}

func boot(t *testing.T, tree *plan.Tree) string {
	root := t.TempDir()
	for _, svc := range tree.Services {
		dir := filepath.Join(root, svc.Address)
		known := plan.Known{Address: "127.0.0.1", WorkDir: dir}
		tree.Learn(svc, known)
		prepared, diags := svc.Prepare()
		if diags.HasErrors() {
			t.Log(diags)
			return "failed " + svc.Address
		}
		for _, f := range prepared.Files {
			putFile(t, dir, f)
		}
		if prepared.Boot != nil && !run(t, svc, dir, prepared.Boot) {
			return "failed " + svc.Address
		}
		left, _ := os.ReadFile(filepath.Join(dir, "exports"))
		exports, _, err := svc.ParseExports(left)
		if err != nil {
			t.Fatalf("%s: %v", svc.Address, err)
		}
		known.Exports = exports
		if known.Exports == nil {
			known.Exports = map[string]cty.Value{}
		}
		tree.Learn(svc, known)
		probes, diags := svc.Checks()
		if diags.HasErrors() {
			t.Log(diags)
			return "failed " + svc.Address
		}
		for _, probe := range probes {
			if probe.Attempts != 1 {
				t.Errorf("%s: ready has %d attempts, want 1", svc.Address, probe.Attempts)
			}
			if !run(t, svc, dir, probe.Program) {
				return "failed " + svc.Address
			}
		}
	}
	for _, svc := range tree.Services {
		ending, diags := svc.Ending()
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		if ending.Terminate != nil && !run(t, svc, filepath.Join(root, svc.Address), ending.Terminate) {
			return "failed " + svc.Address
		}
	}
	return "ok"
}

func putFile(t *testing.T, dir string, f plan.File) {
	t.Helper()
	name := filepath.Join(dir, f.Path)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, f.Content, os.FileMode(f.Mode)); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, svc *plan.Service, dir string, p *plan.Program) bool {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	argv := p.Argv
	if p.Payload != nil {
		programs := t.TempDir()
		for _, f := range p.Payload.Files {
			putFile(t, programs, f)
		}
		argv = append(append([]string{}, p.Payload.Interpreter...), filepath.Join(programs, p.Payload.Entry))
		argv = append(argv, p.Argv...)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LAUNCH_EXPORTS="+filepath.Join(dir, "exports"))
	out, err := cmd.CombinedOutput()
	t.Logf("%s: %q: %v\n%s", svc.Address, argv, err, out)
	return err == nil
}
