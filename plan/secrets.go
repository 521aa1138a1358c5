package plan

import (
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
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
}

// add keeps the strings in the sensitive parts of value.
func (set *secretSet) add(value cty.Value) {
	if !value.ContainsMarked() {
		return
	}
	set.walk(value, false)
}

func (set *secretSet) walk(value cty.Value, sensitive bool) {
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
				set.keep(text.AsString())
			}
		}
	case ty.IsCollectionType(), ty.IsTupleType(), ty.IsObjectType():
		for it := value.ElementIterator(); it.Next(); {
			_, element := it.Element()
			set.walk(element, sensitive)
		}
	}
}

func (set *secretSet) keep(text string) {
	if len(text) < MinSecret || len(text) > maxSecret {
		return
	}
	if set.strings == nil {
		set.strings = map[string]bool{}
	}
	set.strings[text] = true
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

// keepSecrets notes what of a value is sensitive.
func (s *scope) keepSecrets(value cty.Value) {
	if s.tree == nil || !value.ContainsMarked() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tree.secrets.add(value)
}

// scrub takes secrets out of what hcl and functions say of a mistake: some quote
// their arguments. mu is held.
func (s *scope) scrub(diags hcl.Diagnostics) hcl.Diagnostics {
	if s.tree == nil || len(s.tree.secrets.strings) == 0 {
		return diags
	}
	for _, d := range diags {
		d.Summary, d.Detail = s.scrubText(d.Summary), s.scrubText(d.Detail)
		d.EvalContext = nil
	}
	return diags
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
	for _, secret := range s.tree.secrets.list() {
		text = strings.ReplaceAll(text, secret, "(sensitive)")
	}
	return text
}
