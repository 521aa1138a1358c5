package minder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/launchplan/launch/harness/wire"
	"github.com/launchplan/launch/internal/proc"
)

// patience is for what must happen; it only ends a test that hangs.
const patience = time.Minute

// The test binary is the minder when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "minder" {
		if err := Serve(context.Background(), os.Args[2], os.NewFile(3, "tell")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// mind connects to a minder of a directory, and ends it and all it has after the test.
func mind(t *testing.T, dir string) (*Client, []Process) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, all, err := Connect(ctx, dir, []string{self, "minder"})
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "minder.log"))
		t.Fatalf("%v\n%s", err, log)
	}
	t.Cleanup(func() {
		killMinder(dir)
		for _, id := range Left(dir) {
			proc.SignalGroup(id.PID, syscall.SIGKILL)
		}
	})
	return c, all
}

func killMinder(dir string) {
	id, _ := Identity(dir)
	id.Signal(syscall.SIGKILL)
	id.Wait(context.Background())
}

func start(t *testing.T, c *Client, dir, id, script string, env ...string) wire.Target {
	t.Helper()
	target := wire.Target{ID: id}
	err := c.Start(&Start{Target: target, Argv: []string{"sh", "-c", script}, Env: env, Dir: dir, Log: filepath.Join(dir, id+".log")})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// await returns the next event of a process in a state.
func await(t *testing.T, c *Client, target wire.Target, state State) Process {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case p, open := <-c.Events:
			if !open {
				t.Fatal("the minder hung up")
			}
			if p.Target == target && p.State == state {
				return p
			}
		case <-timeout:
			t.Fatalf("%v is not %s in time", target, state)
		}
	}
}

func TestExitStatusAndOutput(t *testing.T) {
	dir := t.TempDir()
	c, _ := mind(t, dir)
	defer c.Close()
	for id, tc := range map[string]struct{ script, want string }{
		"talks":  {"echo out; echo err >&2; exit 3", "3 "},
		"killed": {"kill -9 $$", "137 SIGKILL"},
		"well":   {"true", "0 "},
	} {
		p := await(t, c, start(t, c, dir, id, tc.script), Ended)
		if got := fmt.Sprintf("%d %s", *p.ExitStatus, p.Signal); got != tc.want {
			t.Errorf("%s: ended with %q, want %q", id, got, tc.want)
		}
	}
	out, err := os.ReadFile(filepath.Join(dir, "talks.log"))
	if err != nil || string(out) != "out\nerr\n" {
		t.Errorf("output %q (%v)", out, err)
	}
}

func TestStartsOncePerRound(t *testing.T) {
	dir := t.TempDir()
	c, _ := mind(t, dir)
	defer c.Close()
	target := start(t, c, dir, "p", "echo once; sleep 60")
	first := await(t, c, target, Running)
	start(t, c, dir, "p", "echo once; sleep 60")
	if second := await(t, c, target, Running); second.Proc != first.Proc {
		t.Errorf("started again: %v, then %v", first.Proc, second.Proc)
	}
}

func TestMissingProgramIsPermanent(t *testing.T) {
	dir := t.TempDir()
	c, _ := mind(t, dir)
	defer c.Close()
	for name, st := range map[string]*Start{
		"absent":    {Argv: []string{"/no/such/program"}},
		"not-found": {Argv: []string{"no-such-program"}},
		"directory": {Argv: []string{"/"}},
		"no-dir":    {Argv: []string{"true"}, Dir: "/no/such/directory"},
	} {
		st.Target = wire.Target{ID: name}
		st.Log = filepath.Join(dir, name+".log")
		if st.Dir == "" {
			st.Dir = dir
		}
		if err := c.Start(st); err != nil {
			t.Fatal(err)
		}
		if p := await(t, c, st.Target, Ended); !p.Permanent || p.Reason == "" || !p.StartedAt.IsZero() {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// A stop reaches the whole group; what ignores it is killed.
func TestStopEndsTheGroup(t *testing.T) {
	dir := t.TempDir()
	c, _ := mind(t, dir)
	defer c.Close()
	target := start(t, c, dir, "p", `trap "" TERM; sleep 60 & echo $! > child; wait; sleep 60`)
	await(t, c, target, Running)
	child := awaitFile(t, filepath.Join(dir, "child"))
	if err := c.Stop(&Stop{Target: target, Timeout: wire.Duration(100 * time.Millisecond)}); err != nil {
		t.Fatal(err)
	}
	p := await(t, c, target, Ended)
	if p.Signal != "SIGKILL" || !p.Stopped {
		t.Errorf("ended by %q, stopped %v", p.Signal, p.Stopped)
	}
	var pid int
	fmt.Sscan(child, &pid)
	if id := proc.Identify(pid); id.Alive() {
		if err := id.Wait(t.Context()); err != nil {
			t.Errorf("the child %v: %v", id, err)
		}
	}
}

// awaitFile waits until a file that a process writes has a line.
func awaitFile(t *testing.T, path string) string {
	t.Helper()
	deadline := time.After(patience)
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		if data, err := os.ReadFile(path); err == nil && strings.HasSuffix(string(data), "\n") {
			return string(data)
		}
		select {
		case <-deadline:
			t.Fatalf("%s is not written", path)
		case <-look.C:
		}
	}
}

// The agent dies: what ends meanwhile is told to the next one, with its true status.
func TestEndsAreKeptForTheNextAgent(t *testing.T) {
	dir := t.TempDir()
	c, _ := mind(t, dir)
	gate := filepath.Join(dir, "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	short := start(t, c, dir, "short", "read x < gate; exit 42")
	long := start(t, c, dir, "long", "sleep 60")
	running := await(t, c, short, Running)
	await(t, c, long, Running)
	c.Close()
	if err := os.WriteFile(gate, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	if err := running.Proc.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, all := mind(t, dir)
	defer c.Close()
	states := map[string]Process{}
	for _, p := range all {
		states[p.Target.ID] = p
	}
	if states["short"].State == Running { // reaped a moment later
		states["short"] = await(t, c, short, Ended)
	}
	if p := states["short"]; p.ExitStatus == nil || *p.ExitStatus != 42 {
		t.Errorf("short: %+v", p)
	}
	if p := states["long"]; p.State != Running {
		t.Errorf("long: %+v", p)
	}
	if err := c.Forget(short); err != nil {
		t.Fatal(err)
	}
}

// The minder itself is killed: its processes go on, the next adopts them, and says
// that their exit status is unknown.
func TestNextMinderAdopts(t *testing.T) {
	dir := t.TempDir()
	c, _ := mind(t, dir)
	gate := filepath.Join(dir, "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	target := start(t, c, dir, "p", "read x < gate; exit 0")
	before := await(t, c, target, Running)
	killMinder(dir)
	c.Close()
	if !before.Proc.Alive() {
		t.Fatal("the process died with its minder")
	}
	c, all := mind(t, dir)
	defer c.Close()
	if len(all) != 1 || all[0].Proc != before.Proc || all[0].State != Running {
		t.Fatalf("adopted %+v", all)
	}
	if err := os.WriteFile(gate, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	if p := await(t, c, target, Ended); p.ExitStatus != nil || !strings.Contains(p.Reason, "unwatched") {
		t.Errorf("ended as %+v", p)
	}
}

// A minder was killed between the fork and its record: the process is found.
func TestHalfDoneStartIsFound(t *testing.T) {
	dir := t.TempDir()
	c, _ := mind(t, dir)
	target := start(t, c, dir, "p", "exec sleep 60")
	running := await(t, c, target, Running)
	killMinder(dir)
	c.Close()
	journal := fmt.Sprintf(`{"id":"p","round":0,"state":"starting"}%s{"id":"q","round":0,"state":"starting"}%s{"id":"cut off`, "\n", "\n")
	if err := os.WriteFile(filepath.Join(dir, journalName), []byte(journal), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("processes cannot be found by their environment on this system")
	}
	c, all := mind(t, dir)
	defer c.Close()
	for _, p := range all {
		switch p.Target.ID {
		case "p":
			if p.State != Running || p.Proc != running.Proc {
				t.Errorf("p: %+v, want %v", p, running.Proc)
			}
		case "q":
			if p.State != Ended || p.ExitStatus != nil {
				t.Errorf("q: %+v", p)
			}
		default:
			t.Errorf("unexpected: %+v", p)
		}
	}
	if len(all) != 2 {
		t.Errorf("%d processes", len(all))
	}
}

// A minder's journal is lost with it: the process is found by its marks, once, and ends like others.
func TestNextMinderFindsWhatTheJournalLost(t *testing.T) {
	if !proc.CanFindVariables {
		t.Skip("processes cannot be found by their environment on this system")
	}
	for name, lose := range map[string]func(path string) error{
		"removed": os.Remove,
		"damaged": func(path string) error { return os.WriteFile(path, []byte("\x00\x00\n{}\n"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c, _ := mind(t, dir)
			target := wire.Target{ID: "p", Round: 3}
			if err := c.Start(&Start{Target: target, Argv: []string{"sh", "-c", "sleep 60; true"}, Dir: dir, Log: filepath.Join(dir, "log")}); err != nil {
				t.Fatal(err)
			}
			running := await(t, c, target, Running)
			killMinder(dir)
			c.Close()
			if err := lose(filepath.Join(dir, journalName)); err != nil {
				t.Fatal(err)
			}
			c, all := mind(t, dir)
			defer c.Close()
			if len(all) != 1 || all[0].Target != target || all[0].Proc != running.Proc || all[0].State != Running || all[0].StartedAt.IsZero() {
				t.Fatalf("found %+v, want %+v", all, running)
			}
			if err := c.Stop(&Stop{Target: target, Timeout: wire.Duration(patience)}); err != nil {
				t.Fatal(err)
			}
			await(t, c, target, Ended)
		})
	}
}

func TestEndsWithItsLastProcess(t *testing.T) {
	dir := t.TempDir()
	c, _ := mind(t, dir)
	id, ok := Identity(dir)
	if !ok || !id.Alive() {
		t.Fatalf("minder %v", id)
	}
	target := start(t, c, dir, "p", "true")
	await(t, c, target, Ended)
	c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := id.Wait(ctx); err != nil {
		t.Fatal("the minder goes on with nothing to mind")
	}
	c, all := mind(t, dir)
	defer c.Close()
	if len(all) != 1 || *all[0].ExitStatus != 0 {
		t.Errorf("what nobody has forgotten is not known any more: %+v", all)
	}
}

// An agent that comes just when its minder ends has either this one or the next; what it has
// started is recorded, and ends with its true status.
func TestAgentComesWhenItsMinderEnds(t *testing.T) {
	dir := t.TempDir()
	c, _ := mind(t, dir)
	for i := range 100 {
		c.Close()
		c, _ = mind(t, dir)
		p := await(t, c, start(t, c, dir, fmt.Sprint("p", i), "exit 7"), Ended)
		if p.ExitStatus == nil || *p.ExitStatus != 7 {
			t.Fatalf("round %d: %+v", i, p)
		}
	}
	c.Close()
}

// The minder before may take longer to end than the next one waits for its lock, and one that an
// agent started which then died may not listen yet.
func TestAgentIsPatientWithTheMinderBefore(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	argv := []string{"sh", "-c", `mkdir "$1/first" && { echo "a minder runs already" >&3; exit; }; exec "$0" minder "$1"`, self}
	c, _, err := Connect(t.Context(), dir, argv)
	if err != nil {
		t.Fatal(err)
	}
	defer killMinder(dir)
	c.Close()
}

// A minder that leaves takes a while to end; an agent that comes meanwhile is refused, which
// is how it learns to start the next one.
func TestListensNoMoreWhileItEnds(t *testing.T) {
	dir := t.TempDir()
	s := &server{dir: dir}
	var err error
	if s.socket, err = listen(dir); err != nil {
		t.Fatal(err)
	}
	s.waits.Go(s.accept)
	defer s.waits.Wait()
	if !s.leave(false) {
		t.Fatal("it stays with nothing to mind")
	}
	if conn, err := dial(t.Context(), dir); !errors.Is(err, syscall.ECONNREFUSED) {
		if err == nil {
			conn.Close()
		}
		t.Errorf("it still listens: %v", err)
	}
}

// On a full disk a line is cut off; what is written when there is room again counts.
func TestJournalGoesOnAfterAFullDisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, journalName)
	j, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { j.close() }()
	full, err := os.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	j.write(Process{Target: wire.Target{ID: "before"}, State: Running})
	good := j.file
	j.file = full // which cannot be written to
	j.write(Process{Target: wire.Target{ID: "lost"}, State: Running})
	j.file = good
	full.Close()
	if _, err := good.WriteString(`{"id":"lost","rou`); err != nil {
		t.Fatal(err)
	}
	j.write(Process{Target: wire.Target{ID: "after"}, State: Running})
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if all, whole := ReadJournal(data); whole || len(all) != 2 || all[0].ID != "before" || all[1].ID != "after" {
		t.Errorf("the journal has %+v:\n%s", all, data)
	}
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte(`{"id":"p","round":0,"state":"running","proc":{"pid":1,"start":5,"boot":"x"}}` + "\n" + `{"id":"p","round":0,"state":"forgotten"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		seen := map[wire.Target]bool{}
		all, _ := ReadJournal(data)
		for _, p := range all {
			if p.State == Forgotten || seen[p.Target] {
				t.Errorf("%+v is listed", p)
			}
			seen[p.Target] = true
		}
	})
}
