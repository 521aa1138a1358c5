package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// credentials are the keys to log in with, in the order in which they are offered.
type credentials struct {
	signers []ssh.Signer
	names   []string // for the message where none is accepted
	agent   net.Conn
}

func (c *credentials) close() {
	if c.agent != nil {
		c.agent.Close()
	}
}

func (c *credentials) add(s ssh.Signer, name string) {
	for _, have := range c.signers {
		if bytes.Equal(have.PublicKey().Marshal(), s.PublicKey().Marshal()) {
			return // an sshd counts every key that is offered against MaxAuthTries
		}
	}
	c.signers = append(c.signers, s)
	c.names = append(c.names, name)
}

// credentials gathers the keys for a host: given ones, identity files, the agent's.
func (r *Runner) credentials(end Endpoint) (*credentials, error) {
	c := new(credentials)
	for _, s := range end.Signers {
		c.add(s, "the key made for it")
	}
	fromAgent := r.agentKeys(c)
	only := end.onlyThese
	for _, file := range end.identities {
		if err := r.addIdentity(c, file, fromAgent); err != nil {
			c.close()
			return nil, err
		}
	}
	if !only && len(end.Signers) == 0 {
		for _, s := range fromAgent {
			c.add(s, "the agent's "+describe(s.PublicKey()))
		}
	}
	if end.alsoDefault {
		for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
			file := filepath.Join(r.home(), ".ssh", name)
			if s, err := r.identity(file); err == nil {
				c.add(s, file)
			}
		}
	}
	if len(c.signers) == 0 {
		c.close()
		return nil, fmt.Errorf("there is no key to log in to %s with: set identity_file, or load one into ssh-agent with ssh-add", end)
	}
	return c, nil
}

// addIdentity adds the key of a file that the operator named. Where that is
// encrypted, the agent must have it: launch asks for no passphrase.
func (r *Runner) addIdentity(c *credentials, file string, fromAgent []ssh.Signer) error {
	s, err := r.identity(file)
	if err == nil {
		c.add(s, file)
		return nil
	}
	public := publicHalf(file, err)
	for _, s := range fromAgent {
		if public != nil && bytes.Equal(s.PublicKey().Marshal(), public.Marshal()) {
			c.add(s, file+" (in the agent)")
			return nil
		}
	}
	switch _, locked := errors.AsType[*ssh.PassphraseMissingError](err); {
	case locked:
		return fmt.Errorf("identity file %s is protected by a passphrase, and the agent does not have it: load it with ssh-add %s", file, file)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("identity file %s does not exist", file)
	}
	return fmt.Errorf("identity file %s: %w", file, err)
}

// publicHalf is what can be known of a private key that cannot be read.
func publicHalf(file string, err error) ssh.PublicKey {
	if locked, ok := errors.AsType[*ssh.PassphraseMissingError](err); ok && locked.PublicKey != nil {
		return locked.PublicKey
	}
	data, err := os.ReadFile(file + ".pub")
	if err != nil {
		return nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(data)
	if err != nil {
		return nil
	}
	return key
}

// identity reads a private key once.
func (r *Runner) identity(file string) (ssh.Signer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.identities[file]; s != nil {
		return s, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s, err := ssh.ParsePrivateKey(data)
	if err != nil {
		return nil, err
	}
	r.identities[file] = s
	return s, nil
}

// agentKeys returns the keys of the operator's agent; none where there is no agent.
func (r *Runner) agentKeys(c *credentials) []ssh.Signer {
	socket := r.getenv("SSH_AUTH_SOCK")
	if socket == "" || r.config.Agent != nil && !*r.config.Agent {
		return nil
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil // a stale variable is usual, and other keys may do
	}
	c.agent = conn
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		return nil
	}
	return signers
}

func (r *Runner) getenv(name string) string {
	value := ""
	for _, v := range r.env.Environ {
		if k, val, _ := strings.Cut(v, "="); k == name {
			value = val // the last one counts, as in a process's environment
		}
	}
	return value
}

func (r *Runner) home() string { return r.getenv("HOME") }

// expand replaces a leading "~/" by the operator's home.
func (r *Runner) expand(name string) string {
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		return filepath.Join(r.home(), rest)
	}
	return name
}
