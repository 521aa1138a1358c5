// Package sshtest starts private OpenSSH servers for tests: on loopback
// addresses, with host and user keys of their own, and a home of their own.
package sshtest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// Options of a Server.
type Options struct {
	Address string   // to listen on; empty: 127.0.0.1. "0.0.0.0" answers every address in 127.0.0.0/8
	Config  []string // more lines of sshd_config, but for SetEnv, of which sshd takes only one
	Env     []string // more variables that sessions have: NAME=VALUE
	Shell   string   // what runs commands instead of the user's login shell, as in SHELL -c COMMAND
	Sh      string   // what stands in for /bin/sh: "busybox sh", "bash"
	Path    string   // the PATH of programs; empty: that of the test
	Inside  []string // a command that runs sshd in surroundings of its own: ip netns exec NAME; "KEEP" in it becomes the server's folder
	Home    string   // the user's home; empty: a new folder
}

// A Server is an sshd that a test started.
type Server struct {
	Address    string
	Port       int
	User       string // who can log in: the user who runs the test
	Home       string // that user's home there
	Identity   string // file of the key to log in with
	Signer     ssh.Signer
	HostKey    ssh.PublicKey
	KnownHosts string // file that knows the host key under every address
	Dir        string

	t       testing.TB
	inside  []string
	mu      sync.Mutex
	cmd     *exec.Cmd
	stopped bool
}

// Missing skips a test that needs what this machine does not have; where CI is
// set everything is there, and a test that does not run is a failure.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is missing, and CI must test with it", what)
	}
	t.Skipf("%s is missing", what)
}

// Need returns the path of a command, or skips the test.
func Need(t testing.TB, command string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		name := filepath.Join(dir, command)
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return name
		}
	}
	Missing(t, command)
	return ""
}

// NeedRoot skips a test that only root can make.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		Missing(t, "the right to do what only root may")
	}
}

// Start starts a server that is stopped, with all its connections, when the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	sshd := Need(t, "sshd")
	me, err := user.Current()
	must(t, err)
	dir := tempDir(t)
	s := &Server{Address: o.Address, User: me.Username, Home: o.Home, Dir: dir, t: t, inside: o.Inside}
	if s.Address == "" {
		s.Address = "127.0.0.1"
	}
	if s.Home == "" {
		s.Home = filepath.Join(dir, "home")
		must(t, os.MkdirAll(s.Home, 0o700))
	}
	s.Port = freePort(t)
	_, host := s.key("host_key")
	s.HostKey = host.PublicKey()
	s.Identity, s.Signer = s.key("id")
	must(t, os.WriteFile(filepath.Join(dir, "authorized_keys"), ssh.MarshalAuthorizedKey(s.Signer.PublicKey()), 0o600))
	s.KnownHosts = filepath.Join(dir, "known_hosts")
	must(t, os.WriteFile(s.KnownHosts, []byte(fmt.Sprintf("[*]:%d,* %s", s.Port, ssh.MarshalAuthorizedKey(s.HostKey))), 0o600))
	path := o.Path
	if path == "" {
		path = os.Getenv("PATH")
	}
	lines := []string{
		"HostKey " + dir + "/host_key",
		"AuthorizedKeysFile " + dir + "/authorized_keys",
		"PidFile " + dir + "/pid",
		"StrictModes no", "UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication no",
		"PrintMotd no", "PrintLastLog no", "LogLevel INFO",
		fmt.Sprintf("SetEnv HOME=%s PATH=%s %s", s.Home, path, strings.Join(o.Env, " ")),
	}
	if o.Shell != "" || o.Sh != "" {
		lines = append(lines, "ForceCommand "+s.force(o))
	}
	lines = append(o.Config, lines...) // sshd takes the first value of each
	if os.Getuid() == 0 {
		must(t, os.MkdirAll("/run/sshd", 0o755)) // where sshd locks itself up before the login
	}
	lines = append(lines, fmt.Sprintf("ListenAddress %s:%d", s.Address, s.Port))
	must(t, os.WriteFile(filepath.Join(dir, "sshd_config"), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	s.start(sshd)
	t.Cleanup(s.Stop)
	return s
}

// force writes the command that stands between sshd and what a client asks for.
func (s *Server) force(o Options) string {
	shell := o.Shell
	if shell == "" {
		shell = "/bin/sh"
	}
	text := "#!/bin/sh\ncommand=$SSH_ORIGINAL_COMMAND\n"
	if o.Sh != "" {
		text += "command=$(printf '%s' \"$command\" | /bin/sed 's#/bin/sh#" + o.Sh + "#')\n"
	}
	text += "unset SSH_ORIGINAL_COMMAND\nexec " + shell + " -c \"$command\"\n"
	name := filepath.Join(s.Dir, "force")
	must(s.t, os.WriteFile(name, []byte(text), 0o700))
	return name
}

// key makes a key pair and returns the private half's file.
func (s *Server) key(name string) (string, ssh.Signer) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(s.t, err)
	block, err := ssh.MarshalPrivateKey(private, name)
	must(s.t, err)
	file := filepath.Join(s.Dir, name)
	must(s.t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	signer, err := ssh.NewSignerFromKey(private)
	must(s.t, err)
	return file, signer
}

func (s *Server) start(sshd string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	inside := slices.Clone(s.inside)
	if i := slices.Index(inside, "KEEP"); i >= 0 {
		inside[i] = s.Dir
	}
	args := append(inside, sshd, "-D", "-e", "-f", filepath.Join(s.Dir, "sshd_config"))
	s.cmd = exec.Command(args[0], args[1:]...)
	ready, log, err := os.Pipe()
	must(s.t, err)
	logFile, err := os.OpenFile(filepath.Join(s.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(s.t, err)
	s.cmd.Stderr = log
	s.cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(s.t, s.cmd.Start())
	log.Close()
	listening := make(chan bool, 1)
	go func() { // ends with sshd and all its connections
		defer ready.Close()
		defer logFile.Close()
		buf, told := make([]byte, 4096), false
		for {
			n, err := ready.Read(buf)
			logFile.Write(buf[:n])
			if !told && bytes.Contains(buf[:n], []byte("Server listening")) {
				told = true
				listening <- true
			}
			if err != nil {
				if !told {
					listening <- false
				}
				return
			}
		}
	}()
	select {
	case ok := <-listening:
		if !ok {
			s.cmd.Wait()
			text, _ := os.ReadFile(filepath.Join(s.Dir, "log"))
			s.t.Fatalf("sshd did not start:\n%s", text)
		}
	case <-time.After(20 * time.Second):
		s.t.Fatal("sshd did not begin to listen")
	}
	s.stopped = false
}

// Stop ends sshd and every connection to it. Programs that were started go on.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.stopped = true
	s.signal(syscall.SIGCONT)
	s.signal(syscall.SIGKILL)
	s.cmd.Wait()
}

// Restart is Stop, then the same server again.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.Again()
}

// Again starts a stopped server.
func (s *Server) Again() {
	s.t.Helper()
	s.start(Need(s.t, "sshd"))
}

// Cut ends every connection; the server goes on to listen.
func (s *Server) Cut() {
	for _, pid := range s.daemons() {
		if pid != s.cmd.Process.Pid {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// Suspend freezes the server and its connections; Resume lets them go on.
func (s *Server) Suspend() { s.signal(syscall.SIGSTOP) }

// Resume ends a Suspend.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	for _, pid := range s.daemons() {
		syscall.Kill(pid, sig)
	}
}

// daemons are the listening sshd and those that serve a connection, but not what these started.
func (s *Server) daemons() []int {
	root := s.cmd.Process.Pid // what it runs inside of has become it
	parents := make(map[int][]int)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		data, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
		if open < 0 || end < 0 || !bytes.HasPrefix(data[open+1:end], []byte("sshd")) {
			continue
		}
		fields := strings.Fields(string(data[end+1:]))
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		parent, _ := strconv.Atoi(fields[1])
		parents[parent] = append(parents[parent], pid)
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, parents[all[i]]...)
	}
	return all
}

// RebootCommand is a command for the host that does what a reboot does to
// connections: all end, and new ones are possible again a moment later.
func (s *Server) RebootCommand() string {
	name := filepath.Join(s.Dir, "reboot")
	text := fmt.Sprintf(`#!/bin/sh
# Ends the sshd processes that serve a connection; the one that listens goes on.
listener=$(cat %s/pid)
for each in $(pgrep -P "$listener"); do
	kill -9 $(pgrep -P "$each" -x sshd) "$each"
done
`, s.Dir)
	must(s.t, os.WriteFile(name, []byte(text), 0o700))
	return "setsid " + name + " >/dev/null 2>&1 </dev/null &"
}

// tempDir is like t.TempDir, but with a short name, and without an error where a
// program that outlives the test still writes there.
func tempDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "sshtest-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func freePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
