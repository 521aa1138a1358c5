package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// acquire returns an idle hand of user, opens one where the server allows
// another session, or waits for one.
func (l *link) acquire(ctx context.Context, user string) (h *hand, err error) {
	err = l.withSession(ctx,
		func(idle *hand) bool {
			if idle.user == user {
				h = idle
			}
			return h != nil
		},
		func() error {
			h, err = l.another(ctx, user)
			return err
		})
	return h, err
}

// session opens a session that is not a hand's, for which idle hands make room.
// The caller says by end that it is over.
func (l *link) session(ctx context.Context) (session *ssh.Session, end func(), err error) {
	err = l.withSession(ctx,
		func(*hand) bool { return false },
		func() error {
			if session, err = l.newSession(ctx); err != nil {
				l.left()
			}
			return err
		})
	return session, sync.OnceFunc(func() { session.Close(); l.left() }), err
}

func (l *link) newSession(ctx context.Context) (*ssh.Session, error) {
	return opened(ctx, l, l.client.NewSession)
}

// A channel is a session that executes a command. Unlike an ssh.Session it tells at once that the command has ended, also
// where something that the command started holds its output.
type channel struct {
	ssh.Channel
	requests <-chan *ssh.Request // the server's: how the command ended
}

func (l *link) newChannel(ctx context.Context, command string) (channel, error) {
	return opened(ctx, l, func() (channel, error) {
		ch, requests, err := l.client.OpenChannel("session", nil)
		if err != nil {
			return channel{}, err
		}
		begun, err := ch.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{command}))
		if err == nil && !begun {
			err = errNoProcess
		}
		if err != nil {
			ch.Close()
		}
		return channel{ch, requests}, err
	})
}

// opened opens a session. Its own wait ends with the connection and with ctx: one that is asked for in the moment in
// which a connection ends may never be answered by x/crypto/ssh, which has then told all the sessions that it knew.
func opened[T io.Closer](ctx context.Context, l *link, open func() (T, error)) (T, error) {
	type opening struct {
		session T
		err     error
	}
	done := make(chan opening, 1)
	go func() {
		session, err := open()
		done <- opening{session, err}
	}()
	var none T
	var why error
	select {
	case o := <-done:
		switch {
		case o.err == nil:
			return o.session, nil
		case refused(o.err):
			return none, o.err
		}
		return none, errCut // of which x/crypto/ssh has several errors
	case <-l.gone:
		why = errCut
	case <-ctx.Done():
		why = context.Cause(ctx)
	}
	go func() { // nobody waits for it any more
		if o := <-done; o.err == nil {
			o.session.Close()
		}
	}()
	return none, why
}

// withSession takes an idle hand that will do, or opens a session where the
// server allows another, or waits until one of these is possible.
func (l *link) withSession(ctx context.Context, take func(*hand) bool, open func() error) error {
	wait := firstRefusal
	for {
		taken, room, changed := l.idle(take)
		if taken {
			return nil
		}
		if room {
			err := open()
			if err == nil || !refused(err) {
				return err
			}
			// The server counts sessions too, and its limit is lower: keep to
			// what it granted. Where that is none, others may hold them all.
			if alone := l.learn(); alone {
				if wait > lastRefusal {
					return &hopelessError{l.noSession(err)}
				}
				select {
				case <-time.After(wait):
				case <-l.gone:
				case <-ctx.Done():
				}
				wait *= 2
			}
		} else {
			select {
			case <-changed:
			case <-l.gone:
			case <-ctx.Done():
			}
		}
		if l.lost() {
			return errCut
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// A session that is refused although none is open is asked for again after these, ever longer.
const (
	firstRefusal = 100 * time.Millisecond
	lastRefusal  = 5 * time.Second
)

// idle takes an idle hand that will do, or says whether another session may be opened, or what to wait for.
func (l *link) idle(take func(*hand) bool) (taken, room bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.free) - 1; i >= 0; i-- {
		if take(l.free[i]) {
			l.free = append(l.free[:i], l.free[i+1:]...)
			return true, false, nil
		}
	}
	if l.open < l.limit {
		l.open++
		return false, true, nil
	}
	if len(l.free) > 0 { // of no use here: what it watches is attached to again
		other := l.free[0]
		l.free = l.free[1:]
		other.close()
	}
	return false, false, l.changed
}

// left says that a session is over, or was not opened.
func (l *link) left() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	l.signal()
}

// another opens one more hand; l.open counts it already.
func (l *link) another(ctx context.Context, user string) (*hand, error) {
	h, err := l.welcomed(ctx, user)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && h.dropped {
		err = errCut
	}
	if err != nil {
		l.open--
		l.signal()
		return nil, err
	}
	l.hands[h] = true
	return h, nil
}

func (l *link) welcomed(ctx context.Context, user string) (*hand, error) {
	greeting, err := l.m.greeting(ctx, user)
	if err != nil {
		return nil, err
	}
	h, hello, err := l.openHand(ctx, user, greeting)
	if err != nil {
		return nil, err
	}
	if err := l.m.welcome(user, hello); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// release makes h free for other work.
func (l *link) release(h *hand) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hands[h] {
		l.free = append(l.free, h)
		l.signal()
	}
}

// drop forgets a hand that ended.
func (l *link) drop(h *hand) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h.dropped = true
	if !l.hands[h] {
		return
	}
	delete(l.hands, h)
	l.free = slices.DeleteFunc(l.free, func(o *hand) bool { return o == h })
	l.open--
	l.signal()
}

// signal wakes those who wait for a hand. The caller holds l.mu.
func (l *link) signal() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// learn lowers the limit to the sessions that the server granted, and says whether these are none.
func (l *link) learn() (alone bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit = max(1, l.open)
	return l.open == 0
}

// errNoProcess means that the server opened a session, and then could start nothing in it. That may pass, and sessions that are open go on.
var errNoProcess = errors.New("it cannot start a process: is it out of memory, or are there as many as the user may have (ulimit -u)?")

// refused says whether the server would not open another session.
func refused(err error) bool {
	_, ok := errors.AsType[*ssh.OpenChannelError](err)
	return ok || errors.Is(err, errNoProcess)
}

// noSession says what to do about a server that refuses every session.
func (l *link) noSession(err error) error {
	if errors.Is(err, errNoProcess) {
		return fmt.Errorf("no shell for user %s on %s: %w", l.m.end.User, l.m.end, err)
	}
	return fmt.Errorf("%s refuses to open a session (%w): MaxSessions in its sshd_config must allow at least one", l.m.end, err)
}
