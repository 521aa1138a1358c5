package state

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestLock(t *testing.T) {
	db := openStore(t)
	create1(t, db, 0)
	if held, err := db.Locked(runID); held != nil || err != nil {
		t.Fatalf("Locked before any lock = %v, %v", held, err)
	}
	lock, tookOver, err := db.Lock(runID, "boot")
	if err != nil || tookOver {
		t.Fatalf("Lock = %v, took over: %v", err, tookOver)
	}
	_, _, err = db.Lock(runID, "resume")
	held, ok := errors.AsType[*LockedError](err)
	if !ok || held.Run != "alpha" || held.PID != os.Getpid() || held.Command != "boot" {
		t.Fatalf("second Lock = %v", err)
	}
	want := "run alpha is being worked on by launch boot (pid " + strconv.Itoa(os.Getpid()) + ", since " + held.Since.Local().Format("15:04:05") + ")"
	if err.Error() != want {
		t.Errorf("it says %q, want %q", err, want)
	}
	if seen, err := db.Locked(runID); err != nil || seen == nil || seen.Error() != want {
		t.Errorf("Locked = %v, %v", seen, err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	if held, err := db.Locked(runID); held != nil || err != nil {
		t.Errorf("Locked after Unlock = %v, %v", held, err)
	}
	again, tookOver, err := db.Lock(runID, "resume")
	if err != nil || tookOver {
		t.Errorf("Lock after Unlock = %v, took over: %v", err, tookOver)
	}
	again.Unlock()
}

func TestLockOfADeadOwnerIsTakenOver(t *testing.T) {
	dir := t.TempDir()
	db := openIn(t, dir)
	create1(t, db, 0)
	child := play(t, "lock", dir) // says when it has the lock, and holds it
	if _, _, err := db.Lock(runID, "resume"); err == nil {
		t.Fatal("got the lock of a living owner")
	} else if held, ok := errors.AsType[*LockedError](err); !ok || held.PID != child.cmd.Process.Pid {
		t.Fatalf("Lock = %v, want the other process's", err)
	}
	child.kill(t)
	if held, err := db.Locked(runID); held != nil || err != nil {
		t.Errorf("Locked after the owner's death = %v, %v", held, err)
	}
	lock, tookOver, err := db.Lock(runID, "resume")
	if err != nil || !tookOver {
		t.Fatalf("Lock = %v, took over: %v", err, tookOver)
	}
	lock.Unlock()
}

func TestProgramsDoNotInheritTheLock(t *testing.T) {
	db := openStore(t)
	create1(t, db, 0)
	lock, _, err := db.Lock(runID, "boot")
	if err != nil {
		t.Fatal(err)
	}
	program := exec.Command("sh", "-c", "echo up; read wait")
	in, _ := program.StdinPipe()
	out, _ := program.StdoutPipe()
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	defer program.Wait()
	defer in.Close()
	out.Read(make([]byte, 3))
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	lock, _, err = db.Lock(runID, "resume")
	if err != nil {
		t.Fatalf("a program that still runs keeps the lock: %v", err)
	}
	lock.Unlock()
}

func TestLockSurvivesGarbageAndPurge(t *testing.T) {
	db := openStore(t)
	w := create1(t, db, 0)
	if _, _, err := db.Lock("../"+runID, "boot"); err == nil || !strings.Contains(err.Error(), "not a run's ID") {
		t.Errorf("Lock outside of its folder = %v", err)
	}
	if err := os.MkdirAll(filepath.Dir(db.lockPath(runID)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(db.lockPath(runID), []byte("\x00garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	lock, tookOver, err := db.Lock(runID, "terminate")
	if err != nil || !tookOver {
		t.Fatalf("Lock = %v, took over: %v", err, tookOver)
	}
	terminate(t, db, w)
	if err := db.Purge(t.Context(), runID); err != nil {
		t.Fatal(err)
	}
	// The name of the file is gone: another one can lock the run, without getting at the old file's lock.
	second, tookOver, err := db.Lock(runID, "boot")
	if err != nil || tookOver {
		t.Errorf("Lock after the purge = %v, took over: %v", err, tookOver)
	}
	// A purge that comes second takes the file along that it has made to lock the run.
	if err := db.Purge(t.Context(), runID); !errors.Is(err, ErrNoRun) {
		t.Errorf("a second purge = %v", err)
	}
	second.Unlock()
	lock.Unlock()
	if left, err := os.ReadDir(filepath.Dir(db.lockPath(runID))); err != nil || len(left) != 0 {
		t.Errorf("%d lock files are left, %v", len(left), err)
	}
}
