package ssh

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/launchplan/launch/internal/sshtest"
	"github.com/launchplan/launch/runners"
)

// bootScript is a boot program of 10 KB.
var bootScript = []byte("#!/bin/sh\n" + strings.Repeat("# "+strings.Repeat("x", 77)+"\n", 128) + "echo booted\n")

// addresses are those of n hosts, all of them one sshd.
func addresses(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("127.0.%d.%d", 1+i/250, 1+i%250)
	}
	return list
}

func benchServer(b testing.TB) *sshtest.Server {
	return sshtest.Start(b, sshtest.Options{Address: "0.0.0.0", Config: []string{"MaxStartups 2000", "Subsystem sftp internal-sftp"}})
}

// BenchmarkFiftyHosts sends a boot program of 10 KB to 50 hosts, runs it there
// and then a check: launch, the raw library with one connection and two sessions
// per host, and OpenSSH's client with a shared connection. What counts is the ratio.
func BenchmarkFiftyHosts(b *testing.B) {
	s := benchServer(b)
	hosts := addresses(50)
	times := make(map[string][]float64)
	measure := func(name string, work func()) {
		start := time.Now()
		work()
		times[name] = append(times[name], time.Since(start).Seconds())
	}
	for b.Loop() {
		measure("launch", func() { launchAll(b, s, hosts) })
		measure("raw", func() { rawAll(b, s, hosts) })
		if _, err := exec.LookPath("ssh"); err == nil {
			measure("openssh", func() { opensshAll(b, s, hosts) })
		}
		if _, err := exec.LookPath("ansible"); err == nil {
			measure("ansible", func() { ansibleAll(b, s, hosts) })
		}
	}
	for name, t := range times {
		slices.Sort(t)
		b.ReportMetric(t[len(t)/2], name+"-s")
	}
	ratios := make([]float64, len(times["raw"]))
	for i := range ratios {
		ratios[i] = times["launch"][i] / times["raw"][i]
	}
	b.ReportMetric(ratios[len(ratios)/2], "launch/raw")
	b.ReportMetric(0, "ns/op")
}

func launchAll(b testing.TB, s *sshtest.Server, hosts []string) {
	r, err := New(b.Context(), configFor(s), envFor(b))
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	var wg sync.WaitGroup
	for i, address := range hosts {
		wg.Go(func() { launchOne(b, r, fmt.Sprintf("web@%d", i), address) })
	}
	wg.Wait()
}

func launchOne(b testing.TB, r *Runner, service, address string) {
	h, err := r.Connect(b.Context(), runners.Target{Service: service, Host: address})
	if err != nil {
		b.Error(err)
		return
	}
	var out bytes.Buffer
	res, err := h.Run(b.Context(), &runners.Program{
		ID: runners.ID{Service: service, Name: "boot-1"}, Kind: runners.Durable, Output: &out, Timeout: 20 * time.Minute,
		Payload: &runners.Payload{Hash: "b00t", Entry: "boot.sh", Files: []runners.File{{Path: "boot.sh", Mode: 0o755, Content: bootScript}}},
	})
	if err != nil || res.Status != 0 || out.String() != "booted\n" {
		b.Errorf("boot on %s: %+v, %v, %q", address, res, err, out.String())
		return
	}
	res, err = h.Run(b.Context(), &runners.Program{
		ID: runners.ID{Service: service, Name: "ready-0-1"}, Kind: runners.Check, Argv: []string{"test", "-d", "."},
	})
	if err != nil || res.Status != 0 {
		b.Errorf("check on %s: %+v, %v", address, res, err)
	}
}

func rawAll(b testing.TB, s *sshtest.Server, hosts []string) {
	dir := b.TempDir()
	var wg sync.WaitGroup
	places := make(chan struct{}, maxHandshakes)
	for i, address := range hosts {
		wg.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			client, err := ssh.Dial("tcp", net.JoinHostPort(address, strconv.Itoa(s.Port)), &ssh.ClientConfig{
				User: s.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(s.Signer)}, HostKeyCallback: ssh.FixedHostKey(s.HostKey),
			})
			if err != nil {
				b.Error(err)
				return
			}
			defer client.Close()
			place := filepath.Join(dir, fmt.Sprint(i))
			for _, step := range []struct {
				command string
				in      []byte
			}{
				{"mkdir -p " + place + " && cd " + place + " && cat >boot.sh && chmod +x boot.sh && ./boot.sh", bootScript},
				{"cd " + place + " && test -d .", nil},
			} {
				session, err := client.NewSession()
				if err != nil {
					b.Error(err)
					return
				}
				session.Stdin = bytes.NewReader(step.in)
				if out, err := session.CombinedOutput(step.command); err != nil {
					b.Errorf("%v: %s", err, out)
				}
			}
		})
	}
	wg.Wait()
}

func opensshAll(b testing.TB, s *sshtest.Server, hosts []string) {
	dir, err := os.MkdirTemp("", "cm-") // a socket's path must be short
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(dir)
	boot := filepath.Join(dir, "boot.sh")
	if err := os.WriteFile(boot, bootScript, 0o700); err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	places := make(chan struct{}, maxHandshakes)
	for i, address := range hosts {
		wg.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			options := []string{"-F", "none", "-o", "ControlMaster=auto", "-o", fmt.Sprintf("ControlPath=%s/%d.s", dir, i), "-o", "ControlPersist=10",
				"-o", "UserKnownHostsFile=" + s.KnownHosts, "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR", "-i", s.Identity}
			place := filepath.Join(dir, fmt.Sprint(i))
			target := s.User + "@" + address
			remote := append(slices.Clone(options), "-p", strconv.Itoa(s.Port), target)
			for _, step := range [][]string{
				append(append([]string{"ssh"}, remote...), "mkdir -p "+place),
				append(append([]string{"scp"}, options...), "-q", "-P", strconv.Itoa(s.Port), boot, target+":"+place+"/boot.sh"),
				append(append([]string{"ssh"}, remote...), "cd "+place+" && ./boot.sh"),
				append(append([]string{"ssh"}, remote...), "cd "+place+" && test -d ."),
				append(append([]string{"ssh"}, options...), "-O", "exit", target),
			} {
				if out, err := exec.Command(step[0], step[1:]...).CombinedOutput(); err != nil {
					b.Errorf("%s: %v: %s", step, err, out)
				}
			}
		})
	}
	wg.Wait()
}

func ansibleAll(b testing.TB, s *sshtest.Server, hosts []string) {
	dir := b.TempDir()
	write(b, filepath.Join(dir, "boot.sh"), string(bootScript))
	inventory := write(b, filepath.Join(dir, "hosts"), strings.Join(hosts, "\n")+"\n")
	for _, step := range [][]string{{"-m", "script", "-a", filepath.Join(dir, "boot.sh")}, {"-m", "command", "-a", "test -d ."}} {
		cmd := exec.Command("ansible", append([]string{"all", "-i", inventory, "-f", "50", "-u", s.User, "--private-key", s.Identity,
			"-e", fmt.Sprintf("ansible_port=%d", s.Port), "--ssh-common-args", "-o UserKnownHostsFile=" + s.KnownHosts}, step...)...)
		cmd.Env = append(os.Environ(), "HOME="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Errorf("%v: %.1000s", err, out)
		}
	}
}

// BenchmarkThousandHosts boots a thousand hosts at once on one sshd and reports the
// memory that each costs launch while all are connected.
func BenchmarkThousandHosts(b *testing.B) {
	if os.Getenv("LAUNCH_LONG") == "" {
		b.Skip("takes a minute: set LAUNCH_LONG=1")
	}
	// Every host keeps an sshd process and a shell alive here: a few hundred fit a small machine's memory.
	n := 1000
	if v, err := strconv.Atoi(os.Getenv("LAUNCH_HOSTS")); err == nil {
		n = v
	}
	s := sshtest.Start(b, sshtest.Options{Address: "0.0.0.0"}) // with its own MaxStartups
	hosts := addresses(n)
	for b.Loop() {
		before := inUse()
		env := envFor(b)
		var notes sync.Map
		env.Note = func(_, text string) { notes.Store(text, true) }
		r, err := New(b.Context(), configFor(s), env)
		if err != nil {
			b.Fatal(err)
		}
		var wg sync.WaitGroup
		for i, address := range hosts {
			wg.Go(func() { launchOne(b, r, fmt.Sprintf("web@%d", i), address) })
		}
		wg.Wait()
		b.ReportMetric(float64(inUse()-before)/float64(n)/1024, "KiB/host")
		troubles := 0
		notes.Range(func(any, any) bool { troubles++; return true })
		b.ReportMetric(float64(troubles), "troubles")
		r.Close()
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/float64(n)*1000, "ms/host")
	b.ReportMetric(0, "ns/op")
}

func inUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
