package engine

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// maskedAs stands where a secret stood.
const maskedAs = "(sensitive)"

// masker takes secrets out of text: as they are, base64-encoded at any offset and with line breaks,
// percent-encoded, and with what JSON and shells escape. Encoded text is decoded and then searched, since there
// are as many ways to escape a secret as there are encoders.
type masker struct {
	mu      sync.RWMutex
	sources []*secretSource // what the plans of the run know; a reload adds one
	index   index           // of the secrets, as they are and in base64
}

// secretSource gives the secrets that became known after the first so many.
type secretSource struct {
	after func(n int) []string
	taken int
}

func newMasker(after func(n int) []string) *masker {
	m := &masker{}
	m.also(after)
	return m
}

// also masks another plan's secrets.
func (m *masker) also(after func(n int) []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sources = append(m.sources, &secretSource{after: after})
}

// add masks secrets that no plan knows yet, also where what is in them was masked before: text that is
// masked a second time has them so.
func (m *masker) add(secrets []string) {
	for _, secret := range secrets {
		again := m.text(secret)
		m.mu.Lock()
		m.learn(secret)
		if again != secret && again != maskedAs {
			for part := range parts(again) {
				m.index.add(part)
			}
		}
		m.mu.Unlock()
	}
}

// refresh takes in what has become known, and says whether there are secrets at all.
func (m *masker) refresh() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, source := range m.sources {
		more := source.after(source.taken)
		source.taken += len(more)
		for _, secret := range more {
			m.learn(secret)
		}
	}
	return m.index.longest > 0
}

// learn indexes what a secret is searched as. mu is held.
func (m *masker) learn(secret string) {
	plain := strings.ReplaceAll(secret, "\r\n", "\n") // as views have it
	for part := range parts(plain) {
		m.index.add(part)
		if strings.Contains(part, " ") {
			m.index.add(strings.ReplaceAll(part, " ", "+")) // as forms are encoded
		}
	}
	for part := range parts(secret) {
		for _, form := range inBase64(part) {
			m.index.add(form)
		}
	}
}

const (
	secretPart = 128 // long secrets are known by parts of this length: what is compared, and held back, stays little
	sharedPart = 8   // of a part is in the next one, too, so that what hides them overlaps in each encoding
)

// parts of a secret, together all of it.
func parts(secret string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for ; len(secret) > secretPart; secret = secret[min(secretPart-sharedPart, len(secret)-secretPart):] {
			if !yield(secret[:secretPart]) {
				return
			}
		}
		yield(secret)
	}
}

// inBase64 is what a secret is within base64: of a longer text that contains it, it has one of three forms,
// depending on what stands before it. The characters at both ends that mix with neighbours are left out.
func inBase64(secret string) []string {
	var forms []string
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for offset := range 3 {
			encoded := encoding.EncodeToString(append(make([]byte, offset), secret...))
			start := []int{0, 2, 3}[offset]
			end := len(encoded)
			if (offset+len(secret))%3 != 0 {
				end-- // its low bits belong to what follows
			}
			if end-start >= 6 { // shorter would hit innocent text
				forms = append(forms, encoded[start:end])
			}
		}
	}
	return forms
}

// text masks a whole text.
func (m *masker) text(s string) string {
	if s == "" || !m.refresh() {
		return s
	}
	found, _ := m.find([]byte(s), true)
	if len(found) == 0 {
		return s
	}
	var b strings.Builder
	at := 0
	for _, secret := range found {
		b.WriteString(s[at:secret.from])
		b.WriteString(maskedAs)
		at = secret.to
	}
	b.WriteString(s[at:])
	return b.String()
}

// maxMessage bounds what is kept and told at once of what happened: a command may have values of a MiB in its arguments.
const maxMessage = 4 << 10

// message masks what people are told. Of what is too long for them, the middle is left out: how a command ended stands after it.
func (m *masker) message(s string) string {
	const end = maxMessage / 4
	s = m.text(s)
	if len(s) <= maxMessage {
		return s
	}
	from, to := maxMessage/2, len(s)-end
	for from > 0 && !utf8.RuneStart(s[from]) {
		from--
	}
	for to < len(s) && !utf8.RuneStart(s[to]) {
		to++
	}
	return fmt.Sprintf("%s… (%d bytes are left out here) …%s", s[:from], to-from, s[to:])
}

// A span is a part of a text.
type span struct{ from, to int }

// find returns where secrets stand in text, in order. From open on there may be the beginning of one, unless the
// text is whole.
func (m *masker) find(text []byte, whole bool) (found []span, open int) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	open = len(text)
	for _, v := range decodings(&view{text: text}, whole) {
		v = unixLines(v, whole)
		open = min(open, v.source(len(v.text)))
		for _, v := range []*view{v, inOneLine(v)} {
			if v == nil {
				continue
			}
			part := m.index.search(v.text, whole, func(from, to int) { found = append(found, v.origin(from, to)) })
			if part < len(v.text) {
				open = min(open, v.source(part))
			}
		}
	}
	return merged(found), open
}

// merged makes one of spans that overlap.
func merged(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	kept := spans[:0]
	for _, s := range spans {
		if n := len(kept); n > 0 && s.from < kept[n-1].to {
			kept[n-1].to = max(kept[n-1].to, s.to)
			continue
		}
		kept = append(kept, s)
	}
	return kept
}

// maskWriter masks a stream. It holds back as much as could be the beginning of a secret
// until more is written, or Flush.
type maskWriter struct {
	w      io.Writer
	masker *masker
	held   []byte
	done   int // what of held was written: it stays for a while, since what follows may be a part of it
	masked int // up to here, held is behind a mask that was written
}

const (
	maskPiece   = 64 << 10 // masked at once
	maskContext = 128      // stays in held after it was written: the end of a line of base64, escaped and indented
)

// Write implements io.Writer.
func (w *maskWriter) Write(p []byte) (int, error) {
	if !w.masker.refresh() {
		return w.w.Write(p)
	}
	for rest := p; len(rest) > 0; {
		n := min(len(rest), maskPiece)
		w.held = append(w.held, rest[:n]...)
		if err := w.advance(false); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

// Flush writes what was held back.
func (w *maskWriter) Flush() error {
	if w.empty() {
		return nil
	}
	w.masker.refresh()
	return w.advance(true)
}

// empty says that nothing is held back.
func (w *maskWriter) empty() bool { return len(w.held) == w.done }

// advance writes, masked, the part of what is held that no later byte can change.
func (w *maskWriter) advance(whole bool) error {
	found, open := w.masker.find(w.held, whole)
	open = max(open, w.done)
	var out []byte
	at := max(w.done, w.masked)
	for _, secret := range found {
		if secret.from >= open {
			break
		}
		if secret.to <= w.done {
			continue
		}
		if secret.from >= w.masked { // else its mask is there
			if secret.from > at {
				out = append(out, w.held[at:secret.from]...)
			}
			out = append(out, maskedAs...)
		}
		w.masked = max(w.masked, secret.to)
		at = max(at, secret.to)
	}
	if at < open {
		out = append(out, w.held[at:open]...)
	}
	gone := max(0, open-maskContext)
	w.held = append(w.held[:0], w.held[gone:]...)
	w.done, w.masked = open-gone, max(0, w.masked-gone)
	if len(out) == 0 {
		return nil
	}
	_, err := w.w.Write(out)
	return err
}
