package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/launchplan/launch/runners"
)

// logSlack is what a log may have beyond runners.MaxOutput: the line about what was left out.
const logSlack = 4 << 10

// A phaseLog keeps the output of a phase's programs, masked, in the state
// directory. The file is made with the first byte: most programs write none.
type phaseLog struct {
	path string
	tail tail

	mu   sync.Mutex
	mask maskWriter
	file *os.File
	size int64
	err  error
}

// newPhaseLog makes the log of a service's phase; what an earlier attempt wrote there stays.
func (s *Session) newPhaseLog(svc *service, name string) *phaseLog {
	l := &phaseLog{path: LogPath(s.opts.Dir, s.run.ID, svc.address(), name)}
	l.mask = maskWriter{w: (*logFile)(l), masker: s.masker}
	return l
}

// LogDir is where a run's logs are kept.
func LogDir(dir, runID string) string { return filepath.Join(runDir(dir, runID), "logs") }

// LogPath is where the log of a service's program is kept.
func LogPath(dir, runID, address, name string) string {
	return filepath.Join(LogDir(dir, runID), runners.DirName(address)+"."+name+".log")
}

// Write implements io.Writer. A log that cannot be written does not fail a service; close tells.
func (l *phaseLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.mask.Write(p); err != nil && l.err == nil {
		l.err = err
	}
	return len(p), nil
}

// restart empties the log: the program's output comes again from its first byte.
func (l *phaseLog) restart() error {
	err := os.Remove(l.path)
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// close flushes and returns the log's path, "" where nothing was written.
func (l *phaseLog) close() (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.mask.Flush(); err != nil && l.err == nil {
		l.err = err
	}
	if l.file != nil {
		if err := l.file.Close(); err != nil && l.err == nil {
			l.err = err
		}
		l.file = nil
	}
	if l.size == 0 && l.err == nil {
		return "", nil
	}
	if l.err != nil {
		return l.path, fmt.Errorf("write the log %s: %w", l.path, l.err)
	}
	return l.path, nil
}

// note adds a line of launch's own below what the program wrote so far.
func (l *phaseLog) note(text string) {
	l.close() // with what it held back; what is wrong with it, it tells again
	l.mu.Lock()
	cut := len(l.tail.end) > 0 && !bytes.HasSuffix(l.tail.end, []byte("\n"))
	l.mu.Unlock()
	text = "[launch: " + text + "]\n"
	if cut {
		text = "\n" + text
	}
	l.Write([]byte(text))
}

// empty says whether nothing was written.
func (l *phaseLog) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size == 0 && l.mask.empty()
}

// tailOf returns the end of what was logged.
func (l *phaseLog) tailOf() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tail.lines()
}

// maskAgain masks a closed log with what has become known since it was written. One for which that fails is removed.
func (l *phaseLog) maskAgain() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, err := os.Open(l.path)
	if os.IsNotExist(err) {
		return nil
	}
	if err == nil {
		err = l.rewrite(old)
		old.Close()
	}
	if err != nil {
		l.size, l.tail = 0, tail{}
		os.Remove(l.path)
		return fmt.Errorf("mask the log %s, which is removed: %w", l.path, err)
	}
	return nil
}

func (l *phaseLog) rewrite(old *os.File) error {
	fresh, err := os.OpenFile(l.path+".masked", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	l.file, l.size, l.tail = fresh, 0, tail{}
	l.mask = maskWriter{w: l.mask.w, masker: l.mask.masker}
	_, err = io.Copy(&l.mask, old)
	err = errors.Join(err, l.mask.Flush(), fresh.Close())
	l.file = nil
	if err == nil {
		err = os.Rename(fresh.Name(), l.path)
	}
	if err != nil {
		os.Remove(fresh.Name())
	}
	return err
}

// logFile is the masked side of a phaseLog.
type logFile phaseLog

func (l *logFile) Write(p []byte) (int, error) {
	l.tail.write(p)
	if l.file == nil {
		if err := os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
			return 0, err
		}
		f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return 0, err
		}
		l.file = f
	}
	if room := runners.MaxOutput + logSlack - l.size; int64(len(p)) > room {
		p = p[:max(0, room)]
	}
	l.size += int64(len(p))
	return l.file.Write(p)
}

// tail holds the end of what a program wrote.
type tail struct {
	end []byte
}

func (t *tail) write(p []byte) {
	t.end = append(t.end, p...)
	if over := len(t.end) - tailBytes; over > 0 {
		t.end = append(t.end[:0], t.end[over:]...)
	}
}

// lines returns the last lines, made safe for a terminal.
func (t *tail) lines() []string {
	text := strings.TrimRight(string(t.end), "\n")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return lines
}
