package cloudinitd

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// An expr is a string of the new plan: text, and what is known only when it is evaluated.
type expr struct {
	parts []exprPart
}

// An exprPart is text, a piece of HCL, or a value of a service.
type exprPart struct {
	text string
	code string // "var.name", `env("HOME")`: means the same everywhere in the plan

	svc   *oldService // not nil: attr of this service,
	copy  int         // of this copy where it has several
	attr  string
	key   string // the element of attr
	orDep bool   // where the boot program left nothing under this name, the dependency of that name

	concealed []exprPart // not nil: these together, sensitive
	format    string     // not "": "var.token", which has the text between them
}

const countIndex = "count.index"

func textExpr(s string) expr {
	if s == "" {
		return expr{}
	}
	return expr{parts: []exprPart{{text: s}}}
}

func codeExpr(code string) expr { return expr{parts: []exprPart{{code: code}}} }

func (e *expr) add(other expr) {
	for _, p := range other.parts {
		if n := len(e.parts); n > 0 && e.parts[n-1].isText() && p.isText() {
			e.parts[n-1].text += p.text
			continue
		}
		e.parts = append(e.parts, p)
	}
}

func (p exprPart) isText() bool { return p.code == "" && p.svc == nil && p.concealed == nil }

// size bounds what references to references may grow to.
func (e expr) size() int {
	n := 0
	for _, p := range e.parts {
		n += len(p.text) + len(p.code) + len(p.attr) + len(p.key) + expr{p.concealed}.size() + 1
	}
	return n
}

// literal is the text of an expression that is nothing else.
func (e expr) literal() (string, bool) {
	switch {
	case len(e.parts) == 0:
		return "", true
	case len(e.parts) == 1 && e.parts[0].isText():
		return e.parts[0].text, true
	}
	return "", false
}

// ahead says whether the value is the same wherever it stands, and known before anything runs.
func (e expr) ahead() bool {
	for _, p := range e.parts {
		if p.svc != nil || p.code == countIndex || !(expr{p.concealed}).ahead() {
			return false
		}
	}
	return true
}

// hcl writes the expression as it stands in the block of svc (nil: outside of services).
func (e expr) hcl(svc *oldService) string {
	if text, ok := e.literal(); ok {
		return quote(text)
	}
	if len(e.parts) == 1 {
		return e.parts[0].hcl(svc)
	}
	var b strings.Builder
	b.WriteByte('"')
	for i, p := range e.parts {
		if !p.isText() {
			b.WriteString("${" + p.hcl(svc) + "}")
			continue
		}
		text := strings.TrimSuffix(strings.TrimPrefix(quote(p.text), `"`), `"`)
		if i+1 < len(e.parts) {
			text = guardDollar(text)
		}
		b.WriteString(text)
	}
	b.WriteByte('"')
	return b.String()
}

// guardDollar keeps dollars at the end of a text from making an escape, $${, of the interpolation that
// follows: they go into one of their own.
func guardDollar(text string) string {
	rest := strings.TrimRight(text, "$")
	if rest == text {
		return text
	}
	return rest + `${"` + text[len(rest):] + `"}`
}

func (p exprPart) hcl(in *oldService) string {
	switch {
	case p.format != "":
		words := []string{p.format}
		for _, value := range p.concealed {
			words = append(words, expr{[]exprPart{value}}.hcl(in))
		}
		return "format(" + strings.Join(words, ", ") + ")"
	case p.concealed != nil:
		return "sensitive(" + expr{p.concealed}.hcl(in) + ")"
	case p.svc == nil:
		return p.code
	}
	base := "self"
	if p.svc != in {
		base = "service." + p.svc.ident
		if p.svc.copies > 1 {
			base += fmt.Sprintf("[%d]", p.copy)
		}
	}
	if p.orDep {
		return fmt.Sprintf("(%[1]s != null ? %[1]s : %[2]s)", base+index(p.attr), base+".deps"+index(p.attr))
	}
	value := base + index(p.attr)
	if p.key != "" {
		value += index(p.key)
	}
	return value
}

// index is how an element is reached: .name, or ["odd name"].
func index(name string) string {
	if hclsyntax.ValidIdentifier(name) {
		return "." + name
	}
	return "[" + quote(name) + "]"
}

// objectKey is a name as the key of an object.
func objectKey(name string) string {
	if hclsyntax.ValidIdentifier(name) && name != "for" {
		return name
	}
	return quote(name)
}

// quote writes a string as HCL does.
func quote(s string) string {
	return string(hclwrite.TokensForValue(cty.StringVal(strings.ToValidUTF8(s, "\ufffd"))).Bytes())
}

// maxIdentifier leaves room in the 100 characters that a name may have.
const maxIdentifier = 90

// identifier makes a valid name of an old one.
func identifier(name string) string {
	if len(name) > maxIdentifier {
		name = name[:maxIdentifier]
	}
	var b strings.Builder
	for _, c := range name {
		ok := c == '_' || c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !ok {
			c = '_'
		}
		b.WriteRune(c)
	}
	id := b.String()
	if id == "" || !(id[0] == '_' || 'a' <= id[0] && id[0] <= 'z' || 'A' <= id[0] && id[0] <= 'Z') {
		id = "_" + id
	}
	return id
}

// A namer gives each thing a valid name that no other one has.
type namer map[string]bool

func (n namer) name(wanted string) string {
	id := identifier(wanted)
	unique := id
	for i := 2; n[unique]; i++ {
		unique = fmt.Sprintf("%s_%d", id, i)
	}
	n[unique] = true
	return unique
}
