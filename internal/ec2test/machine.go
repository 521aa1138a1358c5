package ec2test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// marker is the environment variable by which a machine's processes are known:
// a program that makes a session of its own still belongs to its machine.
const marker = "EC2TEST_INSTANCE"

// A machine is what an instance runs on: addresses with an SSH server, a home
// directory, and processes that end with it.
type machine struct {
	id         string
	dir        string // its file system: home, and what write_files writes
	addresses  []string
	metadata   string // the URL under which it finds its own metadata
	userData   []byte
	authorized []ssh.PublicKey
	openSSH    bool
	reaper     *reaper
	login      func() // counts one
	changes    *changes
	console    console

	off      context.CancelFunc
	restart  chan time.Duration
	hangs    chan struct{}
	answers  atomic.Bool
	hostKey  ssh.Signer // set by the first boot
	hostPEM  []byte
	programs sync.WaitGroup // of user data
}

// newMachine starts the life of an instance's machine. The caller holds s.mu.
func (s *Server) newMachine(i *instance, after time.Duration) *machine {
	m := &machine{
		id: i.id, dir: filepath.Join(s.opt.Root, i.id), metadata: s.URL + metadataPath + i.id, userData: i.userData, openSSH: s.opt.OpenSSH,
		reaper: &s.reaper, login: s.login, changes: &s.changes, console: console{changes: &s.changes}, restart: make(chan time.Duration, 1), hangs: make(chan struct{}, 1),
	}
	for _, a := range []netip.Addr{i.private, i.public} {
		if a.IsValid() {
			m.addresses = append(m.addresses, net.JoinHostPort(a.String(), strconv.Itoa(s.SSHPort)))
		}
	}
	if k := s.keys[i.key]; k != nil {
		m.authorized = append(m.authorized, k.public)
	}
	ctx, off := context.WithCancel(s.ctx)
	m.off = off
	s.machines.Go(func() { m.live(ctx, after) })
	return m
}

func (s *Server) login() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Logins++
}

func (m *machine) powerOff() { m.off() }

func (m *machine) reachable() bool { return m.answers.Load() }

// hang stops the machine from answering until it is rebooted; its processes go on.
func (m *machine) hang() {
	select {
	case m.hangs <- struct{}{}:
	default: // it is about to
	}
}

func (m *machine) reboot(after time.Duration) {
	select {
	case m.restart <- after:
	default: // it is on its way down already
	}
}

// live boots the machine after a time, and again after each reboot, until its
// power goes. Whatever runs on it then ends.
func (m *machine) live(ctx context.Context, after time.Duration) {
	defer func() {
		m.reaper.end(m.id, filepath.Dir(m.dir))
		m.programs.Wait()
		os.RemoveAll(m.dir)
		m.changes.tell()
	}()
	for first := true; ; first = false {
		select {
		case <-time.After(after):
		case <-ctx.Done():
			return
		}
		down, err := m.boot(ctx, first)
		if err != nil {
			m.console.printf("boot: %v\n", err)
			down = func() {}
		}
		m.answers.Store(err == nil)
		m.changes.tell()
		again := false
		select {
		case <-ctx.Done():
		case <-m.hangs:
			m.answers.Store(false)
			down()
			down = func() {}
			select {
			case <-ctx.Done():
			case after = <-m.restart:
				again = true
			}
		case after = <-m.restart:
			again = true
		}
		m.answers.Store(false)
		down()
		if !again {
			return
		}
		m.reaper.end(m.id, filepath.Dir(m.dir))
	}
}

// boot does what cloud-init does, in its order: host keys, files, the SSH
// server, then the user's programs (on the first boot), which nobody waits for.
func (m *machine) boot(ctx context.Context, first bool) (down func(), err error) {
	if err := os.MkdirAll(m.home(), 0o700); err != nil {
		return nil, err
	}
	data, err := readUserData(m.userData)
	if err != nil {
		// cloud-init goes on without user data that it cannot read.
		m.console.printf("cloud-init: %v\n", err)
	}
	if first {
		if err := m.makeHostKey(data); err != nil {
			return nil, err
		}
		for _, f := range data.files {
			if err := m.writeFile(f); err != nil {
				m.console.printf("cloud-init: write_files: %v\n", err)
			}
		}
	}
	for _, line := range data.authorized {
		if key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line)); err == nil {
			m.authorized = append(m.authorized, key)
		}
	}
	if m.openSSH {
		down, err = m.startOpenSSH(ctx)
	} else {
		down, err = m.serveSSH()
	}
	if err == nil && first {
		m.programs.Go(func() { m.runUserPrograms(data.programs) })
	}
	return down, err
}

func (m *machine) home() string { return filepath.Join(m.dir, "home") }

// makeHostKey takes the host key from user data, or makes one as an image
// does on its first boot, and prints it on the console.
func (m *machine) makeHostKey(data userData) error {
	m.hostPEM = data.hostKey
	if len(m.hostPEM) == 0 {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		if m.hostPEM, err = marshalPrivate(private); err != nil {
			return err
		}
	}
	signer, err := ssh.ParsePrivateKey(m.hostPEM)
	if err != nil {
		return fmt.Errorf("the host key of the user data: %w", err)
	}
	m.hostKey = signer
	public := signer.PublicKey()
	m.console.printf("ci-info: no authorized SSH keys fingerprints found for user nobody.\n"+
		"<14>cloud-init: #############################################################\n"+
		"<14>cloud-init: -----BEGIN SSH HOST KEY FINGERPRINTS-----\n"+
		"<14>cloud-init: 256 %s root@%s (ED25519)\n"+
		"<14>cloud-init: -----END SSH HOST KEY FINGERPRINTS-----\n"+
		"-----BEGIN SSH HOST KEY KEYS-----\n%s root@%s\n-----END SSH HOST KEY KEYS-----\n",
		ssh.FingerprintSHA256(public), m.id, trimmedKey(public), m.id)
	return nil
}

// writeFile writes below the machine's own root, whatever path it is given.
func (m *machine) writeFile(f userFile) error {
	path := filepath.Join(m.dir, filepath.Join("/", f.path))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, f.content, f.mode)
}

// runUserPrograms runs them one after the other, their output on the console.
func (m *machine) runUserPrograms(programs []userProgram) {
	for _, p := range programs {
		if p.script != nil {
			path := filepath.Join(m.dir, p.name)
			if err := os.WriteFile(path, p.script, 0o700); err != nil {
				m.console.printf("cloud-init: %v\n", err)
				continue
			}
			p.argv = []string{path}
		}
		cmd := m.command(p.argv[0], p.argv[1:]...)
		cmd.Env = append(cmd.Env, "AWS_EC2_METADATA_SERVICE_ENDPOINT="+m.metadata)
		cmd.Dir = m.dir
		cmd.Stdout, cmd.Stderr = &m.console, &m.console
		cmd.WaitDelay = time.Second // a daemon of the program may keep its output open
		if err := cmd.Run(); err != nil {
			m.console.printf("cloud-init: %s: %v\n", p.name, err)
		}
	}
	m.console.printf("Cloud-init finished\n")
}

// Running tells the processes that run on machines of the endpoint, and on which.
func (s *Server) Running() map[int]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[int]string{}
	for _, p := range processes() {
		if id := p.variable(marker); s.instances[id] != nil {
			found[p.pid] = id
		}
	}
	return found
}

// environment is what a login on the machine has.
func (m *machine) environment() []string {
	return []string{
		"HOME=" + m.home(), "USER=" + os.Getenv("USER"), "LOGNAME=" + os.Getenv("USER"), "SHELL=/bin/sh",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
		marker + "=" + m.id,
	}
}

// console keeps the last 64 KB, as the real one does.
type console struct {
	changes *changes
	mu      sync.Mutex
	text    []byte
}

const consoleSize = 64 << 10

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.changes.tell()
	defer c.mu.Unlock()
	c.text = append(c.text, p...)
	if over := len(c.text) - consoleSize; over > 0 {
		c.text = append([]byte(nil), c.text[over:]...)
	}
	return len(p), nil
}

func (c *console) printf(format string, args ...any) { fmt.Fprintf(c, format, args...) }

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.text)
}
