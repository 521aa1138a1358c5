package cloudinitd

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// A bootTemplate is a bootconf, as Python's string.Template reads it.
type bootTemplate struct {
	pieces []templatePiece
}

// A templatePiece is text, or the place where a dependency's value goes.
type templatePiece struct {
	text string // what stands there, `$$` being `$` already
	name string // not empty: the name of a dependency
	rng  hcl.Range
}

// parseTemplate finds `$name`, `${name}` and `$$`. Any other dollar is an error.
func parseTemplate(filename string, src []byte) (*bootTemplate, hcl.Diagnostics) {
	var (
		t     bootTemplate
		diags hcl.Diagnostics
		text  strings.Builder
	)
	flush := func() {
		if text.Len() > 0 {
			t.pieces = append(t.pieces, templatePiece{text: text.String()})
			text.Reset()
		}
	}
	line, lineStart, last := 1, 0, 0
	for {
		next := bytes.IndexByte(src[last:], '$')
		if next < 0 {
			break
		}
		at := last + next
		text.Write(src[last:at])
		if n := bytes.Count(src[last:at], []byte("\n")); n > 0 {
			line += n
			lineStart = bytes.LastIndexByte(src[:at], '\n') + 1
		}
		name, size := placeholder(src[at+1:])
		last = at + 1 + size
		rng := hcl.Range{
			Filename: filename,
			Start:    hcl.Pos{Line: line, Column: at - lineStart + 1, Byte: at},
			End:      hcl.Pos{Line: line, Column: last - lineStart + 1, Byte: last},
		}
		switch {
		case size == 0:
			diags = diags.Append(&hcl.Diagnostic{
				Severity: hcl.DiagError,
				Summary:  "Invalid placeholder",
				Detail:   "A dollar begins $name or ${name}, the name of a dependency: letters, digits and underscores, nothing else. One that stands for itself is written $$.",
				Subject:  &rng,
			})
		case name == "":
			text.WriteByte('$')
		default:
			flush()
			t.pieces = append(t.pieces, templatePiece{name: name, rng: rng})
		}
	}
	text.Write(src[last:])
	flush()
	return &t, diags
}

// placeholder reads what follows a dollar: its length (0: it is none) and the name ("" for a second dollar).
func placeholder(s []byte) (name string, size int) {
	switch {
	case len(s) == 0:
		return "", 0
	case s[0] == '$':
		return "", 1
	case s[0] == '{':
		n := nameLength(s[1:])
		if n == 0 || len(s) <= n+1 || s[n+1] != '}' {
			return "", 0
		}
		return string(s[1 : n+1]), n + 2
	default:
		n := nameLength(s)
		return string(s[:n]), n
	}
}

func nameLength(s []byte) int {
	for i, c := range s {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return i
		}
	}
	return len(s)
}

// literal is the template's text where it has no placeholders.
func (t *bootTemplate) literal() (string, bool) {
	var b strings.Builder
	for _, p := range t.pieces {
		if p.name != "" {
			return "", false
		}
		b.WriteString(p.text)
	}
	return b.String(), true
}

// with fills every placeholder with the same text.
func (t *bootTemplate) with(value string) string {
	var b strings.Builder
	for _, p := range t.pieces {
		if p.name != "" {
			b.WriteString(value)
		} else {
			b.WriteString(p.text)
		}
	}
	return b.String()
}

// hcl is the same template for templatefile: ${name}, and what HCL would take for its own escaped.
func (t *bootTemplate) hcl() string {
	var b strings.Builder
	for i, p := range t.pieces {
		if p.name != "" {
			fmt.Fprintf(&b, "${%s}", templateVariable(p.name))
			continue
		}
		writeTemplateText(&b, p.text, i+1 < len(t.pieces))
	}
	return b.String()
}

// writeTemplateText writes text as it stands in an HCL template. A carriage return alone makes
// HCL overlook what follows, so that it goes into an interpolation.
func writeTemplateText(b *strings.Builder, text string, interpolationFollows bool) {
	escape := strings.NewReplacer("${", "$${", "%{", "%%{")
	for {
		at := strings.IndexByte(text, '\r')
		for at >= 0 && strings.HasPrefix(text[at+1:], "\n") {
			next := strings.IndexByte(text[at+1:], '\r')
			if next < 0 {
				at = -1
				break
			}
			at += 1 + next
		}
		if at < 0 {
			text = escape.Replace(text)
			if interpolationFollows {
				text = guardDollar(text)
			}
			b.WriteString(text)
			return
		}
		b.WriteString(guardDollar(escape.Replace(text[:at])) + `${"\r"}`)
		text = text[at+1:]
	}
}

// templateVariable is a dependency's name where HCL reads it as an identifier.
func templateVariable(name string) string {
	switch name {
	case "for", "in", "if", "else", "endif", "endfor", "null", "true", "false":
		return name + "_"
	}
	return name
}
