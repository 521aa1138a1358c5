package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/term"

	"github.com/launchplan/launch/engine"
)

// writeDiagnostics shows mistakes with the lines of the plan in which they stand.
func writeDiagnostics(w io.Writer, diags hcl.Diagnostics, sources map[string]*hcl.File) {
	width, color := uint(78), false
	f, onTerminal := terminalOf(w)
	if onTerminal {
		w, color = f, os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		if cols, _, err := term.GetSize(int(f.Fd())); err == nil && cols > 20 {
			width = uint(cols)
		}
	}
	if onTerminal {
		diags, sources = inert(diags, sources)
	}
	for _, d := range diags {
		d, files := quotable(d, sources)
		if err := hcl.NewDiagnosticTextWriter(w, files, width, color).WriteDiagnostic(d); err != nil {
			fmt.Fprintln(w, d.Error())
		}
	}
}

// inert are diagnostics in which nothing is left that a terminal would obey. They are coloured after that, so a printer
// comes too late for them.
func inert(diags hcl.Diagnostics, sources map[string]*hcl.File) (hcl.Diagnostics, map[string]*hcl.File) {
	told, quoted := hcl.Diagnostics{}, map[string]*hcl.File{}
	for _, d := range diags {
		changed := *d
		changed.Summary, changed.Detail = engine.Escape(d.Summary), engine.Escape(d.Detail)
		told = append(told, &changed)
		if d.Subject == nil || sources[d.Subject.Filename] == nil || quoted[d.Subject.Filename] != nil {
			continue
		}
		file := *sources[d.Subject.Filename]
		file.Bytes = blanked(file.Bytes)
		quoted[d.Subject.Filename] = &file
	}
	return told, quoted
}

// blanked is a source with spaces for what cannot be shown, so that every place in it stays where it is.
func blanked(src []byte) []byte {
	src = bytes.Clone(src)
	for at := 0; at < len(src); {
		r, size := utf8.DecodeRune(src[at:])
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			copy(src[at:], "    "[:size])
		}
		at += size
	}
	return src
}

// Bounds on what is quoted of a plan: more than that hides the message under it.
const (
	quotedLine  = 240 // bytes of a line
	quotedBegin = 80  // of these, before what the message is about
	quotedLines = 12
)

// quotable is a diagnostic whose place is not too long to be quoted: the same one, or one whose source is shortened
// around the place.
func quotable(d *hcl.Diagnostic, sources map[string]*hcl.File) (*hcl.Diagnostic, map[string]*hcl.File) {
	if d.Subject == nil {
		return d, sources
	}
	if sources[d.Subject.Filename] == nil { // such as a file of variables, which may hold secrets: its place will do
		return d, map[string]*hcl.File{d.Subject.Filename: {Bytes: []byte{}}}
	}
	file, at, around := sources[d.Subject.Filename], *d.Subject, *d.Subject
	if d.Context != nil {
		around = hcl.RangeOver(at, *d.Context)
	}
	if !around.CanSliceBytes(file.Bytes) {
		return d, sources
	}
	if _, lines := linesOf(file.Bytes, around); len(lines) <= quotedLines && !slices.ContainsFunc(lines, isLong) {
		return d, sources
	}

	start, lines := linesOf(file.Bytes, at)
	// Lines before it stay as empty ones, so that it keeps its number.
	src := bytes.Repeat([]byte("\n"), max(at.Start.Line-1, 0))
	from, to := at.Start.Byte-start, at.End.Byte-start // in lines
	for i, line := range lines {
		if i == quotedLines {
			src = append(src, "…"...)
			at.End.Byte = len(src)
			break
		}
		short, a, b := shortened(line, max(from, 0), min(max(to, 0), len(line)))
		if i == 0 {
			at.Start.Byte = len(src) + a
		}
		at.End.Byte = len(src) + b
		src = append(append(src, short...), '\n')
		from, to = from-len(line)-1, to-len(line)-1
	}
	changed := *d
	changed.Subject, changed.Context = &at, nil
	files := maps.Clone(sources)
	files[at.Filename] = &hcl.File{Bytes: src, Nav: contextOf{file, d.Subject.Start.Byte}}
	return &changed, files
}

// linesOf are the whole lines that a range is in, and where they begin.
func linesOf(src []byte, rng hcl.Range) (start int, lines [][]byte) {
	start = bytes.LastIndexByte(src[:rng.Start.Byte], '\n') + 1
	end := len(src)
	if n := bytes.IndexByte(src[rng.End.Byte:], '\n'); n >= 0 {
		end = rng.End.Byte + n
	}
	return start, bytes.Split(src[start:end], []byte("\n"))
}

func isLong(line []byte) bool { return len(line) > quotedLine }

// shortened cuts a line around the part from a to b, and says where that is then.
func shortened(line []byte, a, b int) (short []byte, from, to int) {
	if !isLong(line) {
		return line, a, b
	}
	begin := 0
	if a > quotedBegin {
		begin = nextRune(line, a-quotedBegin)
		short = []byte("…")
	}
	end := len(line)
	if end-begin > quotedLine {
		end = nextRune(line, begin+quotedLine)
	}
	from, to = len(short)+a-begin, len(short)+min(b, end)-begin
	short = append(short, line[begin:end]...)
	if end < len(line) {
		short = append(short, "…"...)
	}
	return short, from, to
}

// nextRune is where a character begins, at or after this place.
func nextRune(line []byte, at int) int {
	for at < len(line) && !utf8.RuneStart(line[at]) {
		at++
	}
	return at
}

// contextOf tells in which block a place of the whole file is.
type contextOf struct {
	file *hcl.File
	at   int
}

func (c contextOf) ContextString(int) string {
	if nav, ok := c.file.Nav.(interface{ ContextString(offset int) string }); ok {
		return nav.ContextString(c.at)
	}
	return ""
}
