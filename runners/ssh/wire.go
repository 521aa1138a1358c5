package ssh

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"strings"
)

//go:embed script
var scriptFiles embed.FS

// script is the host's side of the conversation, without its comments. Only the first file does something by itself.
func script() string {
	var b strings.Builder
	for _, name := range []string{"session", "folder", "files", "start", "look", "end", "users"} {
		text, err := scriptFiles.ReadFile("script/" + name + ".sh")
		if err != nil {
			panic(err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				b.WriteString(line + "\n")
			}
		}
	}
	b.WriteString(`while IFS= read -r l; do case $l in "$M "*) new=; eval "${l#"$M "}" ;; *) break ;; esac; done; leave` + "\n")
	return b.String()
}

// bootstrap is the command that a session executes. It means the same to every
// login shell (sh, csh, fish, …), since nothing in it is special between single
// quotes; all else is sent to its standard input, where no argv shows it.
const bootstrap = `exec /bin/sh -c 'IFS= read -r l; eval "$l"'`

// preamble is what a session is told first: the marker, then the script, which ends with the
// loop that does what the lines after it say. A line without the marker means
// that the two sides no longer agree on where data ends; then the session ends,
// since data must never be taken for commands.
//
// The script is read by dd: a shell's own read takes a byte at a time, twenty
// milliseconds for all of it. A dd that does not know how to wait for all of it reads it in as many pieces as it comes in.
// Only the whole is carried out. It is ASCII, so that its length in characters is the one in bytes.
func preamble(marker string) string {
	body := script()
	return fmt.Sprintf(`unset M T R P; M=%s T=%s full=iflag=fullblock; `+
		`s= n=%d; while [ "${#s}" -lt "$n" ]; do l=$(dd bs="$((n-${#s}))" count=1 $full 2>/dev/null; echo .); `+
		`case $l in .) [ "$full" ] || { echo "launch needs the command dd on its hosts" >&2; exit 127; }; full= ;; `+
		`"") echo "cannot fork" >&2; exit 1 ;; esac; s=$s${l%%.}; done; eval "$s"`+"\n%s",
		marker, marker[:8], len(body), body)
}

// quote makes one word of s for the shell of a session, on one line.
func quote(s string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "\n", `'"$nl"'`).Replace(s) + "'"
}

// line makes a command line of a function of the script and its arguments.
func line(words ...string) string {
	var b strings.Builder
	b.WriteString(words[0])
	for _, w := range words[1:] {
		b.WriteString(" " + quote(w))
	}
	return b.String()
}

// Bounds on what a host may make us hold.
const (
	maxAnswerLine = 4096     // an answer's line is a few words
	maxNoise      = 1 << 20  // what start-up files may print before the first answer
	maxPart       = 80 << 20 // a part of an answer: MaxOutput and its surroundings
)

// A wire takes a session's output apart: see script/session.sh for what stands in it.
type wire struct {
	in     io.Reader
	marker []byte // with the newline left out
	buf    []byte // read, not yet given away
	eof    error
}

func newWire(in io.Reader, marker string) *wire { return &wire{in: in, marker: []byte(marker)} }

// A token is either bytes of data or one of the lines that begin with the marker.
type token struct {
	data []byte // valid until the next call
	kind byte   // '+', '.', '!' or '?'; 0 for data
	line string
}

// errWire means that the host's side does not keep to the protocol.
var errWire = errors.New("the host answers nonsense")

// next returns the next token. Data comes as it arrives, never with a part of a marker at its end.
func (w *wire) next() (token, error) {
	for {
		if i := bytes.Index(w.buf, w.marker); i > 0 {
			return w.give(i), nil
		} else if i == 0 {
			if end := bytes.IndexByte(w.buf, '\n'); end >= 0 {
				return w.giveLine(end)
			}
			if len(w.buf) > maxAnswerLine {
				return token{}, errWire
			}
		} else if keep := partial(w.buf, w.marker); len(w.buf) > keep {
			return w.give(len(w.buf) - keep), nil
		}
		if w.eof != nil {
			if len(w.buf) > 0 && !bytes.HasPrefix(w.buf, w.marker) {
				return w.give(len(w.buf)), nil
			}
			return token{}, w.eof
		}
		w.fill()
	}
}

// fill reads more. What was given away is overwritten.
func (w *wire) fill() {
	const size = 32 << 10
	old := w.buf
	w.buf = make([]byte, len(old), max(len(old)+512, min(size, 2*len(old)+4096)))
	copy(w.buf, old)
	n, err := w.in.Read(w.buf[len(w.buf):cap(w.buf)])
	w.buf, w.eof = w.buf[:len(w.buf)+n], err
}

func (w *wire) give(n int) token {
	t := token{data: w.buf[:n:n]}
	w.buf = w.buf[n:]
	return t
}

func (w *wire) giveLine(end int) (token, error) {
	text := string(w.buf[len(w.marker):end])
	w.buf = w.buf[end+1:]
	if text == "" || !strings.ContainsRune("+.!?", rune(text[0])) {
		return token{}, errWire
	}
	return token{kind: text[0], line: text[1:]}, nil
}

// partial returns how many bytes at the end of buf may be the beginning of marker.
func partial(buf, marker []byte) int {
	for n := min(len(marker)-1, len(buf)); n > 0; n-- {
		if bytes.HasSuffix(buf, marker[:n]) {
			return n
		}
	}
	return 0
}
