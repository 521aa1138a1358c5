package ssh

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// A hand is a session on a host: a shell that does one request after the other.
type hand struct {
	link    *link
	user    string // whose shell it is; empty: the one that logged in
	session *ssh.Session
	in      io.WriteCloser
	wire    *wire
	errText tail // what the session writes to its standard error

	dropped bool // guarded by link.mu: it ended

	mu   sync.Mutex
	work *work // under way
	err  error // why the hand can do no more
}

// errCut means that a session ended before it answered: the request may have been carried out or not.
var errCut = errors.New("the connection was cut")

// A request is what a hand is told, and what becomes of the answer.
type request struct {
	pieces []piece
	stream io.Writer // takes the data of the answer's first part as it comes; nil: it is kept
	bound  int       // of the data that is kept; 0: maxKept

	// once says that it matters whether the request was carried out: once it was
	// sent, the answer is waited for, beyond the context for lastWords.
	once bool
}

// maxKept bounds what is kept of an answer where a request does not say: paths, records, reasons.
const maxKept = 256 << 10

// A piece of a request is a command line, or data that the command before it takes.
type piece struct {
	line string
	data []byte
}

func ask(words ...string) request { return request{pieces: []piece{{line: line(words...)}}} }

// An answer is what came back.
type answer struct {
	link  *link // on which news comes, where the request asked for any
	parts map[string][]byte
	data  []byte   // after the last part
	words []string // the first tells what kind of answer it is
}

func (a answer) is(word string) bool { return len(a.words) > 0 && a.words[0] == word }

// work is a request under way.
type work struct {
	mu     sync.Mutex
	stream io.Writer
	bound  int
	kept   bytes.Buffer
	answer answer
	err    error
	done   chan struct{}
}

// helloPatience bounds how long a login shell may take with its start-up files.
const helloPatience = 30 * time.Second

// openHand opens a session and speaks with it until it is ready.
// greeting is its first command line.
func (l *link) openHand(ctx context.Context, user, greeting string) (*hand, answer, error) {
	session, err := l.newSession(ctx)
	if err != nil {
		return nil, answer{}, err
	}
	secret := make([]byte, 16)
	rand.Read(secret)
	marker := hex.EncodeToString(secret)
	h := &hand{link: l, user: user, session: session}
	h.errText.max = 4096
	session.Stderr = &h.errText
	h.in, err = session.StdinPipe()
	if err != nil {
		session.Close()
		return nil, answer{}, err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		session.Close()
		return nil, answer{}, err
	}
	h.wire = newWire(out, marker)
	command := bootstrap
	if user != "" {
		command = "exec sudo -n -H -u " + user + " -- " + strings.TrimPrefix(bootstrap, "exec ")
	}
	if err := session.Start(command); err != nil {
		session.Close()
		return nil, answer{}, orCut(err)
	}
	hello := &work{bound: maxNoise, done: make(chan struct{})}
	h.work = hello
	l.tasks.Go(h.read)
	ctx, cancel := context.WithTimeoutCause(ctx, helloPatience, fmt.Errorf(
		"the shell of %s did not get to the end of its start-up files within %s", l.m.login(user), helloPatience))
	defer cancel()
	if _, err := io.WriteString(h.in, preamble(marker)+marker+" "+greeting+"\n"); err != nil {
		h.close()
		<-hello.done
		return nil, answer{}, h.refusal(ctx, hello)
	}
	select {
	case <-hello.done:
	case <-ctx.Done():
		h.close()
		<-hello.done
		return nil, answer{}, context.Cause(ctx)
	}
	if hello.err != nil {
		return nil, answer{}, h.refusal(ctx, hello)
	}
	return h, hello.answer, nil
}

// orCut tells a refusal from the end of the connection, of which x/crypto/ssh has several errors.
func orCut(err error) error {
	if refused(err) || strings.Contains(err.Error(), "request") {
		return err
	}
	return errCut
}

// refusal explains a session that ended before it was ready: what it printed says why.
func (h *hand) refusal(ctx context.Context, hello *work) error {
	h.link.settle(ctx, severalCuts) // a connection that ends shows in its sessions first
	if h.link.lost() {
		return errCut
	}
	text := strings.TrimSpace(h.errText.String())
	if text == "" {
		text = strings.TrimSpace(tailOf(hello.kept.String(), 300))
	}
	text = printable(text)
	switch {
	case h.user != "" && strings.Contains(text, "password is required"):
		return &hopelessError{fmt.Errorf("cannot become user %s on %s: sudo asks for a password. Allow %s to run programs as %s without one (NOPASSWD in sudoers)",
			h.user, h.link.m.end, h.link.m.end.User, h.user)}
	case h.user != "":
		return &hopelessError{fmt.Errorf("cannot become user %s on %s: %s", h.user, h.link.m.end, orElse(text, "sudo ended without a word"))}
	}
	return &hopelessError{fmt.Errorf("no shell for user %s on %s: %s", h.link.m.end.User, h.link.m.end,
		orElse(text, "the session ended without a word; launch needs a login shell that runs commands, and /bin/sh"))}
}

// read takes in what the session says until it ends.
func (h *hand) read() {
	err := h.hear()
	h.mu.Lock()
	h.err = errCut
	w := h.work
	h.work = nil
	h.mu.Unlock()
	if w != nil {
		if errors.Is(err, errWire) {
			w.err = fmt.Errorf("%s: %w", h.link.m.end, err)
		} else {
			w.err = errCut
		}
		close(w.done)
	}
	h.session.Close()
	h.session.Wait() // its other goroutine, which reads standard error
	h.link.drop(h)
}

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
		if w != nil && t.kind == '.' {
			h.work = nil
		}
		h.mu.Unlock()
		if w == nil {
			return errWire
		}
		if err := w.take(t); err != nil {
			w.err = err
			close(w.done)
			h.mu.Lock()
			h.work = nil
			h.mu.Unlock()
			return err
		}
		if t.kind == '.' {
			h.link.release(h)
			close(w.done)
		}
	}
}

// take adds a token to the answer.
func (w *work) take(t token) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch t.kind {
	case 0:
		if w.stream != nil {
			w.stream.Write(t.data) // whoever wants the output sees to its errors
			return nil
		}
		if w.kept.Len()+len(t.data) > w.bound {
			return fmt.Errorf("%w: more than %d bytes", errWire, w.bound)
		}
		w.kept.Write(t.data)
	case '+':
		if w.answer.parts == nil {
			w.answer.parts = make(map[string][]byte)
		}
		w.answer.parts[t.line] = bytes.Clone(w.kept.Bytes())
		w.kept.Reset()
		w.stream = nil
	case '.':
		w.answer.data = w.kept.Bytes()
		w.answer.words = strings.Fields(t.line)
	}
	return nil
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
	h.mu.Unlock()
	if err := h.send(ctx, req.pieces); err != nil {
		h.close()
		<-w.done
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
	w.answer.link = h.link
	return w.answer, w.err
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

// send writes a request in few packets. One that is cut short does nothing on
// the host, since the line that acts comes last.
func (h *hand) send(ctx context.Context, pieces []piece) error {
	const packet = 64 << 10
	marker := string(h.wire.marker)
	var b bytes.Buffer
	flush := func() error {
		_, err := h.in.Write(b.Bytes())
		b.Reset()
		return errors.Join(err, ctx.Err())
	}
	for _, p := range pieces {
		if p.line != "" {
			b.WriteString(marker + " " + p.line + "\n")
		}
		for data := p.data; len(data) > 0; {
			n := min(len(data), packet)
			b.Write(data[:n])
			data = data[n:]
			if b.Len() >= packet {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	_, err := h.in.Write(b.Bytes())
	return err
}

// close ends the session. What it started goes on, but for its checks.
func (h *hand) close() {
	h.in.Close()
	h.session.Close()
}

// A tail keeps the last bytes of what is written to it.
type tail struct {
	mu  sync.Mutex
	max int
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if extra := len(t.buf) - t.max; extra > 0 {
		t.buf = append(t.buf[:0], t.buf[extra:]...)
	}
	return len(p), nil
}

// ReadFrom spares io.Copy its large buffer: a thousand sessions have a tail each, and it is seldom written.
func (t *tail) ReadFrom(r io.Reader) (int64, error) {
	var total int64
	buf := make([]byte, 512)
	for {
		n, err := r.Read(buf)
		t.Write(buf[:n])
		total += int64(n)
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}

func tailOf(s string, n int) string { return s[max(0, len(s)-n):] }

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// printable makes text from a host fit for a message: one line, nothing that a terminal obeys.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0xfffd:
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}
