package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// A link is one connection to a host for as long as it lasts.
type link struct {
	m      *machine
	client *ssh.Client
	conn   net.Conn

	gone  chan struct{} // closed when the connection has ended
	tasks sync.WaitGroup

	first chan struct{} // held by the one who opens the first session, for all who wait for the host

	mu      sync.Mutex
	limit   int // of sessions
	open    int
	hands   map[*hand]bool
	free    []*hand
	changed chan struct{} // closed, and made anew, when a hand may be had
	err     error         // why it ended
}

func newLink(m *machine, client *ssh.Client, conn net.Conn) *link {
	l := &link{
		m: m, client: client, conn: conn,
		gone:    make(chan struct{}),
		limit:   m.r.config.MaxSessions,
		hands:   make(map[*hand]bool),
		changed: make(chan struct{}),
		first:   make(chan struct{}, 1),
	}
	l.tasks.Go(func() {
		err := client.Wait()
		l.mu.Lock()
		if l.err == nil {
			l.err = err
		}
		l.mu.Unlock()
		close(l.gone)
	})
	l.tasks.Go(l.watch)
	return l
}

// watch asks the host now and then whether it is there. Each answer has a
// deadline of its own: a frozen host, or a network that drops every packet,
// would else keep the connection for as long as TCP is willing to resend.
func (l *link) watch() {
	interval := time.Duration(l.m.r.config.Keepalive)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-l.gone:
			return
		}
		answered := make(chan struct{})
		l.tasks.Go(func() {
			l.client.SendRequest("keepalive@openssh.com", true, nil)
			close(answered)
		})
		late := time.NewTimer(interval)
		select {
		case <-answered:
		case <-late.C:
			l.cut(fmt.Errorf("no answer for %s", interval))
		case <-l.gone:
		}
		late.Stop()
	}
}

// cut ends the connection. It does not wait for a host that does not answer.
func (l *link) cut(why error) {
	l.mu.Lock()
	if l.err == nil {
		l.err = why
	}
	l.mu.Unlock()
	l.conn.Close()
}

// Pauses after a session was cut on a connection that does not end.
const (
	firstSettle = 10 * time.Millisecond // about what the end of the connection takes to be noticed
	lastSettle  = time.Second
	severalCuts = 7 // after so many, the last pause
)

// settle waits for the connection's end, which shows in its sessions first: else they would
// be tried on it again and again in the moment between. Where the session was cut alone, it
// waits a while, ever longer with the cuts in a row.
func (l *link) settle(ctx context.Context, cuts int) {
	if l == nil {
		return
	}
	pause := time.NewTimer(min(firstSettle<<min(cuts, severalCuts), lastSettle))
	defer pause.Stop()
	select {
	case <-l.gone:
	case <-pause.C:
	case <-ctx.Done():
	}
}

func (l *link) lost() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

// greet returns once the host has said where programs can run. A hundred services
// of a host that connect at once need one session for that, not one each.
func (l *link) greet(ctx context.Context) error {
	select {
	case l.first <- struct{}{}:
		defer func() { <-l.first }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	l.mu.Lock()
	known := len(l.hands) > 0
	l.mu.Unlock()
	if known {
		return nil
	}
	h, err := l.acquire(ctx, "")
	if err == nil {
		l.release(h)
	}
	return err
}

// do carries out a request with a hand of user.
func (l *link) do(ctx context.Context, user string, req request) (answer, error) {
	h, err := l.acquire(ctx, user)
	if err != nil {
		return answer{}, err
	}
	if spent := l.m.takeSpent(user); spent != "" {
		req.pieces = append([]piece{{line: spent}}, req.pieces...)
	}
	return h.do(ctx, req)
}

// close says good-bye and waits until nothing of the connection is left here.
func (l *link) close() {
	l.cut(errors.New("closed"))
	l.tasks.Wait()
}
