package ssh

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/launchplan/launch/internal/sshtest"
	"github.com/launchplan/launch/runners"
)

// startAgent serves keys until the test ends and returns its socket.
func startAgent(t testing.TB, keys ...any) string {
	t.Helper()
	ring := agent.NewKeyring()
	for _, k := range keys {
		if err := ring.Add(agent.AddedKey{PrivateKey: k}); err != nil {
			t.Fatal(err)
		}
	}
	return serveAgent(t, func(c net.Conn) { agent.ServeAgent(ring, c) })
}

func serveAgent(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { serve(c); c.Close() })
		}
	})
	return socket
}

// hungAgent takes requests and answers none.
func hungAgent(t testing.TB) string {
	return serveAgent(t, func(c net.Conn) { io.Copy(io.Discard, c) })
}

// A waitingAgent tells its keys, and signs when its operator touches one: never, or not with these.
type waitingAgent struct {
	agent.Agent
	touched <-chan struct{}
}

func (a waitingAgent) Sign(ssh.PublicKey, []byte) (*ssh.Signature, error) {
	<-a.touched
	return nil, errors.New("not touched")
}

func startWaitingAgent(t testing.TB, touched <-chan struct{}, key any) string {
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	return serveAgent(t, func(c net.Conn) { agent.ServeAgent(waitingAgent{ring, touched}, c) })
}

func TestCredentials(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	private, public := newKey(t)
	write(t, filepath.Join(s.Dir, "authorized_keys"), authorizedKey(s.Signer.PublicKey())+"\n"+authorizedKey(public)+"\n")
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	locked := write(t, filepath.Join(t.TempDir(), "locked"), string(pem.EncodeToMemory(block)))
	stranger, _ := newKey(t)
	with := startAgent(t, private)
	yes := true
	for _, c := range []struct {
		name  string
		edit  func(*Config)
		agent string
		want  string // of the error; empty: it connects
	}{
		{"agent", func(c *Config) { c.IdentityFile, c.Agent = "", &yes }, with, ""},
		{"no agent", func(c *Config) { c.IdentityFile = "" }, with, "no key"},
		{"stale agent", func(c *Config) { c.Agent = &yes }, "/no/such/socket", ""},
		{"locked, in the agent", func(c *Config) { c.IdentityFile, c.Agent = locked, &yes }, with, ""},
		{"locked", func(c *Config) { c.IdentityFile = locked }, "", "ssh-add " + locked},
		{"missing", func(c *Config) { c.IdentityFile = "~/none" }, "", "none does not exist"},
		{"garbage", func(c *Config) { c.IdentityFile = s.KnownHosts }, "", s.KnownHosts},
		{"hung agent that is not needed", func(c *Config) { c.Agent = &yes }, hungAgent(t), ""},
		{"refused", func(c *Config) { c.IdentityFile, c.Agent = "", &yes }, startAgent(t, stranger), "refuses to log in"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, env := configFor(s), envFor(t)
			c.edit(&config)
			env.Environ = append(env.Environ, "SSH_AUTH_SOCK="+c.agent)
			err := reach(t, config, env, "127.0.0.1")
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("Connect: %v; want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

// TestSilentAgent: an agent that takes requests and does not answer holds up neither an attempt to connect nor the runner's end.
func TestSilentAgent(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	private, public := newKey(t)
	write(t, filepath.Join(s.Dir, "authorized_keys"), authorizedKey(public)+"\n")
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	locked := write(t, filepath.Join(t.TempDir(), "locked"), string(pem.EncodeToMemory(block)))
	untouched := make(chan struct{})
	waiting := startWaitingAgent(t, untouched, private)
	t.Cleanup(func() { close(untouched) })
	for _, c := range []struct{ name, identity, agent string }{
		{"while it lists", "", hungAgent(t)},
		{"while it lists, for a locked file", locked, hungAgent(t)},
		{"while it signs", "", waiting},
		{"while it signs for a locked file", locked, waiting},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, env := configFor(s), envFor(t)
			config.IdentityFile, config.Agent, config.ConnectTimeout = c.identity, nil, Duration(300*time.Millisecond)
			env.Environ = append(env.Environ, "SSH_AUTH_SOCK="+c.agent)
			told := make(chan string, 10)
			env.Note = func(_, text string) { told <- text }
			r := runnerFor(t, config, env)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() { _, err := r.Connect(ctx, runners.Target{Service: "web", Host: "127.0.0.1"}); ended <- err }()
			if text := <-told; !strings.Contains(text, "ssh-agent") || !strings.Contains(text, "does not answer") || !strings.Contains(text, c.agent) {
				t.Errorf("the operator is told %q", text)
			}
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("Connect: %v", err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	// An agent that is asked and refuses is believed at once.
	touched := make(chan struct{})
	close(touched)
	config, env := configFor(s), envFor(t)
	config.IdentityFile, config.Agent = "", nil
	env.Environ = append(env.Environ, "SSH_AUTH_SOCK="+startWaitingAgent(t, touched, private))
	if err := reach(t, config, env, "127.0.0.1"); err == nil || !strings.Contains(err.Error(), "does not sign") {
		t.Errorf("Connect with an agent that refuses to sign: %v", err)
	}
}

// TestSeveralKeys: a host may want two keys, and may end a login that offers it too many.
func TestSeveralKeys(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{Config: []string{"AuthenticationMethods publickey,publickey"}})
	private, public := newKey(t)
	stranger, _ := newKey(t)
	write(t, filepath.Join(s.Dir, "authorized_keys"), authorizedKey(s.Signer.PublicKey())+"\n"+authorizedKey(public)+"\n")
	env := envFor(t)
	env.Environ = append(env.Environ, "SSH_AUTH_SOCK="+startAgent(t, stranger, private))
	defaultKey(t, s, env)
	config := configFor(s)
	config.IdentityFile, config.Agent = "", nil
	if err := reach(t, config, env, "127.0.0.1"); err != nil {
		t.Errorf("Connect to a host that wants two keys: %v", err)
	}
}

// defaultKey makes the server's key the one that ssh uses where nothing is said.
func defaultKey(t *testing.T, s *sshtest.Server, env runners.Env) {
	data, err := os.ReadFile(s.Identity)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(runnerFor(t, Config{}, env).home(), ".ssh", "id_ed25519"), string(data))
}

// TestDefaultKey: a machine for which another runner gives no key is logged in to with ~/.ssh/id_*, and so is one on the way.
func TestDefaultKey(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{Address: "0.0.0.0"})
	env, config := envFor(t), configFor(s)
	config.IdentityFile = ""
	defaultKey(t, s, env)
	end := Endpoint{Address: "127.0.0.1", Via: []Endpoint{{Address: "127.0.0.2", Port: s.Port, User: s.User}}}
	if _, err := runnerFor(t, config, env).ConnectTo(t.Context(), end, "db"); err != nil {
		t.Errorf("ConnectTo: %v", err)
	}
	end.Signers = []ssh.Signer{s.Signer}
	if _, err := runnerFor(t, config, envFor(t)).ConnectTo(t.Context(), end, "db"); err == nil || !strings.Contains(err.Error(), "no key to log in to 127.0.0.2") {
		t.Errorf("ConnectTo where there is no key for the host on the way: %v", err)
	}
}

// TestTooManyKeys: an sshd that has seen enough keys is not asked again and again.
func TestTooManyKeys(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{Config: []string{"MaxAuthTries 2"}})
	var strangers []any
	for range 4 {
		private, _ := newKey(t)
		strangers = append(strangers, private)
	}
	config, env := configFor(s), envFor(t)
	config.IdentityFile, config.Agent = "", nil
	env.Environ = append(env.Environ, "SSH_AUTH_SOCK="+startAgent(t, strangers...))
	if err := reach(t, config, env, "127.0.0.1"); err == nil || !strings.Contains(err.Error(), "identity_file") || !strings.Contains(err.Error(), "which are 4") {
		t.Errorf("Connect: %v; want an error that says to name one key", err)
	}
	r := runnerFor(t, config, env)
	ctx, cancel := contextFor(t, 1)
	defer cancel()
	_, err := r.ConnectTo(ctx, Endpoint{Address: "127.0.0.1", Booting: true}, "db")
	if !isUnreachable(err) || !strings.Contains(err.Error(), "identity_file") {
		t.Errorf("ConnectTo a machine that is just being made: %v; want that it is waited for", err)
	}
}

// TestAliases reaches a host as ~/.ssh/config says, in its ways of saying it.
func TestAliases(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{Address: "0.0.0.0"})
	env := envFor(t)
	r := runnerFor(t, Config{}, env)
	home := r.home()
	write(t, filepath.Join(home, ".ssh", "conf.d", "rack"), "Host rack-*\n  User "+s.User+"\n  IdentityFile "+s.Identity+"\n  UserKnownHostsFile "+s.KnownHosts+"\n")
	write(t, filepath.Join(home, ".ssh", "config"), fmt.Sprintf(`
Match exec "true"
  User mallory
Host rack-1
  HostName 127.0.0.1
  Include conf.d/*
  Port %d
Host rack-2
  HostName 127.0.0.2
  ProxyJump rack-1
Include ~/.ssh/conf.d/*
Host rack-*
  Port %[1]d
  StrictHostKeyChecking no
Host round
  ProxyJump round
Host odd
  ProxyCommand nc %%h %%p
`, s.Port))
	for _, alias := range []string{"rack-1", "rack-2"} {
		h, err := r.Connect(t.Context(), runners.Target{Service: "web", Host: alias})
		if err != nil {
			t.Fatalf("Connect %s: %v", alias, err)
		}
		if got := run(t, h, program("boot-1", "echo here")); got != "here\n" {
			t.Errorf("%s: output = %q", alias, got)
		}
	}
	for alias, want := range map[string]string{"round": "circle", "odd": "ProxyCommand", "-oProxyCommand=x": "not a host", "rack\x1b2": "not a host", "ra\u202eck": "not a host", "ra[ck": "alone", "": "no host", "127.0.0.1:2222": "its port with port", "[::1]:2222": "its port with port", "[rack]": "alone"} {
		if _, err := r.Connect(t.Context(), runners.Target{Service: "web", Host: alias}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Connect %q: %v; want an error with %q", alias, err, want)
		}
	}
	for _, name := range []string{"::1", "[::1]"} {
		if end, err := r.resolve(name); err != nil || end.Address != "::1" {
			t.Errorf("resolve %s = %q, %v; want ::1", name, end.Address, err)
		}
	}
	// StrictHostKeyChecking no must not weaken launch.
	write(t, s.KnownHosts, "")
	if err := reach(t, Config{}, env, "rack-1"); err == nil || !strings.Contains(err.Error(), "not known") {
		t.Errorf("Connect with StrictHostKeyChecking no: %v", err)
	}
}

// TestJumps goes through several hosts.
func TestJumps(t *testing.T) {
	first, second, last := sshtest.Start(t, sshtest.Options{}), sshtest.Start(t, sshtest.Options{}), sshtest.Start(t, sshtest.Options{})
	r := runnerFor(t, configFor(last), envFor(t))
	via := func(s *sshtest.Server) Endpoint {
		return Endpoint{Address: "127.0.0.1", Port: s.Port, User: s.User, Signers: []ssh.Signer{s.Signer}, HostKeys: []ssh.PublicKey{s.HostKey}}
	}
	end := via(last)
	end.Via = []Endpoint{via(first), via(second)}
	h, err := r.ConnectTo(t.Context(), end, "db")
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, h, program("boot-1", "echo $SSH_CONNECTION")); !strings.HasSuffix(got, fmt.Sprintf(" %d\n", last.Port)) {
		t.Errorf("SSH_CONNECTION = %q, want that of the last host", got)
	}
	end.Address = "127.0.0.2"
	second.Stop()
	gone := runnerFor(t, Config{ConnectTimeout: configFor(last).ConnectTimeout / 10, Agent: configFor(last).Agent}, envFor(t))
	ctx, cancel := contextFor(t, 2)
	defer cancel()
	if _, err := gone.ConnectTo(ctx, end, "db"); err == nil || !strings.Contains(err.Error(), "through 127.0.0.1") {
		t.Errorf("ConnectTo through a host that is away: %v", err)
	}
}
