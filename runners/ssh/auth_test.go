package ssh

import (
	"encoding/pem"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

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
			wg.Go(func() { agent.ServeAgent(ring, c); c.Close() })
		}
	})
	return socket
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
	for alias, want := range map[string]string{"round": "circle", "odd": "ProxyCommand", "-oProxyCommand=x": "not a host", "": "no host"} {
		if _, err := r.Connect(t.Context(), runners.Target{Service: "web", Host: alias}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Connect %q: %v; want an error with %q", alias, err, want)
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
	h, err := r.ConnectTo(t.Context(), end)
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
	if _, err := gone.ConnectTo(ctx, end); err == nil || !strings.Contains(err.Error(), "through 127.0.0.1") {
		t.Errorf("ConnectTo through a host that is away: %v", err)
	}
}
