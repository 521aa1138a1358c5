// Package wire is what launch and the supervisor of a run say to each other over
// a unix socket: a stream of gob messages each way. Fields that the other side does not
// know are ignored, so that a supervisor that has run for weeks understands a newer launch.
package wire

import (
	"bufio"
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/launchplan/launch/runners"
)

// Version is that of the messages; it grows when an old supervisor would misunderstand.
const Version = 2

// Hello is each side's first frame.
type Hello struct {
	Version int
	Environ []byte // of launch: what programs inherit, as NUL-terminated NAME=value
	Turn    string // of launch: see runners.Env
	Known   int    // of the supervisor: how many programs it knows
	PID     int    // of the supervisor
}

// Op is what a Request asks for.
type Op string

const (
	Start  Op = "start"  // begin Program unless its ID is known, and follow it
	Follow Op = "follow" // tell how the program with ID ends
	Drop   Op = "drop"   // follow Seq no longer; a check is ended
	Look   Op = "look"
	Stop   Op = "stop"   // end the group of the program with ID
	Remove Op = "remove" // end and forget the programs of ID.Service; of all services where it is empty
	Bye    Op = "bye"    // nothing more will be asked; the supervisor leaves if it can
)

// A Request is answered by Replies with the same Seq.
type Request struct {
	Seq     uint64
	Op      Op
	ID      runners.ID
	Program *Program
	Stop    *runners.Stop // nil: as the program's own
}

// A Program is ready to be forked: everything has been looked up and put in place.
type Program struct {
	Kind    runners.Kind
	Label   string // what people call it: boot.sh
	Path    string
	Argv    []byte // NUL-terminated
	Env     []byte // NUL-terminated additions; base is Hello.Environ
	Bare    bool   // Env is the whole environment
	Marker  string // NAME=value that tells the program's processes
	Dir     string
	Timeout time.Duration
	Stop    runners.Stop
	User    string      // run through sudo, which is asked again to end it
	Input   []byte      // its standard input
	As      *Credential // become this user, which only root can
}

// A Credential is a user by number.
type Credential struct {
	UID, GID uint32
	Groups   []uint32
}

// A Reply has one of its parts set.
type Reply struct {
	Seq     uint64
	Started *Started
	Output  []byte
	Ended   *runners.Result
	State   *runners.State
	Done    bool
	Err     string
	Errno   int // why the fork or exec of Start did not work
}

// Started tells that a program runs.
type Started struct {
	PID   int
	Since time.Time
}

// MaxMessage bounds a message. The largest are an environment and an argv: Linux
// takes at most 2 MiB of each (a quarter of the stack limit).
const MaxMessage = 8 << 20

var errTooLong = fmt.Errorf("a message of more than the %d bytes that are allowed", MaxMessage)

// A Reader takes messages from a connection.
type Reader struct {
	from bounded
	dec  *gob.Decoder
}

// readAhead is how much is read from a connection at once.
const readAhead = 64 << 10

// NewReader returns a Reader of conn.
func NewReader(conn io.Reader) *Reader {
	r := &Reader{from: bounded{Reader: conn}}
	r.dec = gob.NewDecoder(bufio.NewReaderSize(&r.from, readAhead))
	return r
}

// Read reads one message into the struct that message points to, which must be zero.
// Its memory grows with what arrives, not with what is announced.
func (r *Reader) Read(message any) error {
	r.from.left = MaxMessage
	err := r.dec.Decode(message)
	if err == nil || err == io.EOF || errors.Is(err, errTooLong) {
		return err
	}
	return fmt.Errorf("a message that cannot be read: %w", err)
}

// bounded reads no more than is left.
type bounded struct {
	io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.Reader.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// maxWaiting is how much a Writer holds for a reader that is slow before Send waits for it.
const maxWaiting = 1 << 20

// A Writer sends messages; those sent while a write is under way leave together in the next one.
type Writer struct {
	conn    io.Writer
	mu      sync.Mutex
	sent    sync.Cond // signalled after each write
	enc     *gob.Encoder
	waiting *bytes.Buffer // where enc puts messages
	spare   *bytes.Buffer
	writing bool
	err     error
}

// NewWriter returns a Writer to conn.
func NewWriter(conn io.Writer) *Writer {
	w := &Writer{conn: conn, waiting: &bytes.Buffer{}, spare: &bytes.Buffer{}}
	w.sent.L = &w.mu
	w.enc = gob.NewEncoder(waiting{w})
	return w
}

// waiting is where a Writer's encoder writes to, whichever of the buffers it is.
type waiting struct{ *Writer }

func (w waiting) Write(p []byte) (int, error) { return w.Writer.waiting.Write(p) }

// Send sends message. It may return before the other side has it; an error is told by a later Send. After an error
// nothing more can be sent: what the encoder has not sent yet of its types is lost.
func (w *Writer) Send(message any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.writing && w.waiting.Len() > maxWaiting && w.err == nil {
		w.sent.Wait()
	}
	if w.err != nil {
		return w.err
	}
	before := w.waiting.Len()
	if w.err = w.enc.Encode(message); w.err == nil && w.waiting.Len()-before > MaxMessage {
		w.err = errTooLong
	}
	if w.writing || w.err != nil {
		return w.err
	}
	w.writing = true
	for w.waiting.Len() > 0 && w.err == nil {
		batch := w.waiting
		w.waiting, w.spare = w.spare, nil
		w.mu.Unlock()
		_, err := w.conn.Write(batch.Bytes())
		w.mu.Lock()
		batch.Reset()
		w.spare = batch
		if w.err == nil { // another Send may have found one meanwhile
			w.err = err
		}
		w.sent.Broadcast()
	}
	w.writing = false
	w.sent.Broadcast()
	return w.err
}

// Flush returns when what was sent is written, or cannot be.
func (w *Writer) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.writing {
		w.sent.Wait()
	}
}

// Pack joins strings without NUL bytes into one NUL-terminated block.
func Pack(list []string) []byte {
	var b []byte
	for _, s := range list {
		b = append(append(b, s...), 0)
	}
	return b
}

// Unpack is the inverse of Pack.
func Unpack(block []byte) []string {
	if len(block) == 0 {
		return nil
	}
	list := bytes.Split(bytes.TrimSuffix(block, []byte{0}), []byte{0})
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}
