package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"epuharness": func() { os.Exit(run()) }})
}

// TestScripts runs testdata/*.txtar: sessions with the program, each with harnesses of
// its own. Whatever a script leaves running fails it.
func TestScripts(t *testing.T) {
	deployments, err := filepath.Abs("../../examples/deployments")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			state := filepath.Join(env.WorkDir, "state")
			env.Setenv("EPUHARNESS_STATE", state)
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "xdg"))
			env.Setenv("DEPLOYMENTS", deployments)
			env.Defer(func() {
				kill := exec.Command("epuharness", "kill")
				kill.Env = env.Vars
				if out, err := kill.CombinedOutput(); err != nil {
					fmt.Fprintf(os.Stderr, "kill what a script left: %v: %s\n", err, out)
				}
			})
			return nil
		},
	})
}
