package plan

import (
	"slices"
	"sort"
	"strings"
	"sync"

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

// holdsSecret looks for secrets in the texts of value, names included.
func holdsSecret(value cty.Value, secrets []string) bool {
	value, _ = value.UnmarkDeep()
	found := false
	contains := func(text string) bool {
		for _, secret := range secrets {
			if len(secret) >= MinSecret && strings.Contains(text, secret) {
				return true
			}
		}
		return false
	}
	_ = cty.Walk(value, func(path cty.Path, v cty.Value) (bool, error) {
		if len(path) > 0 {
			switch step := path[len(path)-1].(type) {
			case cty.GetAttrStep:
				found = found || contains(step.Name)
			case cty.IndexStep:
				if step.Key.Type() == cty.String {
					found = found || contains(step.Key.AsString())
				}
			}
		}
		if v.IsKnown() && !v.IsNull() && (v.Type() == cty.String || v.Type() == cty.Number) {
			if text, err := convert.Convert(v, cty.String); err == nil {
				found = found || contains(text.AsString())
			}
		}
		return !found, nil
	})
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
