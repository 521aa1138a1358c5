package ssh

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
)

// A request is what a hand is told, and what becomes of the answer.
type request struct {
	pieces []piece
	stream io.Writer // takes the data of the answer's first part as it comes; nil: it is kept
	bound  int       // of the data that is kept; 0: maxKept

	// once says that it matters whether the request was carried out: once it was
	// sent, the answer is waited for, beyond the context for lastWords; and the
	// host gives one, whatever happens there to the process that should.
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
	ticket string // by which an answer says that it is to this request; empty: there is no such answer

	mu     sync.Mutex
	stream io.Writer
	bound  int
	kept   bytes.Buffer
	answer answer
	err    error
	done   chan struct{}
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
