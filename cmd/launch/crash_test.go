//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/launchplan/launch/internal/sshtest"
)

// crashPlan has three levels; every boot and terminate program leaves a line in $CRASH_RECORD, one boot program leaves
// a daemon behind, and one service is a process. PLACE stands for where services run.
const crashPlan = `
level "base" {
  service "one" {
    PLACE
    boot {
      script = "echo boot one >> \"$CRASH_RECORD\"; echo token=t1 > \"$LAUNCH_EXPORTS\""
      env    = { CRASH_RECORD = "RECORD" }
    }
    exports = { token = string }
    terminate {
      script = "echo terminate one >> \"$CRASH_RECORD\""
      env    = { CRASH_RECORD = "RECORD" }
    }
  }
  service "daemon" {
    PLACE
    boot {
      script = "echo boot daemon >> \"$CRASH_RECORD\"; sleep 600 >/dev/null 2>&1 &"
      env    = { CRASH_RECORD = "RECORD" }
    }
    terminate {
      script = "echo terminate daemon >> \"$CRASH_RECORD\""
      env    = { CRASH_RECORD = "RECORD" }
    }
  }
}
level "middle" {
  service "two" {
    PLACE
    count = 2
    boot {
      script = "echo boot two-$LAUNCH_INDEX $TOKEN >> \"$CRASH_RECORD\""
      env    = { CRASH_RECORD = "RECORD", TOKEN = service.one.token }
    }
    ready { command = ["true"] }
  }
  service "stays" {
    PLACE
    process {
      script = "echo boot stays >> \"$CRASH_RECORD\"; exec sleep 600"
      env    = { CRASH_RECORD = "RECORD" }
    }
  }
}
level "top" {
  service "three" {
    PLACE
    boot {
      script = "echo boot three >> \"$CRASH_RECORD\""
      env    = { CRASH_RECORD = "RECORD" }
    }
    ready { command = ["true"] }
  }
}
`

// reloadedPlan is crashPlan after a change: daemon is gone, two is changed, four is new, and the rest is as it was.
func reloadedPlan() string {
	return strings.NewReplacer(
		crashPlan[strings.Index(crashPlan, `  service "daemon"`):strings.Index(crashPlan, `level "middle"`)], "}\n",
		"two-$LAUNCH_INDEX $TOKEN", "two-$LAUNCH_INDEX $TOKEN anew",
		`level "top" {`, `level "top" {
  service "four" {
    PLACE
    boot {
      script = "echo boot four >> \"$CRASH_RECORD\""
      env    = { CRASH_RECORD = "RECORD" }
    }
  }`,
	).Replace(crashPlan)
}

// inheritedPlan is crashPlan on this machine, for tests that hand $CRASH_RECORD on by the environment.
func inheritedPlan() string {
	return strings.NewReplacer("    PLACE\n", "", `CRASH_RECORD = "RECORD", `, "", `      env    = { CRASH_RECORD = "RECORD" }`+"\n", "").Replace(crashPlan)
}

// A crashPlace is where the services of a crash plan run.
type crashPlace struct{ runner, place string }

func onThisMachine(*testing.T) crashPlace { return crashPlace{} }

func overSSH(t *testing.T) crashPlace {
	server := sshtest.Start(t, sshtest.Options{Address: "0.0.0.0"})
	return crashPlace{
		runner: fmt.Sprintf("runner \"ssh\" \"r\" {\n user = %q\n port = %d\n identity_file = %q\n known_hosts_file = %q\n}\n",
			server.User, server.Port, server.Identity, server.KnownHosts),
		place: "runner = runner.ssh.r\n    host = \"127.0.5.1\"",
	}
}

// TestKilledAtEveryWrite kills the real program with SIGKILL around each commit of its journal, in a boot, a resume,
// a repair, a reload and a terminate. After that a resume and a terminate must do: nothing ran twice, nothing is left.
func TestKilledAtEveryWrite(t *testing.T) {
	if testing.Short() {
		t.Skip("starts hundreds of programs")
	}
	bin := buildCrashLaunch(t)
	for name, where := range map[string]func(*testing.T) crashPlace{"local": onThisMachine, "ssh": overSSH} {
		t.Run(name, func(t *testing.T) {
			place := where(t)
			for _, command := range []string{"boot", "resume", "repair", "reload", "terminate"} {
				t.Run(command, func(t *testing.T) {
					points := crashPoints(t, bin, place, command)
					for _, p := range points {
						t.Run(p, func(t *testing.T) { killedAt(t, bin, place, command, p) })
					}
					t.Logf("%s: killed at %d points", command, len(points))
				})
			}
		})
	}
}

// crashSample is how many points of each command are tried where LAUNCH_LONG does not ask for all.
const crashSample = 4

// crashPoints are the points of a command: as many as it has commits, before and after each.
func crashPoints(t *testing.T, bin string, place crashPlace, command string) []string {
	var all []string
	commits := countCommits(t, bin, place, command)
	for n := 1; n <= commits; n++ {
		all = append(all, fmt.Sprintf("%d:before", n), fmt.Sprintf("%d:after", n))
	}
	if os.Getenv("LAUNCH_LONG") != "" {
		return all
	}
	seed := uint64(time.Now().UnixNano())
	if given, err := strconv.ParseUint(os.Getenv("LAUNCH_TEST_SEED"), 10, 64); err == nil {
		seed = given
	}
	t.Logf("LAUNCH_TEST_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(crashSample, len(all))]
}

// countCommits finds out how many commits a command makes: the first point that is never reached.
func countCommits(t *testing.T, bin string, place crashPlace, command string) int {
	low, high := 1, 64
	for low < high {
		middle := (low + high) / 2
		c := newCrashRun(t, bin, place)
		c.lead(command)
		killed := c.launch(fmt.Sprintf("%d:after", middle), c.args(command)...).killed
		c.mop()
		if killed {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == 64 {
		t.Fatalf("%s makes more commits than were looked for", command)
	}
	return low - 1
}

func killedAt(t *testing.T, bin string, place crashPlace, command, point string) {
	c := newCrashRun(t, bin, place)
	defer c.mop()
	c.lead(command)
	before := c.record()
	first := c.launch(point, c.args(command)...)
	if !first.killed && first.status != 0 {
		t.Fatalf("%s ended with %d:\n%s", command, first.status, first.output)
	}
	if command != "terminate" {
		goOn := "resume"
		if command == "repair" {
			goOn = "repair" // resume verifies, and brings nothing up twice
		}
		again := c.launch("", goOn, "crash")
		if again.status == exitNoRun && first.killed && command == "boot" {
			again = c.launch("", "boot", c.plan, "-n", "crash") // it was killed before there was a run
		}
		if again.status != 0 {
			t.Fatalf("resume ended with %d:\n%s", again.status, again.output)
		}
		c.wantReady()
	}
	if command == "reload" && !slices.Contains(c.record(), "boot four") {
		// It was killed before the new plan was recorded: the run is what it was, and can be reloaded again.
		if again := c.launch("", c.args("reload")...); again.status != 0 {
			t.Fatalf("reload ended with %d:\n%s", again.status, again.output)
		}
		c.wantReady()
	}
	c.wantOnce(command, before)
	if ended := c.launch("", "terminate", "crash"); ended.status != 0 {
		t.Fatalf("terminate ended with %d:\n%s", ended.status, ended.output)
	}
	c.wantNothingLeft()
}

// A crashRun is one run in a state directory of its own.
type crashRun struct {
	t                          *testing.T
	bin, dir, plan, recordFile string
	changed                    string // the plan of a reload
}

func newCrashRun(t *testing.T, bin string, place crashPlace) *crashRun {
	dir := t.TempDir()
	c := &crashRun{t: t, bin: bin, dir: dir, plan: filepath.Join(dir, "plan"), recordFile: filepath.Join(dir, "record")}
	c.changed = filepath.Join(dir, "changed")
	places := strings.NewReplacer("CRASH_RECORD", "CRASH_RECORD", "PLACE", place.place, "RECORD", c.recordFile)
	for dir, content := range map[string]string{c.plan: crashPlan, c.changed: reloadedPlan()} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "plan.hcl"), []byte(place.runner+places.Replace(content)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// lead brings the run to where the command under test begins.
func (c *crashRun) lead(command string) {
	switch command {
	case "resume":
		if !c.launch("6:after", "boot", c.plan, "-n", "crash").killed {
			c.t.Fatal("the boot that is to be resumed was not killed")
		}
	case "repair", "reload", "terminate":
		if r := c.launch("", "boot", c.plan, "-n", "crash"); r.status != 0 {
			c.t.Fatalf("boot ended with %d:\n%s", r.status, r.output)
		}
	}
	if command == "repair" {
		for _, pid := range c.processes("sleep 600") {
			if strings.Contains(c.environ(pid), "LAUNCH_SERVICE=stays\x00") {
				syscall.Kill(pid, syscall.SIGKILL)
				awaitEnd(c.t, pid) // before that it is found healthy
			}
		}
	}
}

func (c *crashRun) args(command string) []string {
	switch command {
	case "boot":
		return []string{"boot", c.plan, "-n", "crash"}
	case "reload":
		return []string{"reload", "crash", c.changed, "--yes"}
	}
	return []string{command, "crash"}
}

type crashResult struct {
	status int
	killed bool
	output string
}

// launch runs the program, to be killed at a point of its journal ("": not at all).
func (c *crashRun) launch(point string, args ...string) crashResult {
	cmd := exec.Command(c.bin, args...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.Env = append(os.Environ(), "LAUNCH_STATE="+filepath.Join(c.dir, "state"), "HOME="+c.dir, "CRASH_RECORD="+c.recordFile) // the mark of everything that this run starts
	if point != "" {
		cmd.Env = append(cmd.Env, "LAUNCH_TEST_KILL_AT_WRITE="+point)
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	return crashResult{
		status: cmd.ProcessState.ExitCode(), output: output.String(),
		killed: cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL,
	}
}

// record is what programs left behind, sorted.
func (c *crashRun) record() []string {
	content, err := os.ReadFile(c.recordFile)
	if err != nil && !os.IsNotExist(err) {
		c.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	slices.Sort(lines)
	return lines
}

func (c *crashRun) wantReady() {
	c.t.Helper()
	r := c.launch("", "status", "crash", "-o", "json")
	var status struct {
		Status string `json:"status"`
		Levels []struct {
			Services []struct{ Address, Status, Error string } `json:"services"`
		} `json:"levels"`
	}
	if err := json.Unmarshal([]byte(r.output), &status); err != nil {
		c.t.Fatalf("status -o json: %v in:\n%s", err, r.output)
	}
	if r.status != 0 || status.Status != "ready" {
		c.t.Errorf("status ended with %d, and the run is %s:\n%s", r.status, status.Status, r.output)
	}
}

// wantOnce checks that every boot program ran once; what repair or reload was to bring up again, twice.
func (c *crashRun) wantOnce(command string, before []string) {
	c.t.Helper()
	want := []string{"boot daemon", "boot one", "boot stays", "boot three", "boot two-0 t1", "boot two-1 t1"}
	switch command {
	case "repair":
		want = append(want, "boot stays")
	case "reload":
		want = append(want, "boot two-0 t1 anew", "boot two-1 t1 anew", "boot four")
	}
	slices.Sort(want)
	got := slices.DeleteFunc(c.record(), func(line string) bool { return strings.HasPrefix(line, "terminate") })
	if !slices.Equal(got, want) {
		c.t.Errorf("programs that ran:\n got %q\nwant %q", got, want)
	}
}

func (c *crashRun) wantNothingLeft() {
	c.t.Helper()
	for _, service := range []string{"one", "daemon"} {
		if n := count1(c.record(), "terminate "+service); n != 1 {
			c.t.Errorf("the terminate program of %s ran %d times", service, n)
		}
	}
	if left := c.processes(""); len(left) > 0 {
		for _, pid := range left {
			cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			c.t.Errorf("process %d is left: %q", pid, cmdline)
		}
	}
	work, _ := filepath.Glob(filepath.Join(c.dir, "state", "runs", "*", "work", "*"))
	if len(work) > 0 {
		c.t.Errorf("work directories are left: %q", work)
	}
}

func count1(lines []string, line string) int {
	n := 0
	for _, l := range lines {
		if l == line {
			n++
		}
	}
	return n
}

// processes finds those that this run's launch started, by their environment.
func (c *crashRun) processes(command string) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil // no /proc: what is left cannot be told here
	}
	var found []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || !strings.Contains(c.environ(pid), "CRASH_RECORD="+c.recordFile+"\x00") {
			continue
		}
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.Contains(strings.ReplaceAll(string(cmdline), "\x00", " "), command) && len(cmdline) > 0 {
			found = append(found, pid)
		}
	}
	return found
}

func (c *crashRun) environ(pid int) string {
	environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return string(environ)
}

// mop ends what the run left, so that one failure does not spoil the machine for the rest.
func (c *crashRun) mop() {
	for _, pid := range c.processes("") {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// buildCrashLaunch builds launch with the hook that kills it.
func buildCrashLaunch(t *testing.T) string {
	bin := filepath.Join(t.TempDir(), "launch")
	out, err := exec.Command("go", "build", "-tags", "crashtest", "-o", bin, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}
