package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// Bounds on how many hosts are being connected to at one instant. An sshd admits
// ten logins under way before it begins to refuse (MaxStartups 10:30:100), and
// eight at a time are as fast as fifty. A host that keeps us waiting instead of
// computing gives its place to others: thousands that do not answer must not be
// in the way of one that does.
const (
	maxHandshakes  = 8
	promptConnect  = 300 * time.Millisecond // TCP, a quick answer from another continent
	promptHandshak = time.Second            // key exchange and login of a busy host
)

// A gate lets as many through as it has room for.
type gate chan struct{}

// enter waits for a place and returns how to leave it; leaving twice does no harm, nor does it where there was none.
func (g gate) enter(ctx context.Context) (leave func(), err error) {
	select {
	case g <- struct{}{}:
		return sync.OnceFunc(func() { <-g }), nil
	case <-ctx.Done():
		return func() {}, context.Cause(ctx)
	}
}

// Pauses between attempts to connect: they grow from the first to the last, with
// a random part, so that a thousand hosts do not ask at the same instant.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

func backoff(failures int) time.Duration {
	if failures == 0 {
		return 0
	}
	pause := firstPause << min(failures-1, 10)
	pause = min(pause, lastPause)
	return pause/2 + rand.N(pause)
}

// dial connects and logs in, through the hosts of Via where there are any. It calls begin
// when it is the host's turn: how many are before it is not the host's fault.
func (m *machine) dial(ctx context.Context, begin func()) (*link, error) {
	timeout := time.Duration(m.r.config.ConnectTimeout)
	via, err := m.way(ctx, timeout)
	if err != nil {
		return nil, m.dialError(ctx, err)
	}
	leave, err := m.r.gate.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { leave() }()
	begin()
	ctx, cancel := context.WithTimeoutCause(ctx, timeout+promptHandshak*maxHandshakes, fmt.Errorf("no connection within %s", timeout))
	defer cancel()
	given := time.AfterFunc(promptConnect, leave)
	conn, err := m.dialTCP(ctx, via, timeout)
	if err != nil {
		given.Stop()
		return nil, m.dialError(ctx, err)
	}
	if !given.Stop() { // the place was given to others
		if leave, err = m.r.gate.enter(ctx); err != nil {
			conn.Close()
			return nil, err
		}
	}
	given = time.AfterFunc(promptHandshak, leave)
	defer given.Stop()
	return m.handshake(ctx, conn, timeout)
}

// way is the connection to the last host of Via, nil where there is none. It is made before
// the host's turn: all who are behind one host would be before that in the queue.
func (m *machine) way(ctx context.Context, timeout time.Duration) (*link, error) {
	if len(m.end.Via) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	last := len(m.end.Via) - 1
	jump := m.end.Via[last]
	jump.Via = m.end.Via[:last]
	via, err := m.r.machine(jump)
	if err != nil {
		return nil, err
	}
	l, err := via.connected(ctx, "")
	if err != nil {
		if reason := via.lastNote(); reason != "" && !hopeless(err) {
			err = errors.New(reason)
		}
		return nil, fmt.Errorf("through %s: %w", jump, err)
	}
	return l, nil
}

func (m *machine) dialTCP(ctx context.Context, via *link, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	address := net.JoinHostPort(m.end.Address, strconv.Itoa(m.end.Port))
	if via == nil {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}
	conn, err := via.client.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("through %s: %w", via.m.end, forwardError(via.m.end.String(), err))
	}
	return conn, nil
}

// handshake makes an SSH connection of conn. The deadline is on conn itself:
// ClientConfig.Timeout covers TCP alone, and a frozen sshd would hang the rest.
func (m *machine) handshake(ctx context.Context, conn net.Conn, timeout time.Duration) (*link, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it accepts connections, but does not answer within %s", timeout))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	keys, err := m.r.hostKeys(m.end)
	if err != nil {
		conn.Close()
		return nil, &hopelessError{err}
	}
	offer, err := m.r.credentials(ctx, m.end)
	if err != nil {
		conn.Close()
		return nil, err
	}
	defer offer.close()
	address := net.JoinHostPort(m.end.Address, strconv.Itoa(m.end.Port))
	c, chans, reqs, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{
		User:              m.end.User,
		AuthCallback:      offer.offer(ctx),
		HostKeyCallback:   keys.check,
		HostKeyAlgorithms: keys.algorithms,
		ClientVersion:     "SSH-2.0-launch",
	})
	if err == nil && !stop() {
		err = context.Cause(ctx)
	}
	if err == nil {
		if err = m.r.pin(m.life, m.end, keys); err != nil {
			err = &hopelessError{err}
		}
	}
	if err != nil {
		conn.Close()
		return nil, m.handshakeError(ctx, keys, offer, err)
	}
	return newLink(m, ssh.NewClient(c, chans, reqs), conn), nil
}

// handshakeError says who is to blame for a handshake that failed: the host's key, the operator's agent, our keys, or the host.
func (m *machine) handshakeError(ctx context.Context, keys *hostKeys, offer *credentials, err error) error {
	switch {
	case keys.err != nil && len(m.end.HostKeys) > 0:
		return m.final(keys.err)
	case keys.err != nil:
		return &hopelessError{keys.err}
	case hopeless(err):
		return err
	case offer.agent.err != nil:
		return offer.agent.err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case strings.Contains(err.Error(), "unable to authenticate"):
		if len(offer.names) == 0 {
			return &hopelessError{fmt.Errorf("there is no key to log in to %s with: set identity_file, or load one into ssh-agent with ssh-add", m.end)}
		}
		return m.final(fmt.Errorf("%s refuses to log in user %s with any of the keys offered (%s): is the user right, and the key in its authorized_keys?",
			m.end, m.end.User, strings.Join(offer.names, ", ")))
	case strings.Contains(strings.ToLower(err.Error()), "too many authentication failures"):
		return m.final(fmt.Errorf("%s ended the login of user %s: it does not try as many keys as were offered, which are %d (MaxAuthTries in its sshd_config). "+
			"Say which key is the right one: identity_file in the plan, or IdentityFile with IdentitiesOnly in ~/.ssh/config", m.end, m.end.User, len(offer.names)))
	}
	return m.dialError(ctx, err)
}

// final is for what another attempt does not mend, but for a machine that is just
// being made: its users, its keys and its name may come late.
func (m *machine) final(err error) error {
	if m.end.Booting {
		return err
	}
	return &hopelessError{err}
}

// dialError says in words what came of an attempt, and whether another may end differently.
func (m *machine) dialError(ctx context.Context, err error) error {
	switch {
	case hopeless(err):
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case strings.Contains(err.Error(), "no common algorithm"):
		return m.final(fmt.Errorf("%s and launch have no algorithm in common: %w", m.end, err))
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errors.New("it closes the connection before the login (too many logins at once, or still starting)")
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer within %s", time.Duration(m.r.config.ConnectTimeout))
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return m.final(fmt.Errorf("host %s is not known: no such name", m.end.Address))
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return op.Err
	}
	return err
}
