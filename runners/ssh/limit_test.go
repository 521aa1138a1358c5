package ssh

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/launchplan/launch/internal/sshtest"
	"github.com/launchplan/launch/runners"
)

// full takes from the shell of a session, and from those that it starts, the right to one more process.
const full = `full() { ulimit -u 1 2>/dev/null || ulimit -p 1; }; `

// handOf is a hand of nobody, whom a limit of processes concerns: it is nothing to root.
func handOf(t *testing.T, shell string) (runners.Host, *hand) {
	t.Helper()
	sshtest.NeedRoot(t)
	h := connect(t, sshtest.Start(t, sshtest.Options{Sh: shell}), envFor(t), "127.0.0.1")
	hand, err := h.(*host).m.link.acquire(t.Context(), "nobody")
	if err != nil {
		t.Fatal(err)
	}
	return h, hand
}

// startOn asks hand to start p, once it has done what the line first says.
func startOn(t *testing.T, h runners.Host, hand *hand, p *runners.Program, first string) answer {
	t.Helper()
	m := h.(*host).m
	m.setUser(p.ID, "nobody")
	pieces, err := m.startPieces(p, "nobody", true)
	if err != nil {
		t.Fatal(err)
	}
	ans, err := hand.do(t.Context(), request{once: true, pieces: append([]piece{{line: full + first}}, pieces...)})
	if err != nil {
		t.Fatal(err)
	}
	return ans
}

// TestNoRoomForTheProgram: the shell that was to start it ends where it cannot, and that is an answer too.
// Other shells (bash, ksh93) try to fork again and again for 15 s or 30 s before they end.
func TestNoRoomForTheProgram(t *testing.T) {
	for _, shell := range []string{"", "busybox sh"} {
		for _, timeout := range []time.Duration{0, time.Hour} {
			t.Run(shell+timeout.String(), func(t *testing.T) {
				t.Parallel()
				h, hand := handOf(t, shell)
				p := program("boot-1", "echo ran")
				p.Timeout = timeout
				if ans := startOn(t, h, hand, p, `who() { full; pid=$$ born=1; }`); !ans.is("died") {
					t.Errorf("the start was answered with %q", ans.words)
				}
				if s, err := h.Look(t.Context(), p.ID); err != nil || s.Phase != runners.NotStarted {
					t.Errorf("Look = %+v, %v; want that it was not started", s, err)
				}
			})
		}
	}
}

// TestNoRoomAtTheEnd: a program's end is recorded also where its wrapper can start nothing.
func TestNoRoomAtTheEnd(t *testing.T) {
	for _, shell := range []string{"", "busybox sh", "mksh"} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			h, hand := handOf(t, shell)
			p := program("boot-1", "exit 7")
			if ans := startOn(t, h, hand, p, `wait() { command wait "$@"; set -- $?; full; return "$1"; }`); !ans.is("started") {
				t.Fatalf("the start was answered with %q", ans.words)
			}
			if res, err := h.Wait(t.Context(), p.ID); err != nil || res.Outcome != runners.Exited || res.Status != 7 {
				t.Errorf("Wait = %+v, %v; want status 7", res, err)
			}
		})
	}
}

// TestProgramKilledBeforeItsStartIsTold: the wrapper answers for the process that should have.
func TestProgramKilledBeforeItsStartIsTold(t *testing.T) {
	for _, c := range []struct{ when, first, want string }{
		{"before it is recorded", `clock() { exec sh -c 'kill -KILL $$'; }`, "died"},
		{"after it was recorded", `wrapper=; mine() { [ ! "$wrapper" ] || exec sh -c 'kill -KILL $$'; }`, "found"},
	} {
		t.Run(c.when, func(t *testing.T) {
			h, hand := handOf(t, "")
			if ans := startOn(t, h, hand, program("boot-1", "echo ran"), c.first); !ans.is(c.want) {
				t.Errorf("the start was answered with %q, want %s", ans.words, c.want)
			}
		})
	}
}

// TestShellEndsWithARequest: programs hold the output of a session whose shell is gone, and so its channel.
func TestShellEndsWithARequest(t *testing.T) {
	h := connect(t, sshtest.Start(t, sshtest.Options{}), envFor(t), "127.0.0.1")
	first := dead(t, h)
	gate := hold(t)
	if word := first.asks(first.start(program("boot-1", gate.script))); word != "started" {
		t.Fatalf("the start was answered with %q", word)
	}
	gate.await(t)
	defer gate.release(t)
	_, err := first.hand.do(t.Context(), request{pieces: []piece{{line: `echo "Cannot fork" >&2; kill -KILL $$`}}})
	if !errors.Is(err, errCut) || !strings.Contains(err.Error(), "Cannot fork") {
		t.Errorf("do = %v; want that the session's shell ended, and what it said", err)
	}
}

// TestServerThatStartsNoCommand: it may be at its limit of processes, which is not the end of a connection.
func TestServerThatStartsNoCommand(t *testing.T) {
	client, asked := silent(t)
	l := &link{client: client, gone: make(chan struct{})}
	told := make(chan error, 1)
	go func() {
		_, err := l.newChannel(t.Context(), bootstrap)
		told <- err
	}()
	ch, requests, err := (<-asked).Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer ch.Close()
	(<-requests).Reply(false, nil)
	if err := <-told; !refused(err) {
		t.Errorf("newChannel = %v; want that it was refused", err)
	}
}

// TestNoRoomForAShell: a host that has no room for one more process may have it a moment later.
func TestNoRoomForAShell(t *testing.T) {
	dir := t.TempDir()
	shell := filepath.Join(dir, "shell")
	text := "#!/bin/sh\nif mkdir " + dir + "/full 2>/dev/null; then echo '/bin/sh: 1: Cannot fork' >&2; exit 2; fi\nexec /bin/sh \"$@\"\n"
	if err := os.WriteFile(shell, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	h := connect(t, sshtest.Start(t, sshtest.Options{Shell: shell}), envFor(t), "127.0.0.1")
	if got := run(t, h, program("boot-1", "echo ran")); got != "ran\n" {
		t.Errorf("output = %q", got)
	}
}

// TestNoRoomForTheScript: where a session can start no process at all, it says so and ends.
func TestNoRoomForTheScript(t *testing.T) {
	sshtest.NeedRoot(t)
	shell, limit := sshtest.Need(t, "dash"), sshtest.Need(t, "prlimit")
	script := strings.TrimSuffix(strings.TrimPrefix(bootstrap, "exec /bin/sh -c '"), "'")
	cmd := exec.Command(limit, "--nproc=2", shell, "-c", script) // the shell, and the subshell that should start dd
	nobody := 1<<20 + uint32(os.Getpid())                        // who has no other processes
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	cmd.Dir = "/"
	marker := strings.Repeat("ab", 16)
	cmd.Stdin = strings.NewReader(preamble(marker) + marker + " answer here\n")
	var out, errText bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errText
	if err := cmd.Run(); err == nil || out.Len() > 0 || !strings.Contains(errText.String(), "cannot fork") {
		t.Errorf("%s: %v; it wrote %q and %q", filepath.Base(shell), err, out.String(), errText.String())
	}
}

// TestHangingStartUpFiles: an interrupt does not wait for a login shell that goes round in its start-up files.
func TestHangingStartUpFiles(t *testing.T) {
	dir := t.TempDir()
	busy := filepath.Join(dir, "busy")
	if err := syscall.Mkfifo(filepath.Join(dir, "up"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(busy, []byte("#!/bin/sh\necho $$ >"+dir+"/up\nwhile :; do read -r line </dev/null; done\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	r := runnerFor(t, configFor(sshtest.Start(t, sshtest.Options{Shell: busy})), envFor(t))
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupted := errors.New("interrupted")
	var pid int
	up := make(chan error, 1)
	go func() {
		data, err := os.ReadFile(filepath.Join(dir, "up"))
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(data)))
		}
		up <- err
		cancel(interrupted)
	}()
	_, err := r.Connect(ctx, runners.Target{Service: "web", Host: "127.0.0.1"})
	if !errors.Is(err, interrupted) {
		t.Errorf("Connect = %v; want that it was interrupted", err)
	}
	if err := <-up; err != nil {
		t.Fatal(err)
	}
	syscall.Kill(pid, syscall.SIGKILL)
}

// TestSessionThatIsAskedForNothing: one that comes to its first words when its launch is dead, or has given it up, leaves nothing.
func TestSessionThatIsAskedForNothing(t *testing.T) {
	marker := strings.Repeat("ab", 16)
	script := strings.TrimSuffix(strings.TrimPrefix(bootstrap, "exec /bin/sh -c '"), "'")
	for _, c := range []struct {
		name, after string
		deaf        bool // nobody takes the session's answers any more
		left        bool
	}{
		{name: "nothing"},
		{name: "nothing, deaf", deaf: true},
		{name: "half a request", after: "\n" + marker + " answer he"},
		{name: "a request", after: "\n" + marker + " answer here", left: true},
		{name: "a payload", after: "; true >$R/.payloads", left: true},
		{name: "another launch", after: "; rm $R/.turn.us; true >$R/.turn.them", left: true},
		{name: "its turn when another was asked for nothing", after: "; rm -r $R; turn us\n" + marker + " answer here", left: true},
	} {
		for _, words := range [][]string{{"dash"}, {"busybox", "sh"}, {"bash"}, {"mksh"}, {"ksh93"}} {
			t.Run(c.name+"/"+words[0], func(t *testing.T) {
				home := t.TempDir()
				cmd := exec.Command(sshtest.Need(t, words[0]), append(words[1:], "-c", script)...)
				cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}
				in := preamble(marker) + marker + " " + line("hello", "", "R1", "us") + c.after
				if !strings.HasSuffix(in, "he") {
					in += "\n"
				}
				cmd.Stdin = strings.NewReader(in)
				hear, say, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				if c.deaf {
					hear.Close()
				}
				cmd.Stdout = say
				err = cmd.Run()
				say.Close()
				if !c.deaf {
					said, rerr := io.ReadAll(hear)
					if err != nil || rerr != nil || !bytes.Contains(said, []byte(marker+".hello")) {
						t.Fatalf("%v, %v; it wrote %q", err, rerr, said)
					}
					hear.Close()
				}
				folder := filepath.Join(home, ".launch", "R1")
				if _, err := os.Stat(folder); (err == nil) != c.left {
					t.Errorf("its folder: %v; want it left: %v", err, c.left)
				}
			})
		}
	}
}

// TestHostThatTakesNothing: an interrupt does not wait for a host with a hanging disk to take a payload.
func TestHostThatTakesNothing(t *testing.T) {
	dir, up := t.TempDir(), hold(t).up
	// Only the first hangs: the next one finds that nobody sends any more, so that the session ends.
	dd := "#!/bin/sh\ncase $* in *bs=1048576*) ! mkdir " + dir + "/first || { echo $$ >" + up + "; exec sleep 600; } ;; esac\nexec " + sshtest.Need(t, "dd") + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "dd"), []byte(dd), 0o700); err != nil {
		t.Fatal(err)
	}
	h := connect(t, sshtest.Start(t, sshtest.Options{Path: dir + ":" + os.Getenv("PATH")}), envFor(t), "127.0.0.1")
	p := program("boot-1", "")
	p.Argv, p.Payload = nil, &runners.Payload{Hash: "abc", Entry: "run.sh", Files: []runners.File{
		{Path: "run.sh", Mode: 0o755, Content: []byte("#!/bin/sh\n")}, {Path: "data", Content: make([]byte, 16<<20)}}}
	ctx, cancel := contextFor(t, 1) // when all that may be on the way is
	defer cancel()
	results := make(chan runners.Result, 1)
	go func() {
		res, err := h.Run(ctx, p)
		if err != nil {
			t.Error(err)
		}
		results <- res
	}()
	data, err := os.ReadFile(up)
	if err != nil {
		t.Fatal(err)
	}
	defer kill(t, syscall.SIGKILL, strings.TrimSpace(string(data)))
	if res := <-results; res.Outcome != runners.Stopped {
		t.Errorf("Run = %+v; want it stopped", res)
	}
}
