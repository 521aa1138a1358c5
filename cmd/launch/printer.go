package main

import (
	"encoding/json"
	"io"
	"os"
	"slices"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/launchplan/launch/engine"
)

// A printer shows text and JSON. What programs, plans and hosts had a say in stands in nearly all of it, so nothing
// passes that a terminal would obey. It remembers whether all could be written, which few that write to it ask.
type printer struct {
	w     io.Writer
	begun []byte // of a character
	err   error  // the first one
}

func (p *printer) Write(b []byte) (int, error) {
	err := p.write(b)
	if err != nil && p.err == nil {
		p.err = err
	}
	return len(b), err
}

func (p *printer) write(b []byte) error {
	if len(p.begun) == 0 && !slices.ContainsFunc(b, mayNeedEscape) { // such as nearly all of a large run's JSON
		_, err := p.w.Write(b)
		return err
	}
	text := append(p.begun, b...)
	whole := wholeCharacters(text)
	p.begun = text[whole:]
	_, err := io.WriteString(p.w, engine.Escape(string(text[:whole])))
	return err
}

func mayNeedEscape(c byte) bool { return c != '\n' && c != '\t' && (c < ' ' || c > '~') }

// wholeCharacters is where the last character begins that more has to come of.
func wholeCharacters(text []byte) int {
	for begin := len(text) - 1; begin >= max(0, len(text)-utf8.UTFMax); begin-- {
		if utf8.RuneStart(text[begin]) {
			if !utf8.FullRune(text[begin:]) {
				return begin
			}
			break
		}
	}
	return len(text)
}

// exactly is where a printer writes, for what is copied as it is.
func exactly(w io.Writer) io.Writer {
	if p, ok := w.(*printer); ok {
		return p.w
	}
	return w
}

// terminalOf is the terminal that is written to, if it is one.
func terminalOf(w io.Writer) (*os.File, bool) {
	f, ok := exactly(w).(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// writeJSON writes a command's result as -o json has it.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
