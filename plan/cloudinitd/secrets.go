package cloudinitd

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// A run keeps its plan's files as they are, and shows them. So a secret does not stand in the new plan where the old
// one had it as text: it is a sensitive variable there, whose value goes into a file of variables.

// secretsFile is the file of variables. It is beside the plan, and no part of it: a run does not keep it.
const secretsFile = "secrets.vars"

// A secret is a text of the old plan that the new one does not hold.
type secret struct {
	variable string
	name     string // in the old plan,
	rng      hcl.Range
	value    string
	format   bool // it has %s where values are
}

// Names of what should not be shown, and among them those of what only tells something of it: where it is, what it is
// like, whether there is one.
var (
	secretName   = regexp.MustCompile(`(?i)passw|secret|token|credential|private[_-]?key|access[_-]?key|api[_-]?key|(^|[_-])pw($|[_-])`)
	propertyName = regexp.MustCompile(`(?i)([_-]|passw(or)?d|secret|token|credentials?|key)(path|file|dir|host|hostname|port|name|type|kind|format|encoding|algorithm|method|mode|policy|prompt|header|length|size|count|ttl|timeout|lifetime|expiry|expires|expiration|days|hours|minutes|seconds|required|enabled|disabled|allowed)$`)
	questionName = regexp.MustCompile(`(?i)^(use|enable|disable|require|allow|has|is|no|skip)s?[_-]`)
)

func looksSecret(name string) bool {
	return secretName.MatchString(name) && !propertyName.MatchString(name) && !questionName.MatchString(name)
}

// Values that tell nothing whatever their name is. As secrets they would be masked wherever a program writes such a word.
var (
	switchValue = regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|enabled?|disabled?|required|optional|[0-9]{1,3})$`)
	absentValue = regexp.MustCompile(`(?i)^(none|null|nil|default|auto)?$`)
)

// holdsSecret says whether a value of the old plan is a secret, by its name and by what it is.
func holdsSecret(name, value string) bool {
	return looksSecret(name) && !switchValue.MatchString(value) && !absentValue.MatchString(value)
}

// secret is a variable for this one. What has the same name and value is the same one.
func (x *resolver) secret(s secret) string {
	key := fmt.Sprint(s.name, "\x00", s.format, "\x00", s.value)
	if known, ok := x.secrets[key]; ok {
		return "var." + known.variable
	}
	wanted := s.name
	if x.plan.globals[wanted] != nil {
		wanted += "_value" // the global's name is known to who gives globals
	}
	s.variable = x.names.name(wanted)
	x.secrets[key] = s
	x.sensitive[s.variable] = true
	return "var." + s.variable
}

// conceal keeps a dependency from being shown whose name says that it should not be. What it is the whole value of is
// sensitive there already; text of the old plan becomes a variable.
func (x *resolver) conceal(name string, rng hcl.Range, e expr) expr {
	if len(e.parts) == 0 || !looksSecret(name) {
		return e
	}
	if text, ok := e.literal(); ok {
		if !holdsSecret(name, text) {
			return e
		}
		return codeExpr(x.secret(secret{name: name, rng: rng, value: text}))
	}
	if len(e.parts) == 1 && x.conceals(e.parts[0]) {
		return e
	}
	var format strings.Builder
	var values []exprPart
	withText := false
	for _, p := range e.parts {
		if !p.isText() {
			format.WriteString("%s")
			values = append(values, p)
			continue
		}
		format.WriteString(strings.ReplaceAll(p.text, "%", "%%"))
		withText = withText || strings.ContainsFunc(p.text, isWordCharacter)
	}
	if withText {
		return expr{parts: []exprPart{{concealed: values, format: x.secret(secret{name: name, rng: rng, value: format.String(), format: true})}}}
	}
	return expr{parts: []exprPart{{concealed: e.parts}}}
}

// isWordCharacter: what has none of these is between values, and tells nothing.
func isWordCharacter(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r >= 0x80
}

// conceals makes a value sensitive where it comes from, and says whether that is possible.
func (x *resolver) conceals(p exprPart) bool {
	name, isVariable := strings.CutPrefix(p.code, "var.")
	switch {
	case isVariable:
		x.sensitive[name] = true
	case p.svc != nil && p.svc.exports[p.attr]:
		p.svc.concealed[p.attr] = true
	default:
		return x.isSecret(p)
	}
	return true
}

var variableName = regexp.MustCompile(`\bvar\.([A-Za-z0-9_-]+)`)

// isSecret says whether a part of a value is sensitive in the new plan.
func (x *resolver) isSecret(parts ...exprPart) bool {
	return x.isSecretBut(parts, map[dependencyOf]bool{})
}

// isSecretBut passes over dependencies that were seen already.
func (x *resolver) isSecretBut(parts []exprPart, seen map[dependencyOf]bool) bool {
	return slices.ContainsFunc(parts, func(p exprPart) bool {
		switch {
		case p.concealed != nil:
			return true
		case p.svc == nil:
			return slices.ContainsFunc(variableName.FindAllStringSubmatch(p.code, -1), func(m []string) bool { return x.sensitive[m[1]] })
		case p.attr != "deps":
			return p.svc.keeps(p.attr)
		}
		d := dependencyOf{p.svc, p.key}
		if seen[d] {
			return false
		}
		seen[d] = true
		return x.isSecretBut(p.svc.depFinal[p.key].parts, seen)
	})
}

// keeps says whether what the boot program leaves under this name is not to be shown.
func (svc *oldService) keeps(export string) bool { return svc.concealed[export] || looksSecret(export) }

// templateValue finds NAME=VALUE and "NAME": "VALUE" in a template.
var templateValue = regexp.MustCompile(`([A-Za-z][\w-]*)["']?[ \t]*[=:][ \t]*["']?([^\s"',{}\[\]]+)`)

// secretInTemplate is the name of a value that is a secret by it, and stands in a template as text.
func secretInTemplate(text string) string {
	for _, m := range templateValue.FindAllStringSubmatch(text, -1) {
		switch name, value := m[1], m[2]; {
		case strings.Contains(value, "$"):
		case holdsSecret(name, value):
			return name
		}
	}
	return ""
}

// secretInWords is the same for arguments: NAME=VALUE and --NAME VALUE.
func secretInWords(words []string) string {
	for i, word := range words {
		name, value, whole := strings.Cut(word, "=")
		if !whole && strings.HasPrefix(name, "-") && i+1 < len(words) && !strings.HasPrefix(words[i+1], "-") {
			value = words[i+1]
		}
		if name = strings.TrimLeft(name, "-"); !strings.Contains(value, "$") && holdsSecret(name, value) {
			return name
		}
	}
	return ""
}

func (x *resolver) warnOfSecret(rng hcl.Range, where, name string) {
	if name != "" {
		x.warnOnce(rng, "Secret in the open", "%s give a value to %q as text. It stands in the imported plan as it is, and launch keeps it with the plan. Make it a dependency of that name, and refer to that, to have it kept apart.", where, name)
	}
}

// open is an expression where a secret cannot be: a host's name is shown.
func (x *resolver) open(e expr, svc *oldService) string {
	if x.isSecret(e.parts...) {
		return "nonsensitive(" + e.hcl(svc) + ")"
	}
	return e.hcl(svc)
}

// secretsContent is the file of variables.
func (w *writer) secretsContent() string {
	var b strings.Builder
	for _, v := range w.variables() {
		if v.given {
			fmt.Fprintf(&b, "# %s\n%s = %s\n", oneLine(v.description), v.name, quote(v.value))
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "# Passwords, tokens and keys of the plan, for --var-file: neither the plan nor what launch keeps holds them.\n" + b.String()
}
