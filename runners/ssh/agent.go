package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// An agentLogin is the operator's ssh-agent as one login has it: it is asked at
// most once which keys it has, and only where those at hand do not do.
type agentLogin struct {
	socket string // empty: there is no agent
	asked  bool
	keys   []ssh.Signer
	err    error // why the agent was of no use

	conn net.Conn
	stop func() bool
	late atomic.Bool // the login ended before the agent answered
}

// list returns the agent's keys; none where there is no agent. An agent may wait
// for its operator, or be at the other end of a connection that is no more: its
// connection ends with ctx, while it tells its keys and while it signs.
func (a *agentLogin) list(ctx context.Context) ([]ssh.Signer, error) {
	if a.asked || a.socket == "" {
		return a.keys, a.err
	}
	a.asked = true
	conn, err := new(net.Dialer).DialContext(ctx, "unix", a.socket)
	switch {
	case errors.Is(err, syscall.EAGAIN): // it takes no connections, and as many as can wait do
		a.err = &silentAgentError{a.socket}
		return nil, a.err
	case err != nil:
		return nil, nil // a stale variable is usual, and other keys may do
	}
	a.conn = conn
	a.stop = context.AfterFunc(ctx, func() {
		a.late.Store(true)
		conn.Close()
	})
	signers, err := agent.NewClient(conn).Signers()
	if err != nil && a.late.Load() {
		a.err = &silentAgentError{a.socket}
	}
	for _, s := range signers {
		if s, ok := s.(ssh.AlgorithmSigner); ok {
			a.keys = append(a.keys, &agentKey{s, a})
		}
	}
	return a.keys, a.err
}

// has returns the agent's key with that public half; nil where it has none.
func (a *agentLogin) has(ctx context.Context, public ssh.PublicKey) (ssh.Signer, error) {
	keys, err := a.list(ctx)
	for _, k := range keys {
		if bytes.Equal(k.PublicKey().Marshal(), public.Marshal()) {
			return k, nil
		}
	}
	return nil, err
}

// A silentAgentError is not hopeless: the operator may come back to what the agent asks.
type silentAgentError struct{ socket string }

func (e *silentAgentError) Error() string {
	return fmt.Sprintf("your ssh-agent (SSH_AUTH_SOCK is %s) does not answer: see whether it waits for you (a passphrase, a touch of the key), and start it again if not; "+
		"or do without it: name a key file with identity_file, or set agent = false", e.socket)
}

func (a *agentLogin) close() {
	if a.conn != nil {
		a.stop()
		a.conn.Close()
	}
}

// An agentKey is a key of the agent; it remembers why it did not sign.
type agentKey struct {
	ssh.AlgorithmSigner
	of *agentLogin
}

func (k *agentKey) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignWithAlgorithm(rand, data, "")
}

func (k *agentKey) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	sig, err := k.AlgorithmSigner.SignWithAlgorithm(rand, data, algorithm)
	switch {
	case err == nil:
	case k.of.late.Load():
		k.of.err = &silentAgentError{k.of.socket}
	default:
		k.of.err = &hopelessError{fmt.Errorf("your ssh-agent does not sign with its key %s: %w", describe(k.PublicKey()), err)}
	}
	return sig, err
}
