package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
)

// logLines shows what several services wrote in one place. Of one service that is copied as it is; of several, line by
// line, each with the service's address before it.
type logLines struct {
	json  bool
	width int // of addresses; 0: there is one service

	mu    sync.Mutex
	w     io.Writer // guarded by mu
	wrote bool      // guarded by mu
}

// widestAddress is how far lines are indented for the sake of others.
const widestAddress = 40

// longestLine is what is waited for: a longer one is shown in pieces.
const longestLine = 64 << 10

func newLogLines(w io.Writer, asJSON bool, services []string) *logLines {
	l := &logLines{json: asJSON, w: w}
	if len(services) > 1 {
		for _, service := range services {
			l.width = max(l.width, min(len(service), widestAddress))
		}
	}
	return l
}

// title names the log that follows, where nothing else does.
func (l *logLines) title(name string) {
	if l.plain() {
		fmt.Fprintf(l.w, "==> %s\n", name)
	}
}

func (l *logLines) plain() bool { return !l.json && l.width == 0 }

// any says whether something was there to show.
func (l *logLines) any() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wrote
}

// of is where one service's output goes. Each source of it needs its own; of what last holds back, only the last lines
// are shown.
func (l *logLines) of(service string, last *lastLines) *logWriter {
	return &logWriter{lines: l, service: service, last: last}
}

// logLine is a line of `logs -o json`.
type logLine struct {
	Service string `json:"service"`
	Text    string `json:"text"`
}

func (l *logLines) write(service string, line []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrote = true
	if l.plain() {
		_, err := l.w.Write(line)
		return err
	}
	if l.json {
		enc := json.NewEncoder(l.w)
		enc.SetEscapeHTML(false)
		return enc.Encode(logLine{service, strings.TrimSuffix(string(line), "\n")})
	}
	_, err := fmt.Fprintf(l.w, "%-*s | %s\n", l.width, service, bytes.TrimSuffix(line, []byte("\n")))
	return err
}

// A logWriter cuts one service's output into lines.
type logWriter struct {
	lines   *logLines
	service string
	last    *lastLines
	begun   []byte // of a line
}

func (w *logWriter) Write(p []byte) (int, error) {
	w.begun = append(w.begun, p...)
	for len(w.begun) > 0 {
		end := bytes.IndexByte(w.begun, '\n') + 1
		switch {
		case w.lines.plain() && !w.last.holds():
			end = len(w.begun) // as it is
		case end == 0 && len(w.begun) < longestLine:
			return len(p), nil
		case end == 0:
			end = len(w.begun)
		}
		if err := w.show(w.begun[:end]); err != nil {
			return 0, err
		}
		w.begun = w.begun[end:]
	}
	return len(p), nil
}

func (w *logWriter) show(line []byte) error {
	if w.last.holds() {
		w.last.add(line)
		return nil
	}
	return w.lines.write(w.service, line)
}

// Flush shows the beginning of a line that nothing follows.
func (w *logWriter) Flush() error {
	if len(w.begun) == 0 {
		return nil
	}
	defer func() { w.begun = nil }()
	return w.show(w.begun)
}

// lastLines holds back what a service wrote until all that there was has been read, and keeps the last n lines of it.
// A nil one holds back nothing.
type lastLines struct {
	n        int
	lines    [][]byte // n at most
	oldest   int      // where the next one goes, once there are n
	released bool
}

func (l *lastLines) holds() bool { return l != nil && !l.released }

func (l *lastLines) add(line []byte) {
	line = bytes.Clone(line)
	switch {
	case len(l.lines) < l.n:
		l.lines = append(l.lines, line)
	case l.n > 0:
		l.lines[l.oldest] = line
		l.oldest = (l.oldest + 1) % l.n
	}
}

// release shows the lines that were kept. What is written later is shown at once.
func (l *lastLines) release(lines *logLines, service string) error {
	if !l.holds() {
		return nil
	}
	l.released = true
	for i := range l.lines {
		if err := lines.write(service, l.lines[(l.oldest+i)%len(l.lines)]); err != nil {
			return err
		}
	}
	return nil
}
