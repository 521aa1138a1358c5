package ssh

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/launchplan/launch/internal/sshtest"
	"github.com/launchplan/launch/runners"
)

func newKey(t testing.TB) (ed25519.PrivateKey, ssh.PublicKey) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return private, public
}

func write(t testing.TB, name, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestHostKeys(t *testing.T) {
	// An ecdsa key beside the ed25519 one: a host with several keys is not "changed" for one who knows the other.
	ecdsa := filepath.Join(t.TempDir(), "ecdsa")
	if out, err := exec.Command(sshtest.Need(t, "ssh-keygen"), "-q", "-t", "ecdsa", "-N", "", "-f", ecdsa).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ecdsaPublic, err := os.ReadFile(ecdsa + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	s := sshtest.Start(t, sshtest.Options{Config: []string{"HostKey " + ecdsa}})
	address := fmt.Sprintf("[127.0.0.1]:%d", s.Port)
	right := authorizedKey(s.HostKey)
	_, wrongKey := newKey(t)
	wrong := authorizedKey(wrongKey)
	hashed := knownhosts.HashHostname(fmt.Sprintf("[127.0.0.1]:%d", s.Port))
	for _, c := range []struct {
		name   string
		known  string // known_hosts
		config Config
		want   []string // words of the error; none: it connects
	}{
		{name: "known", known: address + " " + right},
		{name: "hashed", known: hashed + " " + right},
		{name: "among others", known: address + " " + wrong + "\n" + address + " " + right},
		{name: "only the ecdsa key is known", known: address + " " + string(ecdsaPublic)},
		{name: "with a line of tomorrow", known: "# mine\n" + address + " ssh-quantum AAAA\n\x00\xff garbage\n" + address + " " + right},
		{name: "unknown", known: "", want: []string{"not known", ssh.FingerprintSHA256(s.HostKey), "accept-new", "host_key"}},
		{name: "another key on the standard port", known: "127.0.0.1 " + wrong, want: []string{"not known"}},
		{name: "another key on the standard port, and new ones are accepted", known: "127.0.0.1 " + wrong, config: Config{HostKeyPolicy: "accept-new"}},
		{name: "an authority, but no certificate", known: "@cert-authority " + address + " " + wrong, want: []string{"not known", ssh.FingerprintSHA256(s.HostKey)}},
		{name: "an authority, but no certificate, and new ones are accepted", known: "@cert-authority " + address + " " + wrong, config: Config{HostKeyPolicy: "accept-new"}},
		{name: "changed", known: address + " " + wrong, want: []string{"has changed", "known_hosts:1", ssh.FingerprintSHA256(wrongKey), "/known_hosts\" -R "}},
		{name: "changed, and new ones are accepted", known: address + " " + wrong, config: Config{HostKeyPolicy: "accept-new"}, want: []string{"has changed"}},
		{name: "revoked", known: address + " " + right + "\n@revoked * " + right, want: []string{"revoked", "known_hosts:2"}},
		{name: "revoked, and new ones are accepted", known: "@revoked * " + right, config: Config{HostKeyPolicy: "accept-new"}, want: []string{"revoked"}},
		{name: "a revoked key that cannot be read", known: address + " " + right + "\n@revoked * ssh-quantum AAAA", want: []string{"known_hosts:2"}},
		{name: "accepted", config: Config{HostKeyPolicy: "accept-new"}},
		{name: "in the plan", config: Config{HostKey: right}},
		{name: "another in the plan", known: address + " " + right, config: Config{HostKey: wrong}, want: []string{"has changed", "plan"}},
		{name: "in the plan though known_hosts has another", known: address + " " + wrong, config: Config{HostKey: right}},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := configFor(s)
			config.HostKey, config.HostKeyPolicy = c.config.HostKey, c.config.HostKeyPolicy
			config.KnownHostsFile = write(t, filepath.Join(t.TempDir(), "known_hosts"), c.known+"\n")
			err := reach(t, config, envFor(t), "127.0.0.1")
			if c.want == nil && err != nil {
				t.Errorf("Connect: %v", err)
			}
			for _, word := range c.want {
				if err == nil || !strings.Contains(err.Error(), word) {
					t.Errorf("Connect: %v; want an error with %q", err, word)
				}
			}
		})
	}
}

// reach connects and returns what came of it.
func reach(t testing.TB, c Config, env runners.Env, address string) error {
	t.Helper()
	_, err := runnerFor(t, c, env).Connect(t.Context(), runners.Target{Service: "web", Host: address})
	return err
}

// TestPinnedKey: a key that was accepted is the only one from then on, for later launches too.
func TestPinnedKey(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	config := configFor(s)
	config.HostKeyPolicy = "accept-new"
	config.KnownHostsFile = filepath.Join(t.TempDir(), "none")
	env := envFor(t)
	if err := reach(t, config, env, "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	pins := env.Ledger.List("host-key")
	if len(pins) != 1 || pins[0].ID != ssh.FingerprintSHA256(s.HostKey) {
		t.Fatalf("the ledger has %+v", pins)
	}
	if err := reach(t, config, env, "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	private, _ := newKey(t)
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.Dir, "host_key"), string(pem.EncodeToMemory(block)))
	s.Restart()
	if err := reach(t, config, env, "127.0.0.1"); err == nil || !strings.Contains(err.Error(), "has changed") {
		t.Errorf("Connect to a host whose key changed: %v", err)
	}
}

// TestKnownNames: a host is known under the names under which the ssh command knows it.
func TestKnownNames(t *testing.T) {
	client := sshtest.Need(t, "ssh")
	s := sshtest.Start(t, sshtest.Options{})
	right := authorizedKey(s.HostKey)
	_, wrongKey := newKey(t)
	wrong := authorizedKey(wrongKey)
	port := fmt.Sprintf("]:%d ", s.Port)
	for _, c := range []struct {
		name, known string
		config      string // of the Host
		refused     bool
	}{
		{name: "host and port", known: "[127.0.0.1" + port + right},
		{name: "the standard port's entry", known: "127.0.0.1 " + right},
		{name: "the standard port's entry, hashed", known: knownhosts.HashHostname("127.0.0.1") + " " + right},
		{name: "the standard port's entry beside a wrong one for the port", known: "127.0.0.1 " + right + "\n[127.0.0.1" + port + wrong, refused: true},
		{name: "a wrong entry of the standard port", known: "127.0.0.1 " + wrong, refused: true},
		{name: "any host", known: "* " + right},
		{name: "name in capitals", config: "HostName LocalHost", known: "[localhost" + port + right},
		{name: "entry in capitals", config: "HostName localhost", known: "[LocalHost" + port + right},
		{name: "name in capitals, hashed", config: "HostName LocalHost", known: knownhosts.HashHostname("[localhost]:"+fmt.Sprint(s.Port)) + " " + right},
		{name: "alias", config: "HostKeyAlias web-1", known: "web-1 " + right},
		{name: "alias in capitals", config: "HostKeyAlias Web-1", known: "web-1 " + right},
		{name: "alias and port", config: "HostKeyAlias web-1", known: "[web-1" + port + right, refused: true},
		{name: "alias that looks like a port", config: "HostKeyAlias [web-1" + strings.TrimSpace(port), known: "[web-1" + port + right},
		{name: "address beside an alias", config: "HostKeyAlias web-1", known: "127.0.0.1 " + right, refused: true},
		{name: "a wrong entry for the alias", config: "HostKeyAlias web-1", known: "web-1 " + wrong + "\n127.0.0.1 " + right, refused: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := envFor(t)
			r := runnerFor(t, Config{}, env)
			known := write(t, filepath.Join(t.TempDir(), "known_hosts"), c.known+"\n")
			config := write(t, filepath.Join(r.home(), ".ssh", "config"), "Host web\n"+c.config+"\n"+
				fmt.Sprintf("HostName 127.0.0.1\nPort %d\nUser %s\nIdentityFile %s\nIdentitiesOnly yes\nUserKnownHostsFile %s\n", s.Port, s.User, s.Identity, known))
			out, err := exec.Command(client, "-F", config, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=none", "web", "true").CombinedOutput()
			if (err != nil) != c.refused {
				t.Errorf("ssh: %v, %s", err, out)
			}
			_, err = r.Connect(t.Context(), runners.Target{Service: "web", Host: "web"})
			if (err != nil) != c.refused {
				t.Errorf("Connect: %v; want that it is refused: %v", err, c.refused)
			}
		})
	}
}

// TestLateHostKey: a machine that is just being made may show another key before the one made for it is in place.
// It is never spoken with until then.
func TestLateHostKey(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	private, public := newKey(t)
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	env := envFor(t)
	told := make(chan string, 10)
	env.Note = func(service, text string) { told <- service + ": " + text }
	end := Endpoint{Address: "127.0.0.1", HostKeys: []ssh.PublicKey{public}, Booting: true}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := runnerFor(t, configFor(s), env).ConnectTo(t.Context(), end, "db"); err != nil {
			t.Errorf("ConnectTo: %v", err)
		}
	})
	if text := <-told; !strings.HasPrefix(text, "db: ") || !strings.Contains(text, ssh.FingerprintSHA256(s.HostKey)) || !strings.Contains(text, ssh.FingerprintSHA256(public)) {
		t.Errorf("the operator is told %q", text)
	}
	write(t, filepath.Join(s.Dir, "host_key"), string(pem.EncodeToMemory(block)))
	s.Restart()
	wg.Wait()

	_, end.HostKeys[0] = newKey(t)
	why := errors.New("it did not let launch in")
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, why)
	defer cancel()
	_, err = runnerFor(t, configFor(s), envFor(t)).ConnectTo(ctx, end, "db")
	if !isUnreachable(err) || !errors.Is(err, why) || !strings.Contains(err.Error(), ssh.FingerprintSHA256(public)) {
		t.Errorf("ConnectTo a machine that goes on to show another key: %v", err)
	}
	end.Booting = false
	if _, err := runnerFor(t, configFor(s), envFor(t)).ConnectTo(t.Context(), end, "db"); err == nil || !strings.Contains(err.Error(), "has changed") {
		t.Errorf("ConnectTo: %v", err)
	}
	// What the runner's block says holds for machines that it is handed, too.
	end.HostKeys = nil
	config := configFor(s)
	_, wrong := newKey(t)
	config.HostKey = authorizedKey(wrong)
	if _, err := runnerFor(t, config, envFor(t)).ConnectTo(t.Context(), end, "db"); err == nil || !strings.Contains(err.Error(), "was given for it is "+describe(wrong)) {
		t.Errorf("ConnectTo with host_key: %v", err)
	}
}

// TestHostCertificates: an authority in known_hosts vouches for hosts.
func TestHostCertificates(t *testing.T) {
	authority, authorityPublic := newKey(t)
	signer, err := ssh.NewSignerFromKey(authority)
	if err != nil {
		t.Fatal(err)
	}
	private, public := newKey(t)
	dir := t.TempDir()
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "key"), string(pem.EncodeToMemory(block)))
	cert := &ssh.Certificate{Key: public, CertType: ssh.HostCert, ValidPrincipals: []string{"127.0.0.1"}, ValidBefore: uint64(time.Now().Add(time.Hour).Unix())}
	if err := cert.SignCert(rand.Reader, signer); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "key-cert.pub"), string(ssh.MarshalAuthorizedKey(cert)))
	s := sshtest.Start(t, sshtest.Options{Address: "0.0.0.0", Config: []string{"HostKey " + dir + "/key", "HostCertificate " + dir + "/key-cert.pub"}})
	line := fmt.Sprintf("@cert-authority [127.*]:%d %s\n", s.Port, authorizedKey(authorityPublic))
	config := configFor(s)
	config.KnownHostsFile = write(t, filepath.Join(dir, "known_hosts"), line)
	if err := reach(t, config, envFor(t), "127.0.0.1"); err != nil {
		t.Errorf("Connect to a host with a certificate: %v", err)
	}
	if err := reach(t, config, envFor(t), "127.0.0.2"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("Connect under a name that the certificate is not for: %v", err)
	}
	// One that is accepted when it shows a certificate is held to that.
	config.KnownHostsFile = write(t, filepath.Join(dir, "known_hosts1"), "@cert-authority 127.0.0.1 "+authorizedKey(authorityPublic)+"\n")
	config.HostKeyPolicy = "accept-new"
	env := envFor(t)
	for range 2 {
		if err := reach(t, config, env, "127.0.0.1"); err != nil {
			t.Errorf("Connect to a host with a certificate, where new keys are accepted: %v", err)
		}
	}
	plain := sshtest.Start(t, sshtest.Options{})
	impostor := config
	impostor.Port, impostor.IdentityFile = plain.Port, plain.Identity
	pin := env.Ledger.List(pinKind)[0]
	pin.Key = fmt.Sprintf("127.0.0.1:%d", plain.Port)
	env.Ledger.Put(t.Context(), pin)
	if err := reach(t, impostor, env, "127.0.0.1"); err == nil {
		t.Error("a plain key was accepted in the place of a certificate")
	}
	config.HostKeyPolicy = ""
	config.KnownHostsFile = write(t, filepath.Join(dir, "known_hosts2"), line+"@revoked * "+authorizedKey(authorityPublic)+"\n")
	if err := reach(t, config, envFor(t), "127.0.0.1"); err == nil {
		t.Error("a revoked authority was believed")
	}
}
