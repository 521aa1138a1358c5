package local

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/launchplan/launch/internal/proc"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/local/records"
	"github.com/launchplan/launch/runners/local/supervisor"
)

func TestProgramOutlivesLaunch(t *testing.T) {
	s := newStage(t)
	up, hold := s.fifo(), s.fifo()
	cmd := s.launch(fmt.Sprintf("echo run >>runs; echo one; echo $$ >%s; read x <%s; echo two; exit 7", up, hold))
	pid := s.pid(up)
	cmd.Process.Kill()
	cmd.Wait()
	if !alive(pid) {
		t.Fatal("the program died with launch")
	}
	end := s.begin(sh("boot", "echo another"))
	if err := os.WriteFile(hold, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	o := end()
	s.want(o, runners.Exited, 7)
	if o.out != "one\ntwo\n" {
		t.Errorf("output = %q, want all of it", o.out)
	}
	if runs, err := s.ReadFile(s.ctx, "service", "", "runs", 100); err != nil || string(runs) != "run\n" {
		t.Errorf("runs = %q, %v; want one", runs, err)
	}
}

func TestEndIsRecordedWithoutLaunch(t *testing.T) {
	s := newStage(t)
	up, over := s.fifo(), s.fifo()
	cmd := s.launch(fmt.Sprintf("echo $$ >%s; read x <%s; exit 9", up, over))
	supervisorPID := s.runner.supervisor.running(s.ctx).pid
	s.runner.Close()
	s.wait(up)
	cmd.Process.Kill()
	cmd.Wait()
	if err := os.WriteFile(over, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, supervisorPID)
	s.again()
	// Look needs no supervisor, and starts none.
	state, err := s.Look(s.ctx, name("boot"))
	if err != nil || state.Phase != runners.Ended || state.Result.Status != 9 {
		t.Errorf("Look = %+v, %v; want ended with status 9", state, err)
	}
	if s.runner.supervisor.current != nil {
		t.Error("Look started a supervisor")
	}
	s.want(s.run(sh("boot", "exit 1")), runners.Exited, 9)
}

// awaitGone waits for the end of a process that is no child of ours: that has no event on every system.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for alive(pid) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("process %d is still there", pid)
		}
	}
}

func TestSupervisorKilled(t *testing.T) {
	s := newStage(t)
	up, hold := s.fifo(), s.fifo()
	end := s.begin(sh("boot", fmt.Sprintf("echo one; echo $$ >%s; read x <%s; echo two", up, hold)))
	pid := s.pid(up)
	process := sh("process", fmt.Sprintf("echo $$ >%s; exec sleep 600", up))
	process.Kind = runners.Process
	if err := s.Start(s.ctx, process); err != nil {
		t.Fatal(err)
	}
	daemon := s.pid(up)
	s.killSupervisor()
	for _, id := range []string{"boot", "process"} {
		if state, err := s.Look(s.ctx, name(id)); err != nil || state.Phase != runners.Running {
			t.Errorf("Look %s = %+v, %v; want it running", id, state, err)
		}
	}
	if !alive(pid) || !alive(daemon) {
		t.Error("programs died with their supervisor")
	}
	if err := os.WriteFile(hold, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	o := end()
	s.want(o, runners.Lost, 0)
	if !strings.Contains(o.Reason, "supervisor") || !strings.Contains(o.Reason, "sh") {
		t.Errorf("reason = %q", o.Reason)
	}
	if o.out != "one\ntwo\n" {
		t.Errorf("output = %q, want all of it", o.out)
	}
	if err := s.Start(s.ctx, process); err != nil { // finds the one that runs
		t.Errorf("Start: %v", err)
	}
	if err := s.Stop(s.ctx, name("process"), process.Stop); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if alive(daemon) {
		t.Error("the process is alive after Stop")
	}
	if result, err := s.Wait(s.ctx, name("process")); err != nil || result.Outcome != runners.Stopped {
		t.Errorf("Wait = %+v, %v; want stopped", result, err)
	}
}

// Killed again and again, the supervisor neither runs a program twice nor loses one.
func TestSupervisorKilledAtAnyTime(t *testing.T) {
	s := newStage(t)
	const programs = 60
	results := make([]outcome, programs)
	var wg sync.WaitGroup
	for i := range programs {
		wg.Go(func() {
			p := sh(fmt.Sprintf("boot-%d", i), "echo $1 >>runs", fmt.Sprint(i))
			results[i].Result, results[i].err = s.Run(s.ctx, p)
		})
		if i%20 == 19 {
			if conn, err := s.runner.supervisor.connect(s.ctx); err == nil {
				syscall.Kill(conn.pid, syscall.SIGKILL)
			}
		}
	}
	wg.Wait()
	data, err := s.ReadFile(s.ctx, "service", "", "runs", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	ran := map[string]int{}
	for _, line := range strings.Fields(string(data)) {
		ran[line]++
	}
	for i, o := range results {
		n := ran[fmt.Sprint(i)]
		switch {
		case o.err != nil:
			t.Errorf("program %d: %v", i, o.err)
		case n > 1:
			t.Errorf("program %d ran %d times", i, n)
		case n == 0 && o.Outcome != runners.Lost:
			t.Errorf("program %d did not run, and its result is %+v", i, o.Result)
		case o.Outcome != runners.Lost && (o.Outcome != runners.Exited || o.Status != 0):
			t.Errorf("program %d: %+v", i, o.Result)
		}
	}
}

func TestTimeoutCountsFromTheStart(t *testing.T) {
	s := newStage(t)
	up := s.fifo()
	p := sh("boot", fmt.Sprintf("echo $$ >%s; exec sleep 600", up))
	p.Timeout = 5 * time.Second // a busy machine starts it and tells us before that
	end := s.begin(p)
	pid := s.pid(up)
	s.killSupervisor()
	o := end()
	s.want(o, runners.TimedOut, 0)
	if took := o.Ended.Sub(o.Started); took < p.Timeout {
		t.Errorf("it was ended %v after its start", took)
	}
	if alive(pid) {
		t.Error("the program is alive")
	}
}

// write makes records as a supervisor that is dead would have left them.
func (s *stage) write(lines ...any) {
	s.t.Helper()
	var text strings.Builder
	for _, line := range lines {
		data, ok := line.(string)
		if !ok {
			json, err := json.Marshal(line)
			if err != nil {
				s.t.Fatal(err)
			}
			data = string(json) + "\n"
		}
		text.WriteString(data)
	}
	dir := filepath.Join(s.env.Dir, "supervisor")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, supervisor.Records), []byte(text.String()), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) intent(boot string) records.Record {
	return records.Record{
		What: records.Intent, Service: "service", Name: "boot", At: time.Now(),
		Begun: &records.Begun{
			Kind: runners.Durable, Label: "boot.sh", Marker: marker + "=" + s.env.RunID + "/service/boot",
			Stop: runners.Stop{Signal: "SIGTERM", Grace: time.Second},
		},
		Process: &proc.Identity{Boot: boot},
	}
}

func start(id proc.Identity) records.Record {
	return records.Record{What: records.Start, Service: "service", Name: "boot", At: time.Now(), Process: &id}
}

// wantLost checks what Look and Run say of the program of fake records.
func (s *stage) wantLost(reason string) {
	s.t.Helper()
	state, err := s.Look(s.ctx, name("boot"))
	if err != nil || state.Phase != runners.Ended || state.Result.Outcome != runners.Lost {
		s.t.Errorf("Look = %+v, %v; want lost", state, err)
	}
	o := s.run(sh("boot", "touch ran-again"))
	s.want(o, runners.Lost, 0)
	if !strings.Contains(o.Reason, reason) || !strings.Contains(state.Result.Reason, reason) {
		s.t.Errorf("reasons = %q and %q, want %q", o.Reason, state.Result.Reason, reason)
	}
	if _, err := os.Stat(filepath.Join(s.WorkDir("service", ""), "ran-again")); err == nil {
		s.t.Error("the program ran again")
	}
}

// bystander is a process of its own group that nobody may harm.
func bystander(t *testing.T, env ...string) *exec.Cmd {
	cmd := exec.Command("sleep", "600")
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd
}

func TestReusedPID(t *testing.T) {
	s := newStage(t)
	other := bystander(t)
	id := proc.Identify(other.Process.Pid)
	id.Start-- // the program had this pid before
	s.write(s.intent(id.Boot), start(id))
	s.wantLost("was killed")
	if err := s.Stop(s.ctx, name("boot"), runners.Stop{Signal: "SIGTERM"}); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if err := s.Remove(s.ctx, "service"); err != nil {
		t.Errorf("Remove: %v", err)
	}
	if !alive(other.Process.Pid) {
		t.Error("the process that has the pid now was ended")
	}
}

func TestReboot(t *testing.T) {
	s := newStage(t)
	other := bystander(t)
	id := proc.Identify(other.Process.Pid)
	id.Boot = "another boot"
	s.write(s.intent(id.Boot), start(id))
	s.wantLost("rebooted")
	if err := s.Stop(s.ctx, name("boot"), runners.Stop{Signal: "SIGTERM"}); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if !alive(other.Process.Pid) {
		t.Error("a process of this boot was ended for one of another")
	}
}

// A supervisor that died between the fork and its record.
func TestIntentOnly(t *testing.T) {
	t.Run("not found", func(t *testing.T) {
		s := newStage(t)
		s.write(s.intent(proc.BootID()))
		s.wantLost("whether that ran is not known")
		before := s.runner.supervisor.running(s.ctx).pid
		if err := s.Stop(s.ctx, name("boot"), runners.Stop{Signal: "SIGTERM"}); err != nil {
			t.Errorf("Stop: %v", err)
		}
		if conn := s.runner.supervisor.running(s.ctx); conn == nil || conn.pid != before {
			t.Error("Stop of a program without a process ended the supervisor")
		}
	})
	t.Run("running", func(t *testing.T) {
		s := newStage(t)
		intent := s.intent(proc.BootID())
		s.write(intent)
		child := bystander(t, intent.Begun.Marker)
		state, err := s.Look(s.ctx, name("boot"))
		if err != nil || state.Phase != runners.Running || state.PID != child.Process.Pid {
			t.Errorf("Look = %+v, %v; want pid %d running", state, err, child.Process.Pid)
		}
		end := s.begin(sh("boot", "touch ran-again"))
		child.Process.Kill()
		child.Wait()
		s.want(end(), runners.Lost, 0)
	})
}

func TestDamagedRecords(t *testing.T) {
	for name_, text := range map[string]string{
		"garbage": "\x00\xffgarbage\n",
		"json":    "{\"what\":\"sing\",\"service\":\"a\",\"name\":\"b\"}\n",
		"orphan":  "{\"what\":\"end\",\"service\":\"a\",\"name\":\"b\",\"result\":{}}\n",
	} {
		t.Run(name_, func(t *testing.T) {
			s := newStage(t)
			s.write(s.intent(proc.BootID()), text)
			path := filepath.Join(s.env.Dir, "supervisor", supervisor.Records)
			before, _ := os.ReadFile(path)
			_, lookErr := s.Look(s.ctx, name("boot"))
			for what, err := range map[string]error{"Run": s.run(sh("boot", "true")).err, "Look": lookErr} {
				if err == nil || !strings.Contains(err.Error(), path+":2") {
					t.Errorf("%s: %v, want an error that names %s:2", what, err, path)
				}
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Error("the damaged records were changed")
			}
			os.Remove(path)
		})
	}
	t.Run("cut short", func(t *testing.T) { // by a full disk: never relied on
		s := newStage(t)
		s.write(s.intent("another boot"), `{"what":"start","serv`)
		s.wantLost("rebooted")
		s.again()
		s.wantLost("rebooted")
	})
}

// TestLateRequests lets what a dead launch asked for reach the supervisor after the next launch has come.
func TestLateRequests(t *testing.T) {
	s := newStage(t)
	s.want(s.run(sh("boot", "exit 1")), runners.Exited, 1) // it is connected
	env := s.env
	env.Turn = "second"
	second := &host{runner: newRunner(t, env)}
	defer second.runner.Close()
	up, hold := s.fifo(), s.fifo()
	running := sh("process", fmt.Sprintf("echo $$ >%s; read x <%s; exit 7", up, hold))
	if err := second.Start(s.ctx, running); err != nil {
		t.Fatal(err)
	}
	s.wait(up)
	for what, err := range map[string]error{
		"a start": s.Start(s.ctx, sh("late", "true")),
		"a stop":  s.Stop(s.ctx, running.ID, running.Stop),
		"an end":  s.Remove(s.ctx, ""),
	} {
		if err == nil || !strings.Contains(err.Error(), "another launch process works on this run") {
			t.Errorf("%s of the dead launch: %v", what, err)
		}
	}
	if err := os.WriteFile(hold, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	if res, err := second.Wait(s.ctx, running.ID); err != nil || res.Status != 7 {
		t.Errorf("the program of the living launch ended as %+v, %v", res, err)
	}
	s.again()
	s.want(s.run(sh("boot-2", "exit 2")), runners.Exited, 2) // the last to come counts
}

// A daemon that a boot program left is ended by a later supervisor too, however
// soon that program was over: as the one that killed its supervisor left the records.
func TestDaemonOfKilledSupervisor(t *testing.T) {
	leave := func(t *testing.T, s *stage) (daemon int) {
		up := s.fifo()
		s.want(s.run(sh("boot", "(echo $(sh -c 'echo $PPID') >$1; exec sleep 600) >/dev/null 2>&1 &", up)), runners.Exited, 0)
		return s.pid(up)
	}
	for what, damage := range map[string]func(lines []string) []string{
		"its end was recorded":     func(lines []string) []string { return lines },
		"its end was not recorded": func(lines []string) []string { return lines[:1] }, // the intent
	} {
		t.Run(what, func(t *testing.T) {
			s := newStage(t)
			daemon := leave(t, s)
			s.killSupervisor()
			path := filepath.Join(s.env.Dir, "supervisor", supervisor.Records)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Join(damage(strings.SplitAfter(string(data), "\n")), "")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			s.again()
			if err := s.Remove(s.ctx, ""); err != nil {
				t.Errorf("Remove: %v", err)
			}
			if alive(daemon) {
				t.Errorf("the daemon %d is alive after Remove", daemon)
				syscall.Kill(daemon, syscall.SIGKILL)
			}
		})
	}
}
