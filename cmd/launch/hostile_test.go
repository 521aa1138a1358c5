//go:build unix

package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"maps"

	_ "modernc.org/sqlite"

	"github.com/launchplan/launch/runners"
)

// A program that writes without end fills neither memory nor disk: its log is bounded.
func TestEndlessOutput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.plan("p", `
level "a" {
  service "s" {
    boot { script = "echo begin; head -c 200000000 /dev/zero | tr '\\0' 'x'; echo; echo end; exit 1" }
  }
}
`)
	w.launch("boot", plan, "-n", "r").want(exitFailed, "| end")
	logs, _ := filepath.Glob(filepath.Join(w.state, "runs", "*", "logs", "*"))
	if len(logs) != 1 {
		t.Fatalf("logs: %q", logs)
	}
	info, err := os.Stat(logs[0])
	w.must(err)
	if info.Size() > runners.MaxOutput+4096 {
		t.Errorf("the log has %d bytes", info.Size())
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the log has mode %v", info.Mode())
	}
	content, err := os.ReadFile(logs[0])
	w.must(err)
	if !strings.HasPrefix(string(content), "begin\n") || !strings.HasSuffix(string(content), "\nend\n") || !strings.Contains(string(content), "left out") {
		t.Errorf("the log begins with %.20q and ends with %q, or does not say what is left out", content, content[len(content)-20:])
	}
	w.wantNothingLeft("r")
}

// The same of a process, whose output is not copied to a log.
func TestEndlessProcessOutput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.plan("p", `
level "a" {
  service "s" {
    process { script = "echo begin; head -c 80000000 /dev/zero | tr '\\0' 'x'; echo; echo end; exec sleep 1000" }
    ready { log = "^end" }
  }
}
`)
	w.launch("boot", plan, "-n", "r").want(exitOK)
	text := w.launch("logs", "r", "a.s").want(exitOK).stdout
	if len(text) > runners.MaxOutput+4096 {
		t.Errorf("the log has %d bytes", len(text))
	}
	if !strings.HasPrefix(text, "begin\nxxx") || !strings.HasSuffix(text, "xxx\nend\n") || strings.Contains(text, "\x00") {
		t.Errorf("the log begins with %.20q and ends with %q, or has NUL", text, text[len(text)-20:])
	}
	if _, after, _ := strings.Cut(text, "\n[launch: "); !strings.HasPrefix(after, fmt.Sprintf("%d bytes of output were left out here]\n", 80000000+len("begin\n\nend\n")-runners.MaxOutput)) {
		t.Errorf("the log does not say what is left out: %.60q", after)
	}
	w.launch("terminate", "r").want(exitOK)
	w.wantNothingLeft("r")
}

// What a program writes cannot rewrite the operator's screen, nor break the JSON.
func TestHostileOutput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.plan("p", `
level "a" {
  service "s" {
    boot { script = "printf 'a\\000b\\033[2Jc\\377d\\r\\nlast \\033]0;title\\007\\n'; exit 1" }
  }
}
`)
	r := w.launch("boot", plan, "-n", "r").want(exitFailed, `a\u0000b\u001b[2Jc\xffd`, `last \u001b]0;title\u0007`)
	for _, bad := range []string{"\x00", "\x1b", "\xff", "\x07"} {
		r.not(bad)
	}
	w.launch("status", "r", "--cached").want(exitFailed).not("\x1b")
	lines := w.launch("resume", "r", "-o", "json").want(exitFailed).stdout
	for line := range strings.Lines(lines) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %q", line)
		}
	}
	w.wantNothingLeft("r")
}

// Nor can what it exports, which stands in commands and outputs; only a program that asks for an output gets it as it is.
func TestHostileExport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.plan("p", `
level "a" {
  service "s" {
    boot { script = "printf 'x=\\033[2J\\302\\23331m\\n' > \"$LAUNCH_EXPORTS\"" }
    exports = { x = string }
  }
}
level "b" {
  service "t" {
    boot { command = ["sh", "-c", "test -e \"$WORLD/mended\"", service.s.x] }
    attributes = { x = service.s.x }
  }
}
output "x" { value = service.s.x }
`)
	const escaped = `\u001b[2J\u009b31m`
	w.launch("boot", plan, "-n", "r").want(exitFailed, escaped).not("\x1b").not("\u009b")
	w.launch("history", "r").want(exitOK, escaped).not("\x1b").not("\u009b")
	w.must(os.WriteFile(w.path("mended"), nil, 0o600))
	w.launch("resume", "r").want(exitOK, escaped).not("\x1b").not("\u009b")
	w.launch("output", "r").want(exitOK, "x = "+escaped).not("\x1b").not("\u009b")
	for _, args := range [][]string{{"status", "r", "-o", "json"}, {"output", "r", "-o", "json"}, {"history", "r", "-o", "json"}} {
		r := w.launch(args...).want(exitOK).not("\x1b").not("\u009b")
		if !json.Valid([]byte(r.stdout)) {
			t.Errorf("%v: not JSON: %q", args, r.stdout)
		}
	}
	if got := w.launch("output", "r", "x").want(exitOK).stdout; got != "\x1b[2J\u009b31m\n" {
		t.Errorf("output r x: %q", got)
	}
	w.wantNothingLeft("r")
}

// A value of almost a MiB in an argument does not fill what launch says of the command, nor what it keeps: the end tells how it ended.
func TestLargeArgument(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.plan("p", `
level "a" {
  service "s" {
    boot { script = "(printf x=; head -c 100000 /dev/zero | tr '\\0' y) > \"$LAUNCH_EXPORTS\"" }
    exports = { x = string }
  }
}
level "b" {
  service "t" {
    boot { command = ["sh", "-c", "exit 3", service.s.x] }
  }
}
`)
	boot := w.launch("boot", plan, "-n", "r").want(exitFailed, "bytes are left out here", "yyy ended with status 3")
	history := w.launch("history", "r").want(exitOK, "yyy ended with status 3")
	if said := len(boot.stdout) + len(boot.stderr) + len(history.stdout); said > 64<<10 {
		t.Errorf("a failure with a large argument is told in %d bytes", said)
	}
	w.wantNothingLeft("r")
}

// The JSON that other programs read has these fields, and arrays are never null.
func TestJSONFields(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.plan("p", `
level "a" {
  service "s" {
    boot { script = "echo x; test -e \"$WORLD/mended\"" }
    attributes = { port = 5432 }
  }
  service "t" {
    process { command = ["sleep", "600"] }
  }
}
level "empty" {}
output "port" { value = service.s.port }
`)
	w.env = append(w.env, "TZ=Asia/Tokyo")
	events := w.launch("boot", plan, "-n", "r", "-o", "json").want(exitFailed).stdout
	lines := strings.Split(strings.TrimSpace(events), "\n")
	for i, line := range lines {
		fields := w.object(line)
		if at, ok := fields["at"].(string); ok && !strings.HasSuffix(at, "Z") {
			t.Errorf("an event is at %s, which is not in UTC", at)
		}
		switch kind := fields["type"]; {
		case i == len(lines)-1:
			w.wantFields("summary", fields, "type run id status services failed outputs error")
			if kind != "summary" || fields["status"] != "failed" {
				t.Errorf("the last line is %s", line)
			}
			failed := fields["failed"].([]any)
			w.wantFields("failure", failed[0].(map[string]any), "service phase host command reason tail log source")
		case kind == "service":
			for name := range fields {
				if !slices.Contains(strings.Fields("type at level service status attempt host text failure"), name) {
					t.Errorf("a service event has a field %q", name)
				}
			}
		case kind != "run" && kind != "note":
			t.Errorf("an event is of type %q", kind)
		}
	}
	w.must(os.WriteFile(w.path("mended"), nil, 0o600))
	w.launch("resume", "r").want(exitOK)

	status := w.object(w.launch("status", "-o", "json").want(exitOK).stdout)
	w.wantFields("status", status, "run id plan status since error levels outputs")
	levels := status["levels"].([]any)
	w.wantFields("level", levels[0].(map[string]any), "name status services")
	services := levels[0].(map[string]any)["services"].([]any)
	w.wantFields("service", services[0].(map[string]any), "address status runner host instance_id attributes phase error since log")
	if empty := levels[1].(map[string]any)["services"]; empty == nil {
		t.Error("the services of a level without any are null")
	}
	if fmt.Sprint(w.object(w.launch("output", "-o", "json").want(exitOK).stdout)) != "map[port:5432]" {
		t.Error("output -o json is not an object of name to value")
	}
	var runs, history []map[string]any
	w.must(json.Unmarshal([]byte(w.launch("list", "-o", "json").want(exitOK).stdout), &runs))
	w.wantFields("run", runs[0], "run plan status since")
	w.must(json.Unmarshal([]byte(w.launch("history", "r", "-o", "json").want(exitOK).stdout), &history))
	w.wantFields("event", history[0], "seq at kind service from to attempt cause")
	var path []map[string]any
	w.must(json.Unmarshal([]byte(w.launch("history", "r", "--critical-path", "-o", "json").want(exitOK).stdout), &path))
	w.wantFields("step", path[0], "level service began ready phases")
	valid := w.object(w.launch("validate", plan, "-o", "json").want(exitOK).stdout)
	w.wantFields("validate", valid, "valid diagnostics")
	var preview []map[string]any
	w.must(json.Unmarshal([]byte(w.launch("boot", plan, "--dry-run", "-o", "json").want(exitOK).stdout), &preview))
	w.wantFields("preview", preview[0], "level service values")
	w.wantFields("version", w.object(w.launch("version", "-o", "json").want(exitOK).stdout), "version go platform")
	w.wantNothingLeft("r")
}

func (w *world) object(text string) map[string]any {
	w.t.Helper()
	var fields map[string]any
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		w.t.Fatalf("%v in %s", err, text)
	}
	return fields
}

func (w *world) wantFields(what string, got map[string]any, want string) {
	w.t.Helper()
	names, wanted := slices.Sorted(maps.Keys(got)), strings.Fields(want)
	slices.Sort(wanted)
	if !slices.Equal(names, wanted) {
		w.t.Errorf("%s has the fields %q, not %q", what, names, wanted)
	}
}

// edit changes the store behind launch's back.
func (w *world) edit(statements ...string) {
	w.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(w.state, "launch.db"))
	w.must(err)
	defer db.Close()
	for _, s := range statements {
		_, err := db.Exec(s)
		w.must(err)
	}
}

const trivial = "level \"a\" {\n service \"s\" {\n boot { command = [\"true\"] }\n }\n}\n"

// A journal with events of a kind that this launch does not know, and with times to come, is shown and worked with.
func TestStrangeJournal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.launch("boot", w.plan("p", trivial), "-n", "r").want(exitOK)
	w.edit(
		`INSERT INTO journal (run, seq, at, service, kind, "from", "to", attempt, cause, detail) SELECT run, 1000, at, '', 'teleport', '', 'mars', 0, 'who knows', NULL FROM journal WHERE seq = 1`,
		`UPDATE journal SET at = '2199-01-01T00:00:00.000000Z'`,
		`UPDATE runs SET since = '2199-01-01T00:00:00.000000Z', created = '2199-01-01T00:00:00.000000Z'`,
		`UPDATE services SET since = '2199-01-01T00:00:00.000000Z'`,
	)
	w.launch("history", "r").want(exitOK, "teleport mars: who knows", "2199-01-01")
	w.launch("history", "r", "--critical-path").want(exitOK)
	w.launch("status", "r", "--cached").want(exitOK).not(" -")
	w.launch("status", "r").want(exitOK)
	w.launch("list").want(exitOK, "2199")
	w.launch("resume", "r").want(exitOK)
	w.wantNothingLeft("r")
	w.edit(`UPDATE runs SET since = '2199-01-01T00:00:00.000000Z'`)
	w.launch("purge", "--older-than", "1h").want(exitOK).not("forgotten")
	w.launch("purge", "r").want(exitOK, "run r is forgotten")
}

// A store that was changed or cut short is refused with its name, and left as it is.
func TestDamagedStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := filepath.Join(w.state, "launch.db")
	plan := w.plan("p", trivial)
	w.launch("boot", plan, "-n", "r").want(exitOK)
	good, err := os.ReadFile(store)
	w.must(err)
	for what, damaged := range map[string][]byte{
		"empty": {}, "short": good[:100], "half": good[:len(good)/2], "text": []byte(strings.Repeat("not a database\n", 500)),
	} {
		w.must(os.WriteFile(store, damaged, 0o600))
		for _, args := range [][]string{{"status", "r"}, {"terminate", "r"}, {"list"}, {"boot", plan, "-n", "new"}} {
			r := w.launch(args...)
			if what != "half" { // of a page that is not needed nothing shows
				r.want(exitFailed, store)
			}
			r.not("panic").not("goroutine")
		}
		if now, _ := os.ReadFile(store); what != "half" && !slices.Equal(now, damaged) {
			t.Errorf("%s: the store was changed", what)
		}
	}
	w.must(os.WriteFile(store, good, 0o600))
	w.edit(`UPDATE services SET status = 'levitating'`)
	w.launch("status", "r").want(exitFailed, store, "levitating")
	w.edit(`UPDATE services SET status = 'ready', detail = '{'`)
	w.launch("status", "r").want(exitFailed, "a.s")
	w.edit(`UPDATE services SET detail = '[1]'`)
	w.launch("terminate", "r").want(exitFailed, "a.s")
	w.edit(`UPDATE services SET detail = '{}'`, `UPDATE runs SET outputs = '[1]'`)
	for _, command := range []string{"status", "output"} {
		w.launch(command, "r").want(exitFailed, store, "run r has outputs that launch did not write; restore it")
	}
	w.launch("terminate", "r").want(exitOK)
}

// Without a place for its state launch says what to set; where it cannot write it says so.
func TestNoStateDirectory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.plan("p", trivial)
	env := w.env
	w.env = slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		return strings.HasPrefix(kv, "HOME=") || strings.HasPrefix(kv, "LAUNCH_STATE=") || strings.HasPrefix(kv, "XDG_STATE_HOME=")
	})
	w.launch("boot", plan).want(exitUsage, "set --state, LAUNCH_STATE or HOME")
	w.env = env
	w.must(os.Mkdir(w.state, 0o500))
	if os.Geteuid() != 0 { // nothing is read-only to root
		w.launch("boot", plan).want(exitFailed, w.state)
	}
	w.must(os.Chmod(w.state, 0o700))
	w.must(os.Mkdir(filepath.Join(w.state, "launch.db"), 0o700))
	w.launch("boot", plan).want(exitFailed, w.state)
	w.must(os.Remove(filepath.Join(w.state, "launch.db")))
	w.launch("boot", plan, "-n", "r").want(exitOK)
	w.must(os.WriteFile(filepath.Join(w.dir, "file"), nil, 0o600))
	w.launch("list", "--state", filepath.Join(w.dir, "file")).not("panic")
	w.launch("status", "r", "-o", "yaml").want(exitUsage, "text or json")
	w.wantNothingLeft("r")
}

// logs -f shows what is written until nobody drives the run any more.
func TestFollowLogs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	here, door := w.gate("here"), w.gate("go")
	boot := w.begin("boot", w.plan("p", waits), "-n", "r")
	here.await()
	follow := w.begin("logs", "r", "a.s", "-f")
	door.open()
	boot.end().want(exitOK)
	follow.end().want(exitOK, "after\n")
	w.launch("logs", "r", "a.nothing").want(exitUsage, `no service "a.nothing"; it has a.s`)
	w.wantNothingLeft("r")
}
