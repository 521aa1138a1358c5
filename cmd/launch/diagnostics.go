package main

import (
	"bytes"
	"fmt"
	"io"
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
		var told bytes.Buffer
		short, nothing := *d, map[string]*hcl.File{"": {Bytes: []byte{}}}
		if d.Subject != nil { // hcl looks for the place from the beginning of the file, for each mistake, and tells no values without one
			short.Subject, short.Context = &hcl.Range{}, nil
		}
		if err := hcl.NewDiagnosticTextWriter(&told, nothing, width, color).WriteDiagnostic(&short); err != nil {
			fmt.Fprintln(w, d.Error())
			continue
		}
		title, rest, _ := bytes.Cut(told.Bytes(), []byte("\n\n"))
		if d.Subject != nil {
			_, rest, _ = bytes.Cut(rest, []byte("\n\n"))
		}
		fmt.Fprintf(w, "%s\n\n%s%s", title, quoted(d, sources, color), rest)
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

// quoted is what a diagnostic is about: where that is, and the lines of the source there, as many as can be read.
func quoted(d *hcl.Diagnostic, sources map[string]*hcl.File, color bool) []byte {
	if d.Subject == nil {
		return nil
	}
	var text bytes.Buffer
	file, at, around := sources[d.Subject.Filename], *d.Subject, *d.Subject
	fmt.Fprintf(&text, "  on %s line %d%s:\n", at.Filename, at.Start.Line, contextOf(file, at.Start.Byte))
	if d.Context != nil {
		around = hcl.RangeOver(at, *d.Context)
	}
	if file == nil || !around.CanSliceBytes(file.Bytes) { // such as a file of variables, which may hold secrets: its place will do
		return append(text.Bytes(), '\n')
	}
	start, lines := linesOf(file.Bytes, around)
	if len(lines) > quotedLines || slices.ContainsFunc(lines, isLong) {
		around = at
		start, lines = linesOf(file.Bytes, at)
	}
	mark, unmark := "\x1b[1;4m", "\x1b[0m"
	if !color {
		mark, unmark = "", ""
	}
	from, to := at.Start.Byte-start, max(at.End.Byte, at.Start.Byte+1)-start // in lines
	for i, line := range lines {
		if i == quotedLines {
			fmt.Fprintf(&text, "%4d: %s…%s\n", around.Start.Line+i, mark, unmark)
			break
		}
		short, a, b := shortened(bytes.TrimSuffix(line, []byte("\r")), max(from, 0), max(to, 0))
		switch {
		case len(short) == 0:
		case a < b:
			fmt.Fprintf(&text, "%4d: %s%s%s%s%s\n", around.Start.Line+i, short[:a], mark, short[a:b], unmark, short[b:])
		default:
			fmt.Fprintf(&text, "%4d: %s\n", around.Start.Line+i, short)
		}
		from, to = from-len(line)-1, to-len(line)-1
	}
	return append(text.Bytes(), '\n')
}

// contextOf says in which block a place of a file is.
func contextOf(file *hcl.File, at int) string {
	if file != nil {
		if nav, ok := file.Nav.(interface{ ContextString(offset int) string }); ok && nav.ContextString(at) != "" {
			return ", in " + nav.ContextString(at)
		}
	}
	return ""
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
	a, b = min(a, len(line)), min(b, len(line))
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
