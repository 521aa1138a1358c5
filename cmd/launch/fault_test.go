//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// waits is a plan whose one boot program says that it is up, and ends when the test lets it.
const waits = `
level "a" {
  service "s" {
    boot {
      script  = "echo boot >> \"$WORLD/record\"; echo before; echo up > \"$WORLD/here\"; read x < \"$WORLD/go\"; echo after"
      timeout = "1h"
    }
  }
}
`

// launch is killed while a program runs: the program goes on, and resume attaches to it.
func TestKilledAndResumed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	here, door := w.gate("here"), w.gate("go")
	boot := w.begin("boot", w.plan("p", waits), "-n", "r")
	here.await()
	boot.signal(syscall.SIGKILL)
	boot.end()
	if st := w.status("r"); st.Status != "booting" || st.services()["a.s"] != "booting" {
		t.Errorf("after the kill it is %s: %v", st.Status, st.services())
	}
	w.launch("status", "r").want(exitFailed, "a.s", "the command that worked on this run before died; status takes over", "`launch resume r` goes on")
	w.launch("status", "r", "--cached").want(exitFailed, "run r is not complete")
	w.launch("watch", "r", "--times", "1").want(exitFailed, "run r is not complete")
	door.open()
	w.launch("resume", "r").want(exitOK, "run r is ready: 1 ready")
	w.launch("logs", "r", "a.s").want(exitOK, "before\nafter\n")
	if got := w.content("record"); got != "boot\n" {
		t.Errorf("the program ran %q", got)
	}
	w.wantNothingLeft("r")
}

// launch is killed while a program runs: its timeout holds all the same.
func TestTimeoutOutlivesLaunch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	here := w.gate("here")
	plan := w.plan("p", `
level "a" {
  service "s" {
    boot {
      script  = "echo $$ > \"$WORLD/here\"; exec sleep 600"
      timeout = "1s"
    }
  }
}
`)
	boot := w.begin("boot", plan, "-n", "r")
	var pid int
	if _, err := fmt.Sscan(here.await(), &pid); err != nil {
		t.Fatal(err)
	}
	boot.signal(syscall.SIGKILL)
	boot.end()
	w.gone(pid)
	w.launch("resume", "r").want(exitFailed, "did not end within its timeout of 1s")
	w.wantNothingLeft("r")
}

// The supervisor is killed while a program runs under it: nothing hangs, nothing is left, a resume brings it up.
func TestSupervisorKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	here, door := w.gate("here"), w.gate("go")
	boot := w.begin("boot", w.plan("p", waits), "-n", "r")
	here.await()
	for _, pid := range w.supervisors() {
		w.must(syscall.Kill(pid, syscall.SIGKILL))
	}
	door.open() // for the program that is up, should it go on, or else for the next one
	door.open()
	r := boot.end()
	if r.status != exitOK {
		r.want(exitFailed, "a.s failed")
		w.launch("resume", "r").want(exitOK, "run r is ready")
	}
	w.launch("status", "r").want(exitOK)
	w.wantNothingLeft("r")
}

// A process that was killed is found by status, and repaired with what used its values; what is healthy is left alone.
func TestRepair(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.plan("p", `
level "a" {
  service "source" {
    boot {
      script = "echo source >> \"$WORLD/record\"; echo value=$(wc -l < \"$WORLD/record\") > \"$LAUNCH_EXPORTS\"; sleep 600 >/dev/null 2>&1 & echo $! > \"$WORLD/pid\""
    }
    exports = { value = string }
    ready { script = "kill -0 $(cat \"$WORLD/pid\")" }
  }
  service "healthy" {
    boot { script = "echo healthy >> \"$WORLD/record\"" }
  }
}
level "b" {
  service "user" {
    boot {
      script = "echo user $VALUE >> \"$WORLD/record\""
      env    = { VALUE = service.source.value }
    }
  }
  service "other" {
    process { script = "echo other >> \"$WORLD/record\"; exec sleep 600" }
  }
}
output "value" { value = service.source.value }
`)
	w.launch("boot", plan, "-n", "r").want(exitOK)
	before := w.content("record")
	var pid int
	fmt.Sscan(w.content("pid"), &pid)
	w.must(syscall.Kill(pid, syscall.SIGKILL))
	w.gone(pid)
	w.launch("status", "r").want(exitFailed, "a.source failed", "ended with status 1")
	w.launch("watch", "r", "--times", "1").want(exitFailed)
	w.launch("repair", "r", "b.nothing").want(exitUsage, `no service "b.nothing"`)
	w.launch("watch", "r", "--repair", "--times", "1").want(exitOK, "a.source: is brought up again", "b.user: is brought up again")
	after := strings.TrimPrefix(w.content("record"), before)
	if !strings.HasPrefix(after, "source\nuser ") || strings.Count(after, "\n") != 2 {
		t.Errorf("repair ran %q after %q", after, before)
	}
	now := w.launch("output", "r", "value").want(exitOK).stdout
	if want := "user " + now; !strings.HasSuffix(after, want) {
		t.Errorf("the user has %q, the output is %q", after, now)
	}

	other := w.processes("sleep 600")
	for _, pid := range other {
		environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if strings.Contains(string(environ), "LAUNCH_SERVICE=other\x00") {
			w.must(syscall.Kill(pid, syscall.SIGKILL))
			w.gone(pid)
		}
	}
	w.launch("repair", "r", "a.healthy").want(exitOK) // the other one is not asked for
	w.launch("status", "r").want(exitFailed, "b.other failed", "its process was ended by SIGKILL", "launch repair")
	w.launch("repair", "r", "b.other").want(exitOK, "b.other: is brought up again")
	if n := strings.Count(w.content("record"), "other\n"); n != 2 {
		t.Errorf("the process was started %d times", n)
	}
	w.wantNothingLeft("r")
}

// Two commands want one run: one gets it, the other is told who has it.
func TestRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	here, door := w.gate("here"), w.gate("go")
	plan := w.plan("p", waits)
	boot := w.begin("boot", plan, "-n", "r")
	here.await()
	for _, args := range [][]string{{"resume", "r"}, {"repair", "r"}, {"terminate", "r"}, {"status", "r"}, {"reload", "r", plan, "--yes"}, {"watch", "r", "--times", "1"}} {
		w.launch(args...).want(exitBusy, "boot")
	}
	w.launch("purge", "r").want(exitFailed, "only terminated runs")
	w.launch("boot", plan, "-n", "r").want(exitUsage, "a run named r is live already")
	door.open()
	boot.end().want(exitOK)

	var racing []*running
	for range 4 {
		racing = append(racing, w.begin("boot", plan, "-n", "same"))
	}
	here.await()
	door.open()
	var statuses []int
	for _, r := range racing {
		res := r.end()
		statuses = append(statuses, res.status)
		if res.status == exitUsage {
			res.want(exitUsage, "a run named same is live already")
		}
	}
	slices.Sort(statuses)
	if !slices.Equal(statuses, []int{exitOK, exitUsage, exitUsage, exitUsage}) {
		t.Errorf("four boots of one name ended with %v", statuses)
	}
	w.launch("terminate", "same").want(exitOK)
	w.wantNothingLeft("r")
}

// Unnamed boots of one plan at the same time each get a name of their own.
func TestRaceForNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.plan("p", "level \"a\" {\n service \"s\" {\n boot { command = [\"true\"] }\n }\n}\n")
	var racing []*running
	for range 5 {
		racing = append(racing, w.begin("boot", plan))
	}
	var names []string
	for _, r := range racing {
		names = append(names, strings.Fields(r.end().want(exitOK).stdout)[1])
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"p", "p-2", "p-3", "p-4", "p-5"}) {
		t.Errorf("the runs are named %q", names)
	}
	w.launch(append([]string{"terminate"}, names...)...).want(exitOK)
	w.wantNoProcess()
}

// Levels with no path between them are under way at the same time: each waits for the other.
func TestLevelsMeet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gate("left")
	w.gate("right")
	plan := w.plan("p", `
level "left" {
  service "s" {
    boot { script = "echo x > \"$WORLD/right\"; read x < \"$WORLD/left\"" }
  }
}
level "right" {
  after = []
  service "t" {
    boot { script = "echo x > \"$WORLD/left\"; read x < \"$WORLD/right\"" }
  }
}
level "last" {
  after = [level.left, level.right]
  service "u" {
    boot { command = ["true"] }
  }
}
`)
	w.launch("boot", plan, "-n", "r").want(exitOK, "3 ready")
	w.wantNothingLeft("r")
}

// Someone removed the work directory: what was verified stays so, and terminate ends what runs.
func TestWorkDirectoryDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.plan("p", `
level "a" {
  service "s" {
    boot { script = "sleep 600 >/dev/null 2>&1 &" }
    terminate { script = "echo terminate >> \"$WORLD/record\"" }
  }
  service "p" {
    process { command = ["sleep", "600"] }
  }
}
`)
	w.launch("boot", plan, "-n", "r").want(exitOK)
	work, _ := filepath.Glob(filepath.Join(w.state, "runs", "*", "work"))
	if len(work) != 1 {
		t.Fatalf("work directories: %q", work)
	}
	w.must(os.RemoveAll(work[0]))
	w.launch("status", "r").want(exitOK)
	w.launch("resume", "r").want(exitOK)
	w.wantNothingLeft("r")
	if got := w.content("record"); got != "terminate\n" {
		t.Errorf("the terminate program ran %q", got)
	}
}

// A supervisor that died left records, and something wrote over them: that is told, and terminate ends what runs.
func TestGarbageRecords(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.plan("p", "level \"a\" {\n service \"p\" {\n process { command = [\"sleep\", \"600\"] }\n }\n}\n")
	w.launch("boot", plan, "-n", "r").want(exitOK)
	for _, pid := range w.supervisors() {
		w.must(syscall.Kill(pid, syscall.SIGKILL))
		w.gone(pid)
	}
	found, _ := filepath.Glob(filepath.Join(w.state, "runs", "*", "supervisor", "records"))
	if len(found) != 1 {
		t.Fatalf("records: %q", found)
	}
	records := found[0]
	w.must(os.WriteFile(records, []byte("\x00garbage\xff\n{\"pid\":-1}\n"), 0o600))
	w.launch("status", "r").want(exitFailed, "records of this run's programs are damaged", "supervisor/records:1").not("panic")
	w.launch("repair", "r").want(exitFailed, "it is not brought up again, since what runs of it could not be ended").not("panic")
	w.launch("terminate", "r").want(exitFailed, "supervisor/records:1", "run r is not terminated").not("panic")
	if n := len(w.processes("sleep 600")); n != 1 {
		t.Errorf("%d processes run, not the first one alone", n)
	}
}

// strace makes fsync fail: the command says so and stops, and the next one goes on.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	for _, when := range []string{"1", "2", "3+"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.plan("p", inheritedPlan())
			w.env = append(w.env, "CRASH_RECORD="+w.path("record"))
			r := w.sh(strace + ` -f -b execve -o /dev/null -e trace=fsync,fdatasync -e inject=fsync,fdatasync:error=EIO:when=` + when + ` launch boot p -n r`)
			r.not("panic").not("goroutine")
			if r.status != exitOK { // strace counts by thread, so that it may never come to that
				r.want(exitFailed, filepath.Join(w.state, "launch.db")).not("run r is ready")
			}
			if again := w.launch("resume", "r"); again.status == exitNoRun {
				w.launch("boot", w.path("p"), "-n", "r").want(exitOK)
			} else {
				again.want(exitOK, "run r is ready").not("was removed")
			}
			if got := strings.Count(w.content("record"), "boot"); got != 6 {
				t.Errorf("%d programs ran, not 6:\n%s", got, w.content("record"))
			}
			w.wantNothingLeft("r")
		})
	}
}

// A limit on the size of files stands for a full disk: the boot says so, nothing runs on unknown, and with room it goes on.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	for _, blocks := range []int{64, 200, 260} { // of 512 bytes: too little for the store, for the journal, for a log
		t.Run(fmt.Sprint(blocks), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.plan("p", inheritedPlan())
			w.env = append(w.env, "CRASH_RECORD="+w.path("record"))
			r := w.sh(fmt.Sprintf("ulimit -f %d; exec launch boot p -n r", blocks))
			r.not("panic").not("goroutine")
			if r.status != exitOK {
				r.want(exitFailed).not("run r is ready")
			}
			if again := w.launch("resume", "r"); again.status == exitNoRun {
				w.launch("boot", w.path("p"), "-n", "r").want(exitOK)
			} else {
				again.want(exitOK, "run r is ready")
			}
			if got := strings.Count(w.content("record"), "boot"); got != 6 {
				t.Errorf("%d programs ran, not 6:\n%s", got, w.content("record"))
			}
			w.wantNothingLeft("r")
		})
	}
}
