package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// credentials are the keys to log in with, in the order in which they are offered.
type credentials struct {
	signers []ssh.Signer // those at hand
	names   []string     // of all that were offered, for the message where none is accepted
	agent   agentLogin
	others  bool // the agent's keys are offered too, once those at hand were refused
}

func (c *credentials) close() { c.agent.close() }

func (c *credentials) add(s ssh.Signer, name string) {
	if c.has(s) {
		return // an sshd counts every key that is offered against MaxAuthTries
	}
	c.signers = append(c.signers, s)
	c.names = append(c.names, name)
}

func (c *credentials) has(s ssh.Signer) bool {
	return slices.ContainsFunc(c.signers, func(have ssh.Signer) bool {
		return bytes.Equal(have.PublicKey().Marshal(), s.PublicKey().Marshal())
	})
}

// credentials gathers the keys for a host: given ones, those of files, the agent's.
func (r *Runner) credentials(ctx context.Context, end Endpoint) (*credentials, error) {
	c := &credentials{others: !end.onlyThese && len(end.Signers) == 0}
	if r.config.Agent == nil || *r.config.Agent {
		c.agent.socket = r.getenv("SSH_AUTH_SOCK")
	}
	for _, s := range end.Signers {
		c.add(s, "the key made for it")
	}
	for _, file := range end.identities {
		if err := r.addIdentity(ctx, c, file); err != nil {
			c.close()
			return nil, err
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
	return c, nil
}

// offer returns what chooses the next keys to offer: those at hand, then the
// agent's. After one of several keys that a host wants it begins anew.
func (c *credentials) offer(ctx context.Context) ssh.ClientAuthCallback {
	steps := []func() ([]ssh.Signer, error){
		func() ([]ssh.Signer, error) { return c.signers, nil },
		func() ([]ssh.Signer, error) { return c.fromAgent(ctx) },
	}
	next, accepted := 0, 0
	return func(login *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
		if n := len(login.PartialSuccessMethods); n > accepted {
			next, accepted = 0, n
		}
		for next < len(steps) && slices.Contains(login.AllowedMethods, "publickey") {
			next++
			// An offer of no keys would hide that the connection was cut during the one before.
			if keys, err := steps[next-1](); err != nil || len(keys) > 0 {
				return ssh.PublicKeys(keys...), err
			}
		}
		return nil, nil
	}
}

func (c *credentials) fromAgent(ctx context.Context) ([]ssh.Signer, error) {
	if !c.others {
		return nil, nil
	}
	keys, err := c.agent.list(ctx)
	keys = slices.DeleteFunc(slices.Clone(keys), c.has)
	for _, s := range keys {
		if name := "the agent's " + describe(s.PublicKey()); !slices.Contains(c.names, name) {
			c.names = append(c.names, name)
		}
	}
	return keys, err
}

// addIdentity adds the key of a file that the operator named. Where that is
// encrypted, the agent must have it: launch asks for no passphrase.
func (r *Runner) addIdentity(ctx context.Context, c *credentials, file string) error {
	s, err := r.identity(file)
	if err == nil {
		c.add(s, file)
		return nil
	}
	if public := publicHalf(file, err); public != nil {
		s, err := c.agent.has(ctx, public)
		if err != nil {
			return err
		}
		if s != nil {
			c.add(s, file+" (in the agent)")
			return nil
		}
	}
	switch _, locked := errors.AsType[*ssh.PassphraseMissingError](err); {
	case locked:
		err = fmt.Errorf("identity file %s is protected by a passphrase, and the agent does not have it: load it with ssh-add %s", file, file)
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("identity file %s does not exist", file)
	default:
		err = fmt.Errorf("identity file %s: %w", file, err)
	}
	return &hopelessError{err}
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
