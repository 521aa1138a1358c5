//go:build unix

package main

import (
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// An operator's interrupt in each phase is recorded, ends what runs, and resume goes on from there.
func TestInterrupt(t *testing.T) {
	const wait = `echo here > \"$WORLD/here\"; read x < \"$WORLD/go\"`
	for phase, service := range map[string]string{
		"boot":    `boot { script = "echo boot >> \"$WORLD/record\"; ` + wait + `" }`,
		"retry":   "boot {\n script = \"echo boot >> \\\"$WORLD/record\\\"; [ -e \\\"$WORLD/mended\\\" ] || { echo here > \\\"$WORLD/here\\\"; exit 1; }\"\n retries = 1\n retry_delay = \"1h\"\n }",
		"verify":  "boot { script = \"echo boot >> \\\"$WORLD/record\\\"\" }\n ready { script = \"" + wait + "\" }",
		"process": "process { script = \"echo boot >> \\\"$WORLD/record\\\"; exec sleep 600\" }\n ready { script = \"" + wait + "\" }",
	} {
		t.Run(phase, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			here, door := w.gate("here"), w.gate("go")
			plan := w.plan("p", "level \"a\" {\n service \"s\" {\n"+service+"\n}\n}\nlevel \"b\" {\n service \"later\" {\n boot { command = [\"true\"] }\n }\n}\n")
			boot := w.begin("boot", plan, "-n", "r")
			here.await()
			boot.signal(syscall.SIGINT)
			boot.end().want(exitInterrupted, "interrupted")
			st := w.status("r")
			if st.Status != "interrupted" || st.services()["a.s"] != "failed" || st.services()["b.later"] != "pending" {
				t.Errorf("after the interrupt the run is %s: %v", st.Status, st.services())
			}
			w.must(os.WriteFile(w.path("mended"), nil, 0o600))
			if phase != "retry" {
				door.open() // whoever comes next may pass
			}
			w.launch("resume", "r").want(exitOK, "run r is ready: 2 ready")
			want := map[string]int{"boot": 2, "retry": 2, "verify": 1, "process": 1}[phase]
			if n := strings.Count(w.content("record"), "boot\n"); n != want {
				t.Errorf("the program ran %d times, not %d", n, want)
			}
			w.wantNothingLeft("r")
		})
	}
}

// A run that a repair only looked at when it was interrupted is as it was.
func TestInterruptedLook(t *testing.T) {
	w := newWorld(t)
	here, door := w.gate("here"), w.gate("go")
	plan := w.plan("p", `level "a" {
	  service "s" {
	    boot { command = ["true"] }
	    ready { script = "[ ! -e \"$WORLD/looked\" ] || { echo here > \"$WORLD/here\"; read x < \"$WORLD/go\"; }" }
	  }
	}`)
	w.launch("boot", plan, "-n", "r").want(exitOK)
	w.must(os.WriteFile(w.path("looked"), nil, 0o600))
	repair := w.begin("repair", "r")
	here.await()
	repair.signal(syscall.SIGINT)
	repair.end().want(exitInterrupted, "interrupted", "run r is ready: 1 ready")
	door.open()
	w.launch("status", "r").want(exitOK, "run r is ready")
	w.wantNothingLeft("r")
}

// A terminate that is interrupted goes on with the next terminate.
func TestInterruptTerminate(t *testing.T) {
	for _, phase := range []string{"terminate", "gone"} {
		t.Run(phase, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			here, door := w.gate("here"), w.gate("go")
			block := "terminate { script = \"echo terminate >> \\\"$WORLD/record\\\"; echo here > \\\"$WORLD/here\\\"; read x < \\\"$WORLD/go\\\"\" }"
			if phase == "gone" {
				block = "terminate { script = \"echo terminate >> \\\"$WORLD/record\\\"\" }\n gone { script = \"echo here > \\\"$WORLD/here\\\"; read x < \\\"$WORLD/go\\\"\" }"
			}
			plan := w.plan("p", "level \"a\" {\n service \"s\" {\n boot { script = \"sleep 600 >/dev/null 2>&1 &\" }\n"+block+"\n}\n}\n")
			w.launch("boot", plan, "-n", "r").want(exitOK)
			terminate := w.begin("terminate", "r")
			here.await()
			terminate.signal(syscall.SIGINT)
			terminate.end().want(exitInterrupted, "`launch terminate r` goes on").not("resume")
			if st := w.status("r"); st.Status != "terminating" {
				t.Errorf("the run is %s", st.Status)
			}
			w.launch("resume", "r").want(exitFailed, "launch terminate r")
			door.open()
			w.wantNothingLeft("r")
			want := map[string]int{"terminate": 2, "gone": 1}[phase]
			if n := strings.Count(w.content("record"), "terminate\n"); n != want {
				t.Errorf("the terminate program ran %d times, not %d", n, want)
			}
		})
	}
}

// The second interrupt leaves at once, though the program ignores SIGTERM; a resume finds what came of it.
func TestInterruptTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	here := w.gate("here")
	plan := w.plan("p", `
level "a" {
  service "s" {
    boot { script = "trap 'echo asked > \"$WORLD/here\"' TERM; echo boot >> \"$WORLD/record\"; echo up > \"$WORLD/here\"; if [ ! -e \"$WORLD/mended\" ]; then while :; do sleep 1 || :; done; fi" }
  }
}
`)
	boot := w.begin("boot", plan, "-n", "r")
	here.await()
	boot.signal(syscall.SIGINT)
	if said := here.await(); said != "asked" {
		t.Fatalf("the program was not asked to end: %q", said)
	}
	left := make(chan struct{})
	var pressing sync.WaitGroup
	pressing.Go(func() { // as often as it takes: what comes in the moment of the first counts as that
		for again := time.NewTicker(sameInterrupt); ; {
			select {
			case <-left:
				again.Stop()
				return
			case <-again.C:
				boot.cmd.Process.Signal(syscall.SIGINT)
			}
		}
	})
	boot.end().want(exitInterrupted)
	close(left)
	pressing.Wait()
	if st := w.status("r"); st.Status != "booting" {
		t.Errorf("the run is %s: launch did not leave at once", st.Status)
	}
	w.must(os.WriteFile(w.path("mended"), nil, 0o600))
	w.launch("resume", "r").want(exitOK, "run r is ready")
	w.wantNothingLeft("r")
}

// GNU timeout sends its signal twice, to launch and to the group that launch is in. Two of one kind may arrive as one, so here they are not.
func TestSignalsOfOneInterrupt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	here := w.gate("here")
	plan := w.plan("p", `
level "a" {
  service "s" {
    boot { script = "echo here > \"$WORLD/here\"; exec sleep 600" }
  }
}
`)
	boot := w.begin("boot", plan, "-n", "r")
	here.await()
	boot.signal(syscall.SIGINT)
	boot.signal(syscall.SIGTERM)
	boot.end().want(exitInterrupted, "`launch resume r` goes on")
	if st := w.status("r"); st.Status != "interrupted" || st.services()["a.s"] != "failed" {
		t.Errorf("after the interrupt the run is %s: %v", st.Status, st.services())
	}
	w.wantNothingLeft("r")
}

// A program that ignores SIGTERM is killed with its group after its grace time.
func TestIgnoresSIGTERM(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.plan("p", `
level "a" {
  service "s" {
    process {
      script       = "trap '' TERM; sleep 600 & while :; do sleep 600 || :; done"
      stop_timeout = "200ms"
    }
  }
}
`)
	w.launch("boot", plan, "-n", "r").want(exitOK)
	w.wantNothingLeft("r")
}
