package launch

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestImportArrows keeps the structure: plan, state, runners and harness know nothing of each other, only the engine joins
// the first three, and only the commands know all. What a file system wants to be told, and what a process of this
// machine is, are nobody's own.
func TestImportArrows(t *testing.T) {
	const (
		module = "github.com/launchplan/launch/"
		topdir = "internal/topdir"
		proc   = "internal/proc"
	)
	allowed := map[string][]string{
		"plan":            {"plan"},
		"plan/cloudinitd": {"plan"}, // an importer of the language, beside it
		"state":           {"state"},
		"runners":         {"runners"},
		"runners/local":   {"runners", "runners/local", proc},
		"runners/ssh":     {"runners", "runners/ssh"},
		"runners/ec2":     {"runners", "runners/ec2", "runners/ssh"},
		"engine":          {"engine", "plan", "runners", "state", topdir},
		"harness":         {"harness", proc, topdir},
		"cmd/epuharness":  {"cmd/epuharness", "harness", proc, topdir},
		"cmd/launch":      {"cmd/launch", "engine", "plan", "runners", "state", proc, topdir},
	}
	for folder, may := range allowed {
		for _, dep := range deps(t, "./"+folder+"/...") {
			own, ok := strings.CutPrefix(dep, module)
			if !ok || folder == "plan" && strings.HasPrefix(own, "plan/") || folder == "runners" {
				continue
			}
			if !slices.ContainsFunc(may, func(m string) bool { return own == m || strings.HasPrefix(own, m+"/") }) {
				t.Errorf("%s imports %s", folder, own)
			}
		}
	}
	for _, dep := range deps(t, "./runners") {
		if strings.HasPrefix(dep, module) && dep != module+"runners" || strings.Contains(dep, "go-cty") || strings.Contains(dep, "/hcl") {
			t.Errorf("runners imports %s", dep)
		}
	}
}

// deps are the packages outside of tests that those of a pattern are built from.
func deps(t *testing.T, pattern string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", pattern).CombinedOutput()
	if err != nil {
		t.Fatalf("go list -deps %s: %v\n%s", pattern, err, out)
	}
	return strings.Fields(string(out))
}
