package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// launchCommand runs a command in this process, and returns its exit status and what it wrote.
func launchCommand(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&errs)
	status = report(&errs, root.Execute())
	return status, out.String(), errs.String()
}

func TestImport(t *testing.T) {
	old := t.TempDir()
	for name, text := range map[string]string{
		"main.conf":   "[globals]\nwho: world\n[runlevels]\nlevel1: level1.conf\n",
		"level1.conf": "[svc-hello]\nhostname: localhost\nlocal_exe: true\nbootpgm: hello.sh\nbootpgm_args: ${global.who}\n",
		"bad.conf":    "[runlevels]\nlevel1: level1.conf\nlevel2: nowhere.conf\n",
		"hello.sh":    "#!/bin/sh\necho hello \"$1\"\n",
	} {
		if err := os.WriteFile(filepath.Join(old, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "new")

	status, _, stderr := launchCommand(t, "import", filepath.Join(old, "bad.conf"), "-o", dir)
	if status != exitUsage || !strings.Contains(stderr, "nowhere.conf: it does not exist") || !strings.Contains(stderr, "nothing was written") {
		t.Errorf("import of a bad plan: status %d, stderr %s", status, stderr)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("import of a bad plan wrote something")
	}
	status, stdout, stderr := launchCommand(t, "import", filepath.Join(old, "main.conf"), "-o", dir, "--globalvar", "who=all of you")
	if status != exitOK || stdout != "imported 1 service in 1 level into "+dir+"\n" || stderr != "" {
		t.Errorf("import: status %d, stdout %s, stderr %s", status, stdout, stderr)
	}
	settings, err := os.ReadFile(filepath.Join(dir, "settings.hcl"))
	if err != nil || !strings.Contains(string(settings), "\"all of you\"") {
		t.Errorf("settings.hcl: %s, %v", settings, err)
	}
	if status, stdout, stderr := launchCommand(t, "validate", dir); status != exitOK || stdout != "the plan is valid\n" || stderr != "" {
		t.Errorf("validate: status %d, stdout %s, stderr %s", status, stdout, stderr)
	}
	if status, _, stderr := launchCommand(t, "import", filepath.Join(old, "main.conf"), "-o", dir); status != exitUsage || !strings.Contains(stderr, "not empty") {
		t.Errorf("import into a directory with files: status %d, stderr %s", status, stderr)
	}
	if status, _, stderr := launchCommand(t, "import", filepath.Join(old, "main.conf")); status != exitUsage || !strings.Contains(stderr, "-o DIR") {
		t.Errorf("import without -o: status %d, stderr %s", status, stderr)
	}
}
