// Package ssh runs programs on hosts that are reached by SSH.
//
// Each host has one connection, shared by all services on it. On it a few
// sessions are open, each a POSIX shell that does one thing after the other:
// see script/session.sh for the host's side of that conversation, hand.go for ours.
// Programs are started detached and recorded on the host, so that they outlive
// the session, the connection and launch itself.
package ssh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/kevinburke/ssh_config"
	"golang.org/x/crypto/ssh"

	"github.com/launchplan/launch/runners"
)

// A Runner reaches hosts by SSH with one configuration.
type Runner struct {
	config Config
	env    runners.Env
	gate   gate

	mu       sync.Mutex
	machines map[string]*machine // by Endpoint.key
	closed   bool

	known      knownCache
	identities map[string]ssh.Signer // by file, guarded by mu
	sshConfig  *ssh_config.Config    // once it was read, guarded by mu
}

// An Endpoint is a host with everything decided that Connect would find out
// from the plan and ~/.ssh/config. Another runner fills it in for machines that it made.
type Endpoint struct {
	Name    string // for messages and the host's Facts; empty: Address
	Address string // a host name or IP address
	Port    int    // 0: 22
	User    string

	// Signers are offered first, then those of the Config (identity file, agent).
	Signers []ssh.Signer

	// HostKeys are the keys that the host may have, and no others. Empty: the
	// Config's host_key, known_hosts file and policy decide.
	HostKeys []ssh.PublicKey

	// KnownAs is the name to look up in known_hosts, whatever the port; empty: Address.
	KnownAs string

	// Via are the hosts to go through, the nearest first.
	Via []Endpoint

	// Booting says that the machine is just being made, so that its user and
	// keys may appear late: refused logins, and other host keys than HostKeys,
	// are waited out until ctx ends.
	Booting bool

	Facts runners.Facts // told by Host.Facts; an empty Address is filled in

	identities  []string // files
	onlyThese   bool     // of the agent's keys, only those of identities
	knownHosts  []string // files
	alsoDefault bool     // offer ~/.ssh/id_* as the ssh command does
}

// New makes a runner. It connects to nothing yet.
func New(_ context.Context, config Config, env runners.Env) (*Runner, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Runner{
		config:   config,
		env:      env,
		gate:     make(gate, maxHandshakes),
		machines: make(map[string]*machine),

		identities: make(map[string]ssh.Signer),
	}, nil
}

// Connect reaches target.Host, an address or an alias of ~/.ssh/config. One that is
// still booting is waited for, one that never answers not for ever.
func (r *Runner) Connect(ctx context.Context, target runners.Target) (runners.Host, error) {
	if target.Host == "" {
		return nil, fmt.Errorf("service %s has no host: say which with host = \"…\"", target.Service)
	}
	end, err := r.resolve(target.Host)
	if err != nil {
		return nil, err
	}
	m, err := r.machine(end)
	if err != nil {
		return nil, err
	}
	ctx, cancel := m.patient(ctx)
	defer cancel()
	return m.host(ctx, target.Service)
}

// ConnectTo reaches a host whose facts are decided. It is patient until ctx
// ends; a second call for the same host shares the connection.
// Where it gives no Signers, keys are found as for a host that ~/.ssh/config does not name.
// service is whose notes are told.
func (r *Runner) ConnectTo(ctx context.Context, end Endpoint, service string) (runners.Host, error) {
	m, err := r.machine(r.complete(end.withDefaultKeys()))
	if err != nil {
		return nil, err
	}
	return m.host(ctx, service)
}

func (m *machine) host(ctx context.Context, service string) (runners.Host, error) {
	if err := m.reach(ctx, service); err != nil {
		return nil, err
	}
	return &host{m: m}, nil
}

// withDefaultKeys also looks at ~/.ssh/id_* where no key is given, on the way too.
func (e Endpoint) withDefaultKeys() Endpoint {
	e.alsoDefault = len(e.Signers) == 0 && len(e.identities) == 0
	e.Via = slices.Clone(e.Via)
	for i, via := range e.Via {
		e.Via[i] = via.withDefaultKeys()
	}
	return e
}

// machine returns the one machine of an endpoint.
func (r *Runner) machine(end Endpoint) (*machine, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, errors.New("the runner is closed")
	}
	key := end.key()
	m := r.machines[key]
	if m == nil {
		m = newMachine(r, end)
		r.machines[key] = m
	}
	return m, nil
}

// Close lets go of every connection and waits until nothing of them is left here.
func (r *Runner) Close() error {
	r.mu.Lock()
	r.closed = true
	machines := r.machines
	r.machines = nil
	r.mu.Unlock()
	for _, m := range machines {
		m.close()
	}
	return nil
}

// key tells endpoints apart: two with the same key share a connection.
func (e Endpoint) key() string {
	var b strings.Builder
	for _, via := range e.Via {
		b.WriteString(via.key() + ">")
	}
	fmt.Fprintf(&b, "%s@%s:%d", e.User, e.Address, e.Port)
	for _, k := range e.HostKeys {
		b.WriteString("," + ssh.FingerprintSHA256(k))
	}
	return b.String()
}

func (e Endpoint) String() string {
	if e.Name != "" {
		return e.Name
	}
	return e.Address
}
