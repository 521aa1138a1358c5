package runnertest

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/launchplan/launch/runners"
)

func testReadFile(t *testing.T, b *bench) {
	b.check(t, "mkdir -p sub; printf 'a\\000b' >sub/file; mkfifo pipe; ln -s /etc/passwd link")
	read := func(name string, max int) (string, error) {
		data, err := b.host.ReadFile(b.ctx, service, "", name, max)
		return string(data), err
	}
	if got, err := read("sub/file", 3); err != nil || got != "a\x00b" {
		t.Errorf("ReadFile = %q, %v", got, err)
	}
	if got, err := read("sub/file", 2); err == nil {
		t.Errorf("ReadFile of more than max = %q, want an error", got)
	}
	if _, err := read("sub/none", 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadFile of no file: %v, want fs.ErrNotExist", err)
	}
	for _, name := range []string{"sub", "pipe"} {
		if got, err := read(name, 10); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("ReadFile %s = %q, %v; want an error that says what it is", name, got, err)
		}
	}
}

func testDial(t *testing.T, b *bench) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.Copy(conn, conn)
	})
	conn, err := b.host.Dial(b.ctx, "tcp", listener.Addr().String())
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	if _, err := io.WriteString(conn, "ping"); err != nil {
		t.Errorf("Write: %v", err)
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "ping" {
		t.Errorf("echo = %q, %v", answer, err)
	}
	conn.Close()
	listener.Close()
	wg.Wait()
	if conn, err := b.host.Dial(b.ctx, "tcp", listener.Addr().String()); err == nil {
		conn.Close()
		t.Error("Dial to a closed port worked")
	}
}

func testRemove(t *testing.T, b *bench) {
	b.run(t, sh("boot", "mkdir -p locked/in; touch locked/in/file; chmod 500 locked/in; chmod 500 locked"))
	b.makeGate(t)
	p := sh("process", gate+"up $$; sleep 600")
	p.Kind = runners.Process
	if err := b.host.Start(b.ctx, p); err != nil {
		t.Fatalf("Start: %v", err)
	}
	pid := b.awaitUp(t)
	dir := b.host.WorkDir(service, "")
	if err := b.host.Remove(b.ctx, runners.DirName(service)); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	look := sh("look", `test -e "$1" && echo there; true`, dir)
	look.ID.Service, look.Kind = "other", runners.Check
	if _, out := b.run(t, look); out != "" {
		t.Errorf("the work directory %s is still there", dir)
	}
	if b.alive(t, pid) {
		t.Error("a process of the service is still there")
	}
	for _, name := range []string{"boot", "process"} {
		if state, err := b.host.Look(b.ctx, id(name)); err != nil || state.Phase != runners.NotStarted {
			t.Errorf("Look %s = %+v, %v; want it forgotten", name, state, err)
		}
	}
	if result, _ := b.run(t, sh("boot", "exit 8")); result.Status != 8 {
		t.Errorf("after Remove the program did not run again: %+v", result)
	}
	if err := b.host.Remove(b.ctx, "never-seen"); err != nil {
		t.Errorf("Remove of a service that never was: %v", err)
	}
}

func testUser(t *testing.T, b *bench) {
	if b.subject.User == "" {
		t.Skip("no other user to run programs as")
	}
	p := sh("boot", `id -un; pwd; printf '%s\n' "$SECRET"; cat conf; ls -ld . | cut -c1-10; echo made >made; printf x >.launch/exports`)
	p.User = b.subject.User
	p.Env = map[string]string{"SECRET": "a 'b'\n\"$c\""}
	p.Files = []runners.File{{Path: "conf", Mode: 0o600, Content: []byte("conf\n")}, {Path: ".launch/attributes.json", Mode: 0o600}}
	p.Collect = ".launch/exports"
	result, out := b.run(t, p)
	wantExit(t, result, 0)
	dir := b.host.WorkDir(service, b.subject.User)
	if want := b.subject.User + "\n" + dir + "\n" + p.Env["SECRET"] + "\nconf\ndrwx------\n"; out != want {
		t.Errorf("output = %q, want %q", out, want)
	}
	if string(result.Collected) != "x" {
		t.Errorf("collected %q, %q", result.Collected, result.CollectErr)
	}
	if got, err := b.host.ReadFile(b.ctx, service, b.subject.User, "made", 100); err != nil || string(got) != "made\n" {
		t.Errorf("ReadFile = %q, %v", got, err)
	}
	ours := filepath.Join(t.TempDir(), "ours")
	err := errors.Join(os.WriteFile(ours, []byte("secret"), 0o600), os.Chmod(filepath.Dir(filepath.Dir(ours)), 0o711)) // which that user can find
	if err != nil {
		t.Fatal(err)
	}
	link := sh("link", "ln -sf "+ours+" .launch/exports; ln -sf "+ours+" made")
	link.User, link.Collect = b.subject.User, p.Collect
	if result, _ := b.run(t, link); result.Collected != nil || result.Status != 0 {
		t.Errorf("collected %q, which that user may not read: %+v", result.Collected, result)
	}
	if got, err := b.host.ReadFile(b.ctx, service, b.subject.User, "made", 100); err == nil {
		t.Errorf("ReadFile = %q, which that user may not read", got)
	}
	script := sh("script", "")
	script.Payload = payload([]string{"/bin/sh", "-e"}, "script", runners.File{Path: "script", Mode: 0o600, Content: []byte("id -un\n")})
	script.Argv, script.User = nil, b.subject.User
	if _, out := b.run(t, script); out != b.subject.User+"\n" {
		t.Errorf("the script of another user wrote %q", out)
	}
	slow := sh("slow", "sleep 600 & echo $! >pid; wait")
	slow.User, slow.Timeout, slow.Stop.Grace = b.subject.User, time.Second, time.Second
	result, _ = b.run(t, slow)
	wantOutcome(t, result, runners.TimedOut)
	if pid, err := b.host.ReadFile(b.ctx, service, b.subject.User, "pid", 20); err != nil || b.alive(t, strings.TrimSpace(string(pid))) {
		t.Errorf("process %q of another user outlived its timeout (%v)", pid, err)
	}
	missing := sh("missing", "")
	missing.Argv, missing.User = []string{"no-such-program"}, b.subject.User
	if _, err := b.host.Run(b.ctx, missing); !isStartError(err) {
		t.Errorf("Run of a missing program = %v, want a StartError", err)
	}
	nobody := sh("nobody", "true")
	nobody.User = "no-such-user"
	if _, err := b.host.Run(b.ctx, nobody); !isStartError(err) {
		t.Errorf("Run as no user = %v, want a StartError", err)
	}
	if err := b.host.Remove(b.ctx, service); err != nil {
		t.Errorf("Remove: %v", err)
	}
	look := sh("look", `test -e "$1" && echo there; true`, dir)
	look.ID.Service, look.Kind = "other", runners.Check
	if _, out := b.run(t, look); out != "" {
		t.Errorf("the work directory %s is still there", dir)
	}
}

func isStartError(err error) bool {
	_, ok := errors.AsType[*runners.StartError](err)
	return ok
}
