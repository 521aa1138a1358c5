package ssh

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A hand is a session on a host: a shell that does one request after the other.
type hand struct {
	link    *link
	user    string // whose shell it is; empty: the one that logged in
	channel channel
	wire    *wire
	errText tail // what the session writes to its standard error

	dropped bool // guarded by link.mu: it ended

	mu      sync.Mutex
	work    *work // under way
	tickets int   // given out
	err     error // why the hand can do no more
}

// errCut means that a session ended before it answered: the request may have been carried out or not.
var errCut = errors.New("the connection was cut")

// An endedError is an errCut where the connection is still there, with the last that the session's shell wrote.
type endedError struct{ text string }

func (e *endedError) Error() string        { return "the shell of a session there ended: " + e.text }
func (e *endedError) Is(target error) bool { return target == errCut }

// helloPatience bounds how long a login shell may take with its start-up files.
const helloPatience = 30 * time.Second

// openHand opens a session and speaks with it until it is ready.
// greeting is its first command line.
func (l *link) openHand(ctx context.Context, user, greeting string) (*hand, answer, error) {
	secret := make([]byte, 16)
	rand.Read(secret)
	marker := hex.EncodeToString(secret)
	command := bootstrap
	if user != "" {
		command = "exec sudo -n -H -u " + user + " -- " + strings.TrimPrefix(bootstrap, "exec ")
	}
	ch, err := l.newChannel(ctx, command)
	if err != nil {
		return nil, answer{}, err
	}
	hello := &work{bound: maxNoise, done: make(chan struct{})}
	h := &hand{link: l, user: user, channel: ch, wire: newWire(ch, marker), work: hello}
	h.errText.max = 4096
	l.tasks.Go(h.read)
	l.tasks.Go(h.attend)
	l.tasks.Go(func() { h.errText.ReadFrom(ch.Stderr()) })
	ctx, cancel := context.WithTimeoutCause(ctx, helloPatience, fmt.Errorf(
		"the shell of %s did not get to the end of its start-up files within %s", l.m.login(user), helloPatience))
	defer cancel()
	if _, err := io.WriteString(ch, preamble(marker)+marker+" "+greeting+"\n"); err != nil {
		h.end(errCut)
		return nil, answer{}, h.refusal(ctx, hello)
	}
	select {
	case <-hello.done:
	case <-ctx.Done():
		h.end(errCut)
		if text := h.errText.line(); text != "" {
			return nil, answer{}, fmt.Errorf("%w; it wrote: %s", context.Cause(ctx), text)
		}
		return nil, answer{}, context.Cause(ctx)
	}
	if hello.err != nil {
		return nil, answer{}, h.refusal(ctx, hello)
	}
	h.errText.forget() // what it says from now on is about a request
	return h, hello.answer, nil
}

// refusal explains a session that ended before it was ready: what it printed says why.
func (h *hand) refusal(ctx context.Context, hello *work) error {
	h.link.settle(ctx, severalCuts) // a connection that ends shows in its sessions first
	if h.link.lost() {
		return errCut
	}
	text := h.errText.line()
	if text == "" {
		hello.mu.Lock()
		text = printable(tailOf(hello.kept.String(), 300))
		hello.mu.Unlock()
	}
	switch {
	case strings.Contains(strings.ToLower(text), "fork"): // each shell has its own words around it
		return errNoProcess
	case h.user != "" && strings.Contains(text, "password is required"):
		return &hopelessError{fmt.Errorf("cannot become user %s on %s: sudo asks for a password. Allow %s to run programs as %s without one (NOPASSWD in sudoers)",
			h.user, h.link.m.end, h.link.m.end.User, h.user)}
	case h.user != "":
		return &hopelessError{fmt.Errorf("cannot become user %s on %s: %s", h.user, h.link.m.end, orElse(text, "sudo ended without a word"))}
	}
	return &hopelessError{fmt.Errorf("no shell for user %s on %s: %s; launch needs a login shell that runs commands, and /bin/sh",
		h.link.m.end.User, h.link.m.end, orElse(text, "the session ended without a word"))}
}

// read takes in what the session says until it ends.
func (h *hand) read() {
	err := h.hear()
	if errors.Is(err, errWire) {
		h.end(fmt.Errorf("%s: %w", h.link.m.end, err))
	} else {
		h.end(h.ended())
	}
}

// lastOutput is how long a shell that has ended is listened to: what it wrote may come later than the word of its end.
const lastOutput = time.Second

// attend waits for the shell's end. Programs that it started hold its output, so that this need not end.
func (h *hand) attend() {
	var over <-chan time.Time
	for {
		select {
		case req, more := <-h.channel.requests:
			if !more {
				return
			}
			if req.WantReply {
				req.Reply(false, nil)
			}
			if strings.HasPrefix(req.Type, "exit-") {
				over = time.After(lastOutput)
			}
		case <-over:
			h.end(h.ended())
		}
	}
}

// ended is the error of what was under way when the session ended.
func (h *hand) ended() error {
	if text := h.errText.line(); text != "" && !h.link.lost() {
		return &endedError{text}
	}
	return errCut
}

// end gives the hand up: what is under way fails with err. Nobody waits for the host to confirm that.
func (h *hand) end(err error) {
	h.mu.Lock()
	h.err = errCut
	w := h.work
	h.work = nil
	h.mu.Unlock()
	if w != nil {
		w.mu.Lock()
		w.stream = io.Discard // whoever asked may ask again, and take the same data then
		w.mu.Unlock()
		w.err = err
		close(w.done)
	}
	h.close()
	h.link.drop(h)
}

// hear gives what is said to the request under way, and news to those who wait for it.
func (h *hand) hear() error {
	for {
		t, err := h.wire.next()
		if err != nil {
			return err
		}
		if t.kind == '!' {
			key, words, _ := strings.Cut(t.line, " ")
			h.link.m.tell(key, words)
			continue
		}
		h.mu.Lock()
		w := h.work
		if t.kind == '?' {
			ticket, words, _ := strings.Cut(t.line, " ")
			if w == nil || w.ticket == "" || w.ticket != ticket {
				h.mu.Unlock()
				continue // it was answered
			}
			t = token{kind: '.', line: words}
		}
		if w != nil && t.kind == '.' {
			h.work = nil
		}
		h.mu.Unlock()
		if w == nil {
			return errWire
		}
		if err := w.take(t); err != nil {
			return err
		}
		if t.kind == '.' {
			h.link.release(h)
			close(w.done)
		}
	}
}

// do carries out a request. Where ctx ends first, the hand finishes it and only then does other work.
func (h *hand) do(ctx context.Context, req request) (answer, error) {
	w := &work{stream: req.stream, bound: req.bound, done: make(chan struct{})}
	if w.bound == 0 {
		w.bound = maxKept
	}
	h.mu.Lock()
	if h.err != nil {
		h.mu.Unlock()
		return answer{}, h.err
	}
	h.work = w
	pieces := req.pieces
	if req.once {
		h.tickets++
		w.ticket = strconv.Itoa(h.tickets)
		pieces = append([]piece{{line: "ticket=" + w.ticket}}, pieces...)
	}
	h.mu.Unlock()
	if err := h.transmit(ctx, pieces); err != nil {
		h.end(errCut)
		if ctx.Err() != nil {
			return answer{}, context.Cause(ctx)
		}
		return answer{}, errCut
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		if !req.once || !within(lastWords, w.done) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.stream = io.Discard
			return answer{}, context.Cause(ctx)
		}
	}
	if w.err != nil {
		return answer{}, w.err
	}
	w.answer.link = h.link
	return w.answer, nil
}

// within waits for done, and says whether that came in time.
func within(d time.Duration, done <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// transmit is send while the host takes in what it is sent: one that does not (its disk hangs) is not waited for beyond ctx.
func (h *hand) transmit(ctx context.Context, pieces []piece) error {
	var err error
	sent := make(chan struct{})
	h.link.tasks.Go(func() {
		defer close(sent)
		err = h.send(ctx, pieces)
	})
	select {
	case <-sent:
		return err
	case <-ctx.Done():
		if within(lastPacket, sent) {
			return err
		}
		return context.Cause(ctx)
	}
}

// lastPacket is how long the packet under way may take when the context has ended.
const lastPacket = time.Second

// send writes a request in few packets and lines: the commands up to the next data share one, since a shell reads a line
// byte by byte, and each begins with the marker. A request that is cut short does nothing on
// the host, since the command that acts comes last.
func (h *hand) send(ctx context.Context, pieces []piece) error {
	const packet = 64 << 10
	var b bytes.Buffer
	flush := func() error {
		_, err := h.channel.Write(b.Bytes())
		b.Reset()
		return errors.Join(err, ctx.Err())
	}
	marker := string(h.wire.marker) + " "
	before := marker
	for _, p := range pieces {
		b.WriteString(before + p.line)
		before = "; "
		if len(p.data) == 0 {
			continue
		}
		b.WriteString("\n")
		before = marker
		for part := range slices.Chunk(p.data, packet) {
			b.Write(part)
			if b.Len() >= packet {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	if before != marker {
		b.WriteString("\n")
	}
	_, err := h.channel.Write(b.Bytes())
	return err
}

// close ends the session, also while something is sent to it, beside which CloseWrite may not be called. What it started
// goes on, but for its checks.
func (h *hand) close() { h.channel.Close() }
