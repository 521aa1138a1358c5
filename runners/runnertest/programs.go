package runnertest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/launchplan/launch/runners"
)

func testEnding(t *testing.T, b *bench) {
	before := time.Now().Add(-time.Minute) // the host's clock may differ a little
	result, out := b.run(t, sh("ok", "echo out; echo err >&2; cat; echo end"))
	wantExit(t, result, 0)
	if out != "out\nerr\nend\n" {
		t.Errorf("output = %q", out)
	}
	if result.Started.Before(before) || result.Ended.Before(result.Started) {
		t.Errorf("started %v, ended %v", result.Started, result.Ended)
	}
	result, _ = b.run(t, sh("bad", "exit 37"))
	wantExit(t, result, 37)
	result, _ = b.run(t, sh("reboot", "exit 194"))
	wantExit(t, result, 194)
	result, _ = b.run(t, sh("signal", "kill -SEGV $$"))
	wantOutcome(t, result, runners.Signaled)
	if result.Signal != "SIGSEGV" {
		t.Errorf("signal = %q, want SIGSEGV", result.Signal)
	}
	if !result.Emptied {
		t.Error("its group is not told to be empty")
	}
	state, err := b.host.Look(b.ctx, id("bad"))
	if err != nil || state.Phase != runners.Ended || state.Result.Status != 37 {
		t.Errorf("Look = %+v, %v; want ended with status 37", state, err)
	}
	state, err = b.host.Look(b.ctx, id("never"))
	if err != nil || state.Phase != runners.NotStarted {
		t.Errorf("Look = %+v, %v; want not started", state, err)
	}
}

func testEnvironment(t *testing.T, b *bench) {
	odd := []string{"a b", "'\"$(touch x)`", "line\nline", "ünï→", "", "*", "\\n", "-n", " tail "}
	p := sh("env", `for v in "$A0" "$A1" "$A2" "$A3" "$A4" "$A5" "$A6" "$A7" "$A8"; do printf '%s|' "$v"; done; for v; do printf '%s|' "$v"; done`, odd...)
	p.Env = map[string]string{}
	for i, v := range odd {
		p.Env[fmt.Sprintf("A%d", i)] = v
	}
	want := strings.Join(odd, "|") + "|"
	if _, out := b.run(t, p); out != want+want {
		t.Errorf("environment and arguments = %q, want %q twice", out, want)
	}
	if b.subject.Here {
		if out := b.check(t, "env"); strings.Contains(out, "hunter2") {
			t.Error("a variable of the run reached a program's environment")
		}
	}
	p = sh("dir", "pwd -P; umask >/dev/null; ls -ld . | cut -c1-10")
	_, out := b.run(t, p)
	if want := b.check(t, `cd "$1" && pwd -P`, b.host.WorkDir(service, "")); out != want+"drwx------\n" {
		t.Errorf("working directory = %q, want %q, private", out, want)
	}
	b.check(t, "mkdir sub")
	p = sh("subdir", "basename \"$(pwd)\"")
	p.Dir = "sub"
	if _, out := b.run(t, p); out != "sub\n" {
		t.Errorf("working directory = %q, want sub", out)
	}
	p = sh("absdir", "pwd")
	p.Dir = "/"
	if _, out := b.run(t, p); out != "/\n" {
		t.Errorf("working directory = %q, want /", out)
	}
}

func payload(interpreter []string, entry string, files ...runners.File) *runners.Payload {
	h := sha256.New()
	fmt.Fprint(h, interpreter, entry, files)
	return &runners.Payload{Hash: hex.EncodeToString(h.Sum(nil)), Files: files, Entry: entry, Interpreter: interpreter}
}

func testPayload(t *testing.T, b *bench) {
	script := payload([]string{"/bin/sh", "-e"}, "script", runners.File{
		Path: "script", Mode: 0o600, Content: []byte("echo \"script $1\"\nfalse\necho not reached\n")})
	p := &runners.Program{ID: id("script"), Kind: runners.Durable, Payload: script, Argv: []string{"a b"}, Stop: quick}
	result, out := b.run(t, p)
	wantExit(t, result, 1)
	if out != "script a b\n" {
		t.Errorf("inline script wrote %q", out)
	}
	tree := payload(nil, "bin/run.sh",
		runners.File{Path: "bin/run.sh", Mode: 0o755, Content: []byte("#!/bin/sh\ncat \"$LAUNCH_PROGRAM_DIR/data/x\"; printf '%s' \"$1\"\n")},
		runners.File{Path: "data/x", Mode: 0o644, Content: []byte("noise \x00\xff\n")})
	for _, name := range []string{"tree-1", "tree-2"} {
		p := &runners.Program{ID: id(name), Kind: runners.Durable, Payload: tree, Argv: []string{name}, Stop: quick}
		result, out := b.run(t, p)
		wantExit(t, result, 0)
		if out != "noise \x00\xff\n"+name {
			t.Errorf("program of a tree wrote %q", out)
		}
	}
}

func testFiles(t *testing.T, b *bench) {
	p := sh("files", `cat conf.json sub/deep/data; ls -l conf.json | cut -c1-10; sub/deep/tool`)
	p.Files = []runners.File{
		{Path: "conf.json", Mode: 0o600, Content: []byte("{}\n")},
		{Path: "sub/deep/data", Mode: 0o644, Content: []byte("a\x00b\n")},
		{Path: "sub/deep/tool", Mode: 0o755, Content: []byte("#!/bin/sh\necho tool\n")},
		{Path: ".launch/empty", Mode: 0o600},
	}
	result, out := b.run(t, p)
	wantExit(t, result, 0)
	if want := "{}\na\x00b\n-rw-------\ntool\n"; out != want {
		t.Errorf("output = %q, want %q", out, want)
	}
	// The next program's files replace them; a program that was started before gets no new ones.
	again := sh("files-2", "cat conf.json")
	again.Files = []runners.File{{Path: "conf.json", Mode: 0o600, Content: []byte("second\n")}}
	if _, out := b.run(t, again); out != "second\n" {
		t.Errorf("output = %q, want the new file", out)
	}
	b.run(t, p)
	if out := b.check(t, "cat conf.json"); out != "second\n" {
		t.Errorf("conf.json = %q after an attach, want it left alone", out)
	}
}

func testCollect(t *testing.T, b *bench) {
	collect := func(name, script string) runners.Result {
		t.Helper()
		p := sh(name, script)
		p.Collect = ".launch/exports"
		p.Files = []runners.File{{Path: ".launch/attributes.json", Mode: 0o600, Content: []byte("{}")}}
		result, _ := b.run(t, p)
		wantExit(t, result, 0)
		return result
	}
	if r := collect("none", "true"); r.Collected != nil || r.CollectErr != "" {
		t.Errorf("collected %q, %q from no file", r.Collected, r.CollectErr)
	}
	if r := collect("some", "printf 'a\\000b' >.launch/exports"); string(r.Collected) != "a\x00b" || r.CollectErr != "" {
		t.Errorf("collected %q, %q", r.Collected, r.CollectErr)
	}
	if r := collect("empty", ": >.launch/exports"); r.Collected == nil || len(r.Collected) != 0 || r.CollectErr != "" {
		t.Errorf("collected %#v, %q from an empty file", r.Collected, r.CollectErr)
	}
	if r := collect("long", fmt.Sprintf("head -c %d /dev/zero >.launch/exports", runners.MaxCollect+1)); r.Collected != nil || r.CollectErr == "" {
		t.Errorf("collected %d bytes, %q from a file that is too long", len(r.Collected), r.CollectErr)
	}
	if r := collect("fifo", "rm .launch/exports; mkfifo .launch/exports"); r.Collected != nil || r.CollectErr == "" {
		t.Errorf("collected %q, %q from a pipe", r.Collected, r.CollectErr)
	}
	if r := collect("folder", "rm .launch/exports; mkdir .launch/exports"); r.Collected != nil || r.CollectErr == "" {
		t.Errorf("collected %q, %q from a folder", r.Collected, r.CollectErr)
	}
}

func testStartErrors(t *testing.T, b *bench) {
	b.check(t, `echo 'echo plain' >plain; printf '#!/no/such\n' >broken; chmod +x broken; printf '\000\001' >binary; chmod +x binary`)
	dir := sh("dir", "true")
	dir.Dir = "no/such"
	for _, c := range []struct {
		p    *runners.Program
		want string // a word of the message
	}{
		{&runners.Program{ID: id("path"), Argv: []string{"no-such-program"}}, "no-such-program"},
		{&runners.Program{ID: id("file"), Argv: []string{"./no-such-file"}}, "no-such-file"},
		{&runners.Program{ID: id("plain"), Argv: []string{"./plain"}}, "executable"},
		{&runners.Program{ID: id("broken"), Argv: []string{"./broken"}}, "/no/such"},
		{&runners.Program{ID: id("binary"), Argv: []string{"./binary"}}, "binary"},
		{dir, "no/such"},
	} {
		c.p.Kind, c.p.Stop = runners.Durable, quick
		_, err := b.host.Run(b.ctx, c.p)
		if start, ok := errors.AsType[*runners.StartError](err); !ok || !strings.Contains(start.Error(), c.want) {
			t.Errorf("Run %s: %v, want a StartError with %q", c.p.ID, err, c.want)
		}
		state, err := b.host.Look(b.ctx, c.p.ID)
		if err != nil || state.Phase != runners.NotStarted {
			t.Errorf("Look %s = %+v, %v; want not started", c.p.ID, state, err)
		}
	}
	// What could not be started can be, once that was mended.
	b.check(t, "chmod +x plain; echo '#!/bin/sh' >plain; echo 'echo mended' >>plain")
	if _, out := b.run(t, &runners.Program{ID: id("plain"), Kind: runners.Durable, Argv: []string{"./plain"}, Stop: quick}); out != "mended\n" {
		t.Errorf("output = %q, want mended", out)
	}
}

func testOutput(t *testing.T, b *bench) {
	const size = 3 << 20
	_, out := b.run(t, sh("much", fmt.Sprintf("head -c %d /dev/zero | tr '\\000' x; printf 'end\\000\\377'", size)))
	if want := strings.Repeat("x", size) + "end\x00\xff"; out != want {
		t.Errorf("output of %d bytes ends in %q", len(out), out[max(0, len(out)-10):])
	}
	for _, c := range []struct {
		offset int64
		max    int
		want   string
	}{
		{0, 2, "xx"}, {size, 100, "end\x00\xff"}, {size, 2, "en"}, {-5, 100, "end\x00\xff"}, {-2, 1, "\x00"},
		{size + 5, 10, ""}, {size * 2, 10, ""},
	} {
		got, err := b.host.Output(b.ctx, id("much"), c.offset, c.max)
		if err != nil || string(got) != c.want {
			t.Errorf("Output at %d, max %d = %q, %v; want %q", c.offset, c.max, got, err, c.want)
		}
	}
	// What was discarded is gone; how the program ended is still known.
	if err := b.host.Discard(b.ctx, id("much")); err != nil {
		t.Errorf("Discard: %v", err)
	}
	if state, err := b.host.Look(b.ctx, id("much")); err != nil || state.Phase != runners.Ended || state.Result.Outcome != runners.Exited {
		t.Errorf("Look after Discard = %+v, %v; want it ended well", state, err)
	}
	// What a program writes can be seen while it runs.
	b.makeGate(t)
	live := &watcher{want: "first\n", seen: make(chan struct{})}
	p := sh("live", gate+"echo first; hold; echo second")
	p.Output = live
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := b.host.Run(b.ctx, p); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	select {
	case <-live.seen:
	case <-b.ctx.Done():
		t.Error("output was not seen while the program ran")
	}
	b.release(t)
	wg.Wait()
	if got := live.buf.String(); got != "first\nsecond\n" {
		t.Errorf("output = %q", got)
	}
}

// A watcher is an Output that says when it has seen what it waits for.
type watcher struct {
	buf  bytes.Buffer
	want string
	seen chan struct{}
	once sync.Once
}

func (w *watcher) Write(p []byte) (int, error) {
	w.buf.Write(p)
	if strings.Contains(w.buf.String(), w.want) {
		w.once.Do(func() { close(w.seen) })
	}
	return len(p), nil
}

func testMany(t *testing.T, b *bench) {
	const programs = 60
	var wg sync.WaitGroup
	for i := range programs {
		wg.Go(func() {
			p := sh(fmt.Sprintf("many-%d", i), "echo $1; exit $1", fmt.Sprint(i))
			var out buffer
			p.Output = &out
			result, err := b.host.Run(b.ctx, p)
			if err != nil || result.Status != i || out.String() != fmt.Sprintln(i) {
				t.Errorf("program %d: %+v, %v, wrote %q", i, result, err, out.String())
			}
		})
	}
	wg.Wait()
}
