package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// dialPatience bounds a connection from the host where the caller sets no bound:
// the host itself may try for minutes.
const dialPatience = 30 * time.Second

// Dial connects from the host, through the connection to it.
func (h *host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, dialPatience, fmt.Errorf("no answer within %s", dialPatience))
	defer cancel()
	for {
		l, err := h.m.back(ctx)
		if err != nil {
			return nil, h.m.explain(ctx, err)
		}
		conn, err := l.client.DialContext(ctx, network, address)
		switch {
		case err == nil:
			return &forwarded{Conn: conn}, nil
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		case errors.Is(err, io.EOF) || l.lost():
			l.cut(err) // it ends now, if it has not
			<-l.gone
			continue
		}
		return nil, fmt.Errorf("connect from %s to %s: %w", h.m.end, address, forwardError(h.m.end.String(), err))
	}
}

// forwardError says in words why a host does not connect further.
func forwardError(host string, err error) error {
	refused, ok := errors.AsType[*ssh.OpenChannelError](err)
	switch {
	case ok && refused.Reason == ssh.Prohibited:
		return fmt.Errorf("%s forbids TCP forwarding: allow it (AllowTcpForwarding and PermitOpen in its sshd_config), or probe from here with from = \"here\"", host)
	case ok:
		return errors.New(printable(orElse(refused.Message, refused.Reason.String())))
	}
	return err
}

// forwarded gives a connection through SSH the deadlines that it lacks: where
// one passes, the connection is closed.
type forwarded struct {
	net.Conn
	mu    sync.Mutex
	timer *time.Timer
}

func (f *forwarded) SetDeadline(t time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	if !t.IsZero() {
		f.timer = time.AfterFunc(time.Until(t), func() { f.Conn.Close() })
	}
	return nil
}

func (f *forwarded) SetReadDeadline(t time.Time) error  { return f.SetDeadline(t) }
func (f *forwarded) SetWriteDeadline(t time.Time) error { return f.SetDeadline(t) }

func (f *forwarded) Close() error {
	f.SetDeadline(time.Time{})
	return f.Conn.Close()
}
