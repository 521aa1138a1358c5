package state

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// need skips a test on a machine that lacks something, and fails it where nothing may be lacking.
func need(t testing.TB, ok bool, what string) {
	t.Helper()
	if ok {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("this machine lacks %s", what)
	}
	t.Skipf("this machine lacks %s", what)
}

// fillUntilItFails has a process write until its disk fails, and returns what the journal has afterwards beside what was
// reported: the notes that were durable, why the next one was not, and what the one after that got. mend makes the disk well again.
func fillUntilItFails(t *testing.T, dir string, c *child, mend func()) (durable int, first, second string) {
	t.Helper()
	c.start(t)
	text := c.line(t)
	durable, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("it says %q", text)
	}
	first, second = c.line(t), c.line(t)

	mend()
	db := openIn(t, dir)
	notes := 0
	for _, event := range journal(t, db, runID) {
		if event.Kind == "note" {
			notes++
		}
	}
	// The one that failed may be there: its commit can have reached the disk before the failure.
	if notes != durable && notes != durable+1 {
		t.Errorf("%d notes are in the journal, %d were acknowledged", notes, durable)
	}
	if err := db.Writer(runID).Write(t.Context(), Change{Event: Event{Kind: "note"}}); err != nil {
		t.Errorf("write after reopening: %v", err)
	}
	var check string
	if err := db.sql.QueryRow("PRAGMA integrity_check").Scan(&check); err != nil || check != "ok" {
		t.Errorf("integrity_check = %s, %v", check, err)
	}
	return durable, first, second
}

func TestFileSizeLimit(t *testing.T) {
	dir := closedStore(t)
	durable, first, second := fillUntilItFails(t, dir, command(t, "fill", dir, "1000000"), func() {})
	t.Logf("%d were durable, then: %s", durable, first)
	if durable == 0 || !strings.Contains(first, "state store "+dir) || second != first {
		t.Errorf("after %d: %s\nthen: %s", durable, first, second)
	}
}

func TestFullDisk(t *testing.T) {
	need(t, os.Getuid() == 0 && hasMounts(), "the right to mount a small file system")
	dir := t.TempDir()
	if err := mountSmall(dir, 1<<20); err != nil {
		need(t, false, "a small file system: "+err.Error())
	}
	defer unmount(dir)
	t.Run("full", func(t *testing.T) {
		db, err := Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		create1(t, db, 10)
		db.Close()
		ballast := filepath.Join(dir, "ballast")
		if err := os.WriteFile(ballast, make([]byte, 200_000), 0o600); err != nil {
			t.Fatal(err)
		}
		durable, first, second := fillUntilItFails(t, dir, command(t, "fill", dir, "none"), func() { os.Remove(ballast) })
		t.Logf("%d were durable, then: %s", durable, first)
		if durable == 0 || !strings.Contains(first, "the disk is full") || second != first {
			t.Errorf("after %d: %s\nthen: %s", durable, first, second)
		}
	})
	t.Run("full from the start", func(t *testing.T) {
		below := filepath.Join(dir, "below")
		if err := os.Mkdir(below, 0o700); err != nil {
			t.Fatal(err)
		}
		ballast, err := os.Create(filepath.Join(dir, "ballast"))
		if err != nil {
			t.Fatal(err)
		}
		defer ballast.Close()
		for err == nil {
			_, err = ballast.Write(make([]byte, 512))
		}
		_, err = Open(t.Context(), below)
		t.Log(err)
		if err == nil || !strings.Contains(err.Error(), "the disk is full") {
			t.Errorf("Open = %v", err)
		}
		if left := contents(t, below); len(left) != 0 {
			t.Errorf("it left %v", left)
		}
	})
	for room := 64 << 10; room <= 160<<10; room += 4 << 10 {
		t.Run(fmt.Sprintf("full while it is made, with room for %d bytes", room), func(t *testing.T) {
			dir := t.TempDir()
			if err := mountSmall(dir, 1<<20); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unmount(dir) })
			ballast := filepath.Join(dir, "ballast")
			if err := os.WriteFile(ballast, make([]byte, 1<<20-room), 0o600); err != nil {
				t.Fatal(err)
			}
			db, err := Open(t.Context(), dir)
			if err == nil {
				db.Close()
			} else if !strings.Contains(err.Error(), "is full") && !strings.Contains(err.Error(), "is it full") {
				t.Errorf("Open = %v", err)
			}
			os.Remove(ballast)
			openIn(t, dir)
		})
	}
}

func TestFailingDisk(t *testing.T) {
	strace, err := exec.LookPath("strace")
	need(t, err == nil, "strace")
	for _, when := range []int{1, 2, 5, 9} {
		t.Run(fmt.Sprintf("sync %d", when), func(t *testing.T) {
			dir := closedStore(t)
			c := command(t, "fill", dir, "none")
			c.cmd.Args = append([]string{"strace", "-f", "-qq", "-o", os.DevNull, "-e", "trace=fdatasync,fsync",
				"-e", fmt.Sprintf("inject=fdatasync,fsync:error=EIO:when=%d+", when)}, c.cmd.Args...)
			c.cmd.Path = strace
			durable, first, second := fillUntilItFails(t, dir, c, func() {})
			t.Logf("%d were durable, then: %s", durable, first)
			if !strings.Contains(first, "look after the disk") || second != first {
				t.Errorf("after %d: %s\nthen: %s", durable, first, second)
			}
		})
	}
}

// A file system on which SQLite cannot share a store is told as that, not as a failing disk.
func TestFileSystemThatCannotShare(t *testing.T) {
	strace, err := exec.LookPath("strace")
	need(t, err == nil, "strace")
	dir := closedStore(t)
	c := command(t, "open", dir)
	c.cmd.Args = append([]string{"strace", "-f", "-qq", "-o", os.DevNull, "-P", filepath.Join(dir, storeName+"-shm"), "-e", "inject=mmap:error=ENODEV"}, c.cmd.Args...)
	c.cmd.Path = strace
	c.start(t)
	if text := c.line(t); !strings.Contains(text, "without the locks or the shared memory") {
		t.Errorf("it says %q", text)
	}
}

// A folder that this user may not write is refused in a sentence.
func TestReadOnlyFolder(t *testing.T) {
	dir := closedStore(t)
	for _, test := range []struct {
		name, path string
		mode       os.FileMode
	}{
		{"folder", dir, 0o500},
		{"file", filepath.Join(dir, storeName), 0o400},
		{"unreadable file", filepath.Join(dir, storeName), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			info, err := os.Stat(test.path)
			if err != nil {
				t.Fatal(err)
			}
			before := contents(t, dir)
			c := command(t, "open", dir)
			if os.Getuid() == 0 {
				giveAway(t, dir, c)
			}
			if err := os.Chmod(test.path, test.mode); err != nil {
				t.Fatal(err)
			}
			defer os.Chmod(test.path, info.Mode())
			c.start(t)
			text := c.line(t)
			t.Log(text)
			if !strings.HasPrefix(text, "error: state store "+dir) || !strings.Contains(text, "permission denied") {
				t.Errorf("it says %q", text)
			}
			os.Chmod(test.path, info.Mode())
			if after := contents(t, dir); fmt.Sprint(before) != fmt.Sprint(after) {
				t.Errorf("the folder changed: %v", after)
			}
		})
	}
}

// giveAway lets c run as somebody who is not root, to whom dir belongs: root may write everywhere.
func giveAway(t *testing.T, dir string, c *child) {
	t.Helper()
	const nobody = 65534
	for path := range contents(t, dir) {
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	// Everybody may pass to the store, and to the test binary, which go test keeps to its owner.
	for above := filepath.Dir(dir); above != os.TempDir() && above != "/"; above = filepath.Dir(above) {
		os.Chmod(above, 0o755)
	}
	self, err := os.ReadFile(c.cmd.Path)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := os.MkdirTemp("", "launch-state-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(copied) })
	os.Chmod(copied, 0o755)
	c.cmd.Path = filepath.Join(copied, "state.test")
	if err := os.WriteFile(c.cmd.Path, self, 0o755); err != nil {
		t.Fatal(err)
	}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}

// Whoever cannot lock a run is told the run's name and what to do; that a dead owner left the lock stays known.
func TestLockThatCannotBeTaken(t *testing.T) {
	strace, err := exec.LookPath("strace")
	need(t, err == nil, "strace")
	for inject, want := range map[string]string{
		"flock:error=ENOLCK":     "no locks available: move the state directory to a file system that has locks",
		"flock:error=EOPNOTSUPP": "operation not supported: move the state directory to a file system that has locks",
		"pwrite64:error=ENOSPC":  "no space left on device: make room there and run the command again",
		"openat:error=EACCES":    "permission denied: make it yours to read and write",
	} {
		t.Run(inject, func(t *testing.T) {
			dir := closedStore(t)
			db := openIn(t, dir)
			lock := db.lockPath(runID)
			if err := errors.Join(os.Mkdir(filepath.Dir(lock), 0o700), os.WriteFile(lock, []byte(`{"pid":1,"command":"boot"}`), 0o600)); err != nil {
				t.Fatal(err)
			}
			c := command(t, "lock", dir)
			c.cmd.Args = append([]string{"strace", "-f", "-qq", "-o", os.DevNull, "-P", lock, "-e", "inject=" + inject}, c.cmd.Args...)
			c.cmd.Path = strace
			c.start(t)
			if text := c.line(t); !strings.HasPrefix(text, "error: lock run alpha: ") || !strings.Contains(text, lock+": "+want) {
				t.Errorf("it says %q, want %q", text, want)
			}
			held, tookOver, err := db.Lock(runID, "terminate")
			if err != nil || !tookOver {
				t.Fatalf("Lock afterwards = %v, took over: %v", err, tookOver)
			}
			held.Unlock()
		})
	}
}
