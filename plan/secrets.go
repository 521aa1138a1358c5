package plan

import (
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// A mark on a cty value stays with what is made of it.
type mark string

const sensitiveMark = mark("sensitive")

// maxSecret bounds what is looked for in output: a longer one is a document that
// contains secrets, which are known by themselves.
const maxSecret = 64 << 10

// A secretSet holds the sensitive strings that are known.
type secretSet struct {
	strings map[string]bool
	order   []string // the same as they became known
}

// add keeps the strings in the sensitive parts of value.
func (set *secretSet) add(value cty.Value) { set.walk(value, false, set.keep) }

// addGiven keeps the strings in the sensitive parts of value, which is as somebody gave it.
func (set *secretSet) addGiven(value cty.Value) { set.walk(value, false, set.keepGiven) }

func (set *secretSet) walk(value cty.Value, sensitive bool, keep func(string)) {
	if !sensitive && !value.ContainsMarked() {
		return
	}
	sensitive = sensitive || value.HasMark(sensitiveMark)
	value, _ = value.Unmark()
	if !value.IsKnown() || value.IsNull() {
		return
	}
	switch ty := value.Type(); {
	case ty == cty.String || ty == cty.Number:
		if sensitive {
			text, err := convert.Convert(value, cty.String)
			if err == nil {
				keep(text.AsString())
			}
		}
	case ty.IsCollectionType(), ty.IsTupleType(), ty.IsObjectType():
		for it := value.ElementIterator(); it.Next(); {
			_, element := it.Element()
			set.walk(element, sensitive, keep)
		}
	}
}

func (set *secretSet) keep(text string) {
	if len(text) < MinSecret || len(text) > maxSecret {
		return
	}
	if set.strings[text] {
		return
	}
	if set.strings == nil {
		set.strings = map[string]bool{}
	}
	set.strings[text] = true
	set.order = append(set.order, text)
}

// keepGiven keeps a text with its lines: of a key or a list of passwords, programs show parts, indent them or end them
// otherwise. Of a text in which an expression put a secret only that is one, not each line of it: mostly it is a file.
func (set *secretSet) keepGiven(text string) {
	set.keep(text)
	if len(text) > maxSecret || !strings.Contains(text, "\n") {
		return
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if len(line) >= MinSecretLine && !strings.HasPrefix(line, "-----") { // which says what a PEM file is
			set.keep(line)
		}
	}
}

// short says whether value has a sensitive string that is too short to be kept.
func short(value cty.Value) bool {
	found := false
	var set secretSet
	set.walk(value, false, func(text string) { found = found || text != "" && len(text) < MinSecret })
	return found
}

// list is longest first, so that a secret within another one does not spoil it.
func (set *secretSet) list() []string {
	list := keys(set.strings)
	sort.SliceStable(list, func(i, j int) bool { return len(list[i]) > len(list[j]) })
	return list
}

// Secrets returns every sensitive string that is known by now (values of sensitive variables, exports and what
// expressions made of them), longest first, none shorter than MinSecret.
func (t *Tree) Secrets() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.secrets.list()
}

// SecretsAfter returns those of Secrets that became known after the first n, in the order in which they did.
func (t *Tree) SecretsAfter(n int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clip(t.secrets.order[n:])
}

// SecretsIn returns the sensitive strings in an exports file, also in one that is not as it should be.
func (s *Service) SecretsIn(exports []byte) []string {
	left, err := readExports(exports)
	if err != nil {
		return nil
	}
	var set secretSet
	for _, e := range s.group.block.exports {
		if !e.sensitive {
			continue
		}
		value, found, err := e.parse(left)
		if err != nil {
			value = cty.StringVal(left[e.name].text)
		}
		if found {
			set.addGiven(value.Mark(sensitiveMark))
		}
	}
	return set.order
}

// keepSecrets notes what of a value, evaluated with ctx, is sensitive. mu is held.
func (s *scope) keepSecrets(ctx *hcl.EvalContext, value cty.Value) {
	if s.tree == nil || !value.ContainsMarked() {
		return
	}
	used := sync.OnceValue(func() []string { // which may be many
		var set secretSet
		for _, v := range ctx.Variables {
			set.add(v)
		}
		return set.order
	})
	s.tree.secrets.walk(value, false, func(text string) {
		made := strings.Contains(text, "\n") &&
			slices.ContainsFunc(used(), func(part string) bool { return strings.Contains(text, part) })
		if made {
			s.tree.secrets.keep(text)
		} else {
			s.tree.secrets.keepGiven(text)
		}
	})
}

// scrub takes secrets out of what hcl and functions say of a mistake: some quote
// their arguments. mu is held.
func (s *scope) scrub(diags hcl.Diagnostics) hcl.Diagnostics {
	for _, d := range diags {
		quoted := quotedBy(d)
		if s.tree != nil {
			quoted = append(quoted, s.tree.secrets.list()...)
		}
		d.Summary, d.Detail = hide(d.Summary, quoted), hide(d.Detail, quoted)
		if len(quoted) > 0 || sensitiveContext(d.EvalContext) {
			d.EvalContext = nil // whose values are shown with the message
		}
	}
	return diags
}

// quotedBy are the sensitive texts in the value that a mistake is about: the argument of a function, a key that is there
// twice.
func quotedBy(d *hcl.Diagnostic) []string {
	if d.Expression == nil || d.EvalContext == nil {
		return nil
	}
	return quotedIn(d.Expression, d.EvalContext)
}

// quotedIn are the sensitive texts of an expression. One that fails itself, as an argument of try does, is quoted with
// what is wrong with it. In a loop over something sensitive that is each text: what hcl takes out of a set is not marked,
// nor is a key.
func quotedIn(x hcl.Expression, ctx *hcl.EvalContext) []string {
	x = wholeOf(x)
	value, diags := x.Value(ctx)
	if diags.HasErrors() {
		var quoted []string
		for _, d := range diags {
			if d.Expression != x {
				quoted = append(quoted, quotedBy(d)...)
				continue
			}
			if call, ok := x.(*hclsyntax.FunctionCallExpr); ok {
				for _, arg := range call.Args {
					quoted = append(quoted, quotedIn(arg, ctx)...)
				}
			}
		}
		return quoted
	}
	if ctx.Parent() != nil && sensitiveContext(ctx) {
		value = value.Mark(sensitiveMark)
	}
	return sensitiveTexts(value)
}

// sensitiveContext says whether something sensitive can be seen from where an expression stands: what a for expression
// takes out of a sensitive list is not marked itself.
func sensitiveContext(ctx *hcl.EvalContext) bool {
	for ; ctx != nil; ctx = ctx.Parent() {
		for _, value := range ctx.Variables {
			if value.ContainsMarked() {
				return true
			}
		}
	}
	return false
}

// sensitiveTexts are those in the sensitive parts of values, however short, and the names there.
func sensitiveTexts(values ...cty.Value) []string {
	var texts []string
	var set secretSet
	for _, value := range values {
		set.walk(value, false, func(text string) { texts = append(texts, text) })
		_ = cty.Walk(value, func(_ cty.Path, v cty.Value) (bool, error) {
			if ty := v.Type(); v.IsMarked() && v.IsKnown() && !v.IsNull() && (ty.IsMapType() || ty.IsObjectType()) {
				plain, _ := v.Unmark()
				texts = append(texts, keys(plain.AsValueMap())...)
			}
			return true, nil
		})
	}
	return texts
}

// hide takes secrets out of a message, which may quote them, cut them short, or both. Of those that stand in many other
// texts only what is quoted is taken.
func hide(message string, secrets []string) string {
	sort.SliceStable(secrets, func(i, j int) bool { return len(secrets[i]) > len(secrets[j]) })
	for _, secret := range secrets {
		for _, shown := range []string{secret, shorten(secret)} {
			quoted := strconv.Quote(shown)
			if len(secret) < MinSecret {
				message = strings.ReplaceAll(message, quoted, `"(sensitive)"`)
				continue
			}
			message = strings.ReplaceAll(message, shown, "(sensitive)")
			message = strings.ReplaceAll(message, quoted[1:len(quoted)-1], "(sensitive)")
		}
	}
	return message
}

// hideQuoted takes out of a message whatever it quotes that is a part of a secret, such as the character at which a document
// is none or a verb of a format, and what is too long to be read.
func hideQuoted(message string, secrets []string) string {
	const most = 200
	quoted := regexp.MustCompile(`"(?:[^"\\]|\\.)+"|'(?:[^'\\]|\\[^ ]{1,9})'|` + "`[^`]+`")
	return quoted.ReplaceAllStringFunc(message, func(part string) string {
		mark, inner := part[:1], part[1:len(part)-1]
		plain, err := strconv.Unquote(part)
		if err != nil {
			plain = inner
		}
		plain = strings.TrimSuffix(plain, "…")
		isPart := func(secret string) bool { return strings.Contains(secret, plain) || strings.Contains(secret, inner) }
		switch {
		case slices.ContainsFunc(secrets, isPart):
			return mark + "(sensitive)" + mark
		case len(part) > most:
			return mark + "…" + mark
		}
		return part
	})
}

// withoutSecrets is scrubText for those who do not hold mu.
func (s *scope) withoutSecrets(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.scrubText(text)
}

// scrubText takes secrets out of a text. mu is held.
func (s *scope) scrubText(text string) string {
	if s.tree == nil {
		return text
	}
	return hide(text, s.tree.secrets.list())
}
