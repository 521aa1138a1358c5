package plan

import (
	"errors"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

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
// what is wrong with it.
func quotedIn(x hcl.Expression, ctx *hcl.EvalContext) []string {
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
	return sensitiveTexts(value)
}

// sensitiveContext says whether something sensitive can be seen from where an expression stands.
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

// withoutSensitive takes what is sensitive of a function's arguments out of its error, and what is of no use.
func withoutSensitive(err error, args []cty.Value) error {
	const most = 1000 // bytes of a message in which nothing needs to be cut
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[function.PanicError](err); ok { // it would show Go's stack; cty's log and pow do so where no number is the result
		return errors.New("it has no result for these arguments")
	}
	secrets := sensitiveTexts(args...)
	if len(secrets) == 0 && len(err.Error()) <= most {
		return err
	}
	told := errors.New(hideQuoted(hide(err.Error(), secrets), secrets))
	var argErr function.ArgError
	if errors.As(err, &argErr) {
		return function.NewArgError(argErr.Index, told)
	}
	return told
}
