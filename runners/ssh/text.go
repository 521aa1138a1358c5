package ssh

import (
	"io"
	"strings"
	"sync"
)

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

// line is all of it on one line.
func (t *tail) line() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return printable(string(t.buf))
}

func (t *tail) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = t.buf[:0]
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
