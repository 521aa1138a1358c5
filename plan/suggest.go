package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"
)

// suggest is a sentence with the name that was likely meant, or else with the
// names there are, where they are few.
func suggest(written string, names []string) string {
	const few = 8
	best, distance := "", 3 // more changes than that and it is another word
	for _, name := range names {
		if len(written) > maxName {
			break
		}
		if d := levenshtein.Distance(strings.ToLower(written), strings.ToLower(name), nil); d < distance && d < len(name) {
			if d > 1 && len(written) <= 3 && letters(written) != letters(name) {
				continue // so much of a short word is no slip, unless two letters changed places
			}
			best, distance = name, d
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf(" Did you mean %q?", best)
	case len(names) > 0 && len(names) <= few:
		return fmt.Sprintf(" There is %s.", strings.Join(names, ", "))
	}
	return ""
}

// letters are those of a word, in order.
func letters(word string) string {
	list := []rune(strings.ToLower(word))
	slices.Sort(list)
	return string(list)
}

// keys lists the names of a map in order.
func keys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

// values lists what a map holds, in the order of its names.
func values[K cmp.Ordered, V any](m map[K]V) []V {
	list := make([]V, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		list = append(list, m[key])
	}
	return list
}

// typeName is a type as the plan language writes it.
func typeName(ty cty.Type) string {
	switch {
	case ty == serviceCapsuleType:
		return "a service"
	case ty == runnerCapsuleType:
		return "a runner"
	case ty.IsObjectType() && len(ty.AttributeTypes()) > 4:
		return "an object"
	case ty.IsTupleType():
		return "a list"
	}
	return typeexpr.TypeString(ty)
}

// traversalText is a reference as the plan writes it.
func traversalText(traversal hcl.Traversal) string {
	var b strings.Builder
	for _, step := range traversal {
		switch step := step.(type) {
		case hcl.TraverseRoot:
			b.WriteString(step.Name)
		case hcl.TraverseAttr:
			b.WriteString("." + step.Name)
		case hcl.TraverseIndex:
			switch {
			case isPlainString(step.Key):
				fmt.Fprintf(&b, "[%q]", shorten(step.Key.AsString()))
			case step.Key.Type() == cty.Number && step.Key.IsKnown():
				fmt.Fprintf(&b, "[%s]", step.Key.AsBigFloat().Text('g', 20))
			default:
				b.WriteString("[…]")
			}
		}
	}
	return b.String()
}
