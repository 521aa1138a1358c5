// Package wire is what launch and the supervisor of a run say to each other over
// a unix socket: frames of JSON, each with its length before it. Unknown fields
// are ignored, so that a supervisor that has run for weeks understands a newer launch.
package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/launchplan/launch/runners"
)

// Version is that of the meaning of messages; it grows when an old supervisor would misunderstand.
const Version = 1

// Hello is each side's first frame.
type Hello struct {
	Version int
	Environ []byte `json:",omitempty"` // of launch: what programs inherit, as NUL-terminated NAME=value
	Turn    string `json:",omitempty"` // of launch: see runners.Env
	Known   int    `json:",omitempty"` // of the supervisor: how many programs it knows
	PID     int    `json:",omitempty"` // of the supervisor
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
	ID      runners.ID    `json:",omitzero"`
	Program *Program      `json:",omitempty"`
	Stop    *runners.Stop `json:",omitempty"` // nil: as the program's own
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
	Timeout time.Duration `json:",omitempty"`
	Stop    runners.Stop
	User    string      `json:",omitempty"` // run through sudo, which is asked again to end it
	Input   []byte      `json:",omitempty"` // its standard input
	As      *Credential `json:",omitempty"` // become this user, which only root can
}

// A Credential is a user by number.
type Credential struct {
	UID, GID uint32
	Groups   []uint32
}

// A Reply has one of its parts set.
type Reply struct {
	Seq     uint64
	Started *Started        `json:",omitempty"`
	Output  []byte          `json:",omitempty"`
	Ended   *runners.Result `json:",omitempty"`
	State   *runners.State  `json:",omitempty"`
	Done    bool            `json:",omitempty"`
	Err     string          `json:",omitempty"`
	Errno   int             `json:",omitempty"` // why the fork or exec of Start did not work
}

// Started tells that a program runs.
type Started struct {
	PID   int
	Since time.Time
}

// MaxFrame bounds a message. The largest are an environment and an argv: Linux
// takes at most 2 MiB of each (a quarter of the stack limit), and base64 adds a third.
const MaxFrame = 8 << 20

// Read reads one frame into message.
func Read(r *bufio.Reader, message any) error {
	head, err := r.Peek(headSize)
	if err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head)
	if size > MaxFrame {
		return fmt.Errorf("a message of %d bytes is more than the %d that are allowed", size, MaxFrame)
	}
	r.Discard(headSize)
	if int(size) <= r.Size() { // nearly all: no copy of it is made
		body, err := r.Peek(int(size))
		if err != nil {
			return cutShort(err, size)
		}
		defer r.Discard(int(size))
		return decode(body, message)
	}
	var body bytes.Buffer // grows with what arrives, not with what is announced
	if _, err := io.CopyN(&body, r, int64(size)); err != nil {
		return cutShort(err, size)
	}
	return decode(body.Bytes(), message)
}

// headSize is that of the length before each frame.
const headSize = 4

func cutShort(err error, size uint32) error {
	if err == io.EOF && size > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

func decode(body []byte, message any) error {
	if err := json.Unmarshal(body, message); err != nil {
		return fmt.Errorf("a message that cannot be read: %w", err)
	}
	return nil
}

// maxWaiting is how much a Writer holds for a reader that is slow before Send waits for it.
const maxWaiting = 1 << 20

// A Writer sends frames; those sent while a write is under way leave together in the next one.
type Writer struct {
	conn    net.Conn
	mu      sync.Mutex
	sent    sync.Cond // signalled after each write
	waiting []byte
	spare   []byte
	writing bool
	err     error
}

// NewWriter returns a Writer to conn.
func NewWriter(conn net.Conn) *Writer {
	w := &Writer{conn: conn}
	w.sent.L = &w.mu
	return w
}

// Send sends message. It may return before the other side has it; an error is told by a later Send.
func (w *Writer) Send(message any) error {
	body, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if len(body) > MaxFrame {
		return fmt.Errorf("a message of %d bytes is more than the %d that are allowed", len(body), MaxFrame)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.writing && len(w.waiting) > maxWaiting && w.err == nil {
		w.sent.Wait()
	}
	w.waiting = binary.BigEndian.AppendUint32(w.waiting, uint32(len(body)))
	w.waiting = append(w.waiting, body...)
	if w.writing {
		return w.err
	}
	w.writing = true
	for len(w.waiting) > 0 && w.err == nil {
		batch := w.waiting
		w.waiting, w.spare = w.spare[:0], nil
		w.mu.Unlock()
		_, err := w.conn.Write(batch)
		w.mu.Lock()
		w.spare = batch
		w.err = err
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
