package engine

import (
	"encoding/base64"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// maskedAs stands where a secret stood.
const maskedAs = "(sensitive)"

// masker takes secrets out of text: as they are, base64-encoded at any offset,
// percent-encoded, and inside JSON strings.
type masker struct {
	mu       sync.Mutex
	sources  []func() []string // what the plans of the run know; a reload adds one
	known    int               // how many secrets replacer was made for
	patterns []string
	replacer *strings.Replacer
	longest  int
}

func newMasker(secrets func() []string) *masker { return &masker{sources: []func() []string{secrets}} }

// also masks another plan's secrets.
func (m *masker) also(secrets func() []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sources = append(m.sources, secrets)
}

// current returns the replacer for the secrets that are known by now, nil where there are none.
func (m *masker) current() (*strings.Replacer, int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	secrets := m.sources[0]()
	for _, more := range m.sources[1:] {
		secrets = slices.Concat(secrets, more())
	}
	if len(secrets) == 0 {
		return nil, 0
	}
	if len(secrets) == m.known {
		return m.replacer, m.longest
	}
	m.known = len(secrets)
	m.patterns, m.longest = nil, 0
	for _, s := range secrets {
		m.patterns = append(m.patterns, disguises(s)...)
	}
	slices.SortFunc(m.patterns, func(a, b string) int { return len(b) - len(a) }) // the longest match wins
	m.patterns = slices.Compact(m.patterns)
	pairs := make([]string, 0, 2*len(m.patterns))
	for _, p := range m.patterns {
		pairs = append(pairs, p, maskedAs)
		m.longest = max(m.longest, len(p))
	}
	m.replacer = strings.NewReplacer(pairs...)
	return m.replacer, m.longest
}

// text masks a whole text.
func (m *masker) text(s string) string {
	if s == "" {
		return s
	}
	r, _ := m.current()
	if r == nil {
		return s
	}
	return r.Replace(s)
}

// disguises are the forms in which a secret turns up in output. Base64 of a longer
// text that contains the secret has one of three forms, depending on what stands
// before it; the characters at both ends that mix with neighbours are left out.
func disguises(secret string) []string {
	forms := []string{secret}
	for _, form := range []string{url.QueryEscape(secret), url.PathEscape(secret), jsonInner(secret)} {
		if form != secret {
			forms = append(forms, form)
		}
	}
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for offset := range 3 {
			encoded := enc.EncodeToString(append(make([]byte, offset), secret...))
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

// jsonInner is the secret as it stands inside a JSON string.
func jsonInner(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s)
}

// maskWriter masks a stream. It holds back as much as could be the beginning of a secret
// until more is written, or Flush.
type maskWriter struct {
	w      io.Writer
	masker *masker
	held   []byte
}

// Write implements io.Writer.
func (w *maskWriter) Write(p []byte) (int, error) {
	replacer, longest := w.masker.current()
	if replacer == nil {
		if err := w.Flush(); err != nil {
			return 0, err
		}
		return w.w.Write(p)
	}
	w.held = append(w.held, p...)
	masked, rest := w.split(replacer, longest)
	w.held = append(w.held[:0], rest...)
	if _, err := io.WriteString(w.w, masked); err != nil {
		return 0, err
	}
	return len(p), nil
}

// split masks what is held and returns the part that no later byte can change. A suffix that is
// the beginning of a pattern is the rest.
func (w *maskWriter) split(replacer *strings.Replacer, longest int) (masked string, rest []byte) {
	w.masker.mu.Lock()
	patterns := w.masker.patterns
	w.masker.mu.Unlock()
	text := string(w.held)
	cut := len(text)
	for i := max(0, len(text)-longest+1); i < len(text); i++ {
		if slices.ContainsFunc(patterns, func(p string) bool { return len(p) > len(text)-i && strings.HasPrefix(p, text[i:]) }) {
			cut = i
			break
		}
	}
	// A whole secret may straddle the cut: give it up to the rest as a whole.
	for {
		moved := false
		for _, p := range patterns {
			from := max(0, cut-len(p)+1)
			if at := strings.Index(text[from:min(len(text), cut+len(p)-1)], p); at >= 0 && from+at < cut && from+at+len(p) > cut {
				cut, moved = from+at, true
			}
		}
		if !moved {
			break
		}
	}
	return replacer.Replace(text[:cut]), w.held[cut:]
}

// Flush writes what was held back.
func (w *maskWriter) Flush() error {
	if len(w.held) == 0 {
		return nil
	}
	text := w.masker.text(string(w.held))
	w.held = w.held[:0]
	_, err := io.WriteString(w.w, text)
	return err
}
