package engine

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// maxLine is how much of one line of a program's output a message shows.
const maxLine = 500

// printable makes a line that a program wrote fit to be shown, and short.
func printable(line string) string {
	line = strings.TrimRight(line, "\r")
	var b strings.Builder
	for i, r := range line {
		if b.Len() >= maxLine {
			return b.String() + "…"
		}
		writeEscaped(&b, r, line[i:])
	}
	return b.String()
}

// Escape makes text fit to be shown: control characters, which could rewrite what the terminal shows, and broken UTF-8
// are escaped as in JSON. Line ends and tabs stay.
func Escape(text string) string {
	var b strings.Builder
	for i, r := range text {
		if r == '\n' {
			b.WriteRune(r)
			continue
		}
		writeEscaped(&b, r, text[i:])
	}
	return b.String()
}

// writeEscaped adds a character, with which from begins, or what is shown in its place.
func writeEscaped(b *strings.Builder, r rune, from string) {
	switch {
	case r == '\t' || unicode.IsPrint(r) && !(r == utf8.RuneError && !strings.HasPrefix(from, "\uFFFD")):
		b.WriteRune(r)
	case r == utf8.RuneError:
		fmt.Fprintf(b, `\x%02x`, from[0])
	default:
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(b, `\u%04x`, unit)
		}
	}
}
