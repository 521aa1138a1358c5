package proc

import (
	"os"
	"os/exec"
	"testing"
)

func TestIdentity(t *testing.T) {
	cmd := exec.Command("sleep", "600")
	cmd.Env = []string{"MARK=here"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	id := Identify(cmd.Process.Pid)
	if !id.Alive() || id.Age() < 0 {
		t.Errorf("%+v is not alive", id)
	}
	other := id
	other.Start++
	if other.Alive() {
		t.Error("a process is taken for one that began at another time")
	}
	other = id
	other.Boot = "another"
	if other.Alive() {
		t.Error("a process is taken for one of another boot")
	}
	has, known := HasVariable(cmd.Process.Pid, "MARK=here")
	for !known { // the kernel has not laid out the new program yet
		has, known = HasVariable(cmd.Process.Pid, "MARK=here")
	}
	if !has {
		t.Error("the variable was not found")
	}
	if has, _ := HasVariable(cmd.Process.Pid, "MARK=her"); has {
		t.Error("a part of a variable counts")
	}
	cmd.Process.Kill()
	var zombie Process
	for zombie, _ = Find(id.PID); !zombie.Zombie; zombie, _ = Find(id.PID) { // until the kernel has ended it
	}
	if id.Alive() {
		t.Error("a zombie counts as alive")
	}
	cmd.Wait()
	if id.Alive() {
		t.Error("a process that is gone counts as alive")
	}
	if self := Identify(os.Getpid()); !self.Alive() {
		t.Errorf("%+v, this process, is not alive", self)
	}
}

func FuzzParseStat(f *testing.F) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stat)
	f.Add([]byte("1 (a) b) c (d) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20"))
	f.Add([]byte(")"))
	f.Fuzz(func(t *testing.T, stat []byte) {
		if p, err := parseStat(7, stat); err == nil && p.PID != 7 {
			t.Errorf("parseStat = %+v", p)
		}
	})
}
