package plan

import (
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// An evaluation gathers what one service (or level) is made of, and all that is
// wrong with it. While a plan is checked, values that are not known yet are
// nothing to complain of: what needs them is left out.
type evaluation struct {
	scope *scope
	in    instance
	check bool
	// again says that the service was checked before: without variables by Load, or
	// another instance of it. Only what may be different now is left to do.
	again repeat
	nulls []*expression // that value found to be null
	diags hcl.Diagnostics
}

// repeat says what was checked of a service before.
type repeat uint8

const (
	firstTime       repeat = iota
	withVariables          // Load checked it: constants are as they were
	anotherInstance        // so is everything that does not depend on the instance
)

func (r repeat) skips(x *expression) bool {
	return r >= withVariables && x.settled || r == anotherInstance && !x.perInstance
}

func (e *evaluation) fail(at hcl.Range, summary, format string, args ...any) {
	e.diags = append(e.diags, failure(at, summary, format, args...))
}

// value evaluates x for a type. It is not ok where there is no x, where it is null,
// in error, or not known as a whole.
func (e *evaluation) value(x *expression, ty cty.Type) (value cty.Value, ok bool) {
	value, ok = e.anyValue(x, ty)
	if !ok {
		return value, false
	}
	if plain, _ := value.Unmark(); plain.IsKnown() && plain.IsNull() {
		e.nulls = append(e.nulls, x)
		return value, false
	}
	if !value.IsWhollyKnown() {
		if !e.check {
			e.diags = append(e.diags, e.scope.notKnown(x, e.in))
		}
		return value, false
	}
	return value, true
}

// anyValue is value, null and unknown values included.
func (e *evaluation) anyValue(x *expression, ty cty.Type) (cty.Value, bool) {
	if x == nil || x.broken || e.again.skips(x) {
		return cty.DynamicVal, false
	}
	e.scope.mu.Lock()
	value, shared := e.scope.groups[e.in.block].sharedValue(x, e.in, nil)
	var ctx *hcl.EvalContext
	var diags hcl.Diagnostics
	if !shared {
		ctx, diags = e.scope.context(x, e.in, nil)
	}
	e.scope.mu.Unlock()
	if diags.HasErrors() {
		if !e.check { // a check reports them where they stand
			e.diags = append(e.diags, diags...)
		}
		return cty.DynamicVal, false
	}
	if !shared {
		value, diags = x.Value(ctx)
	}
	if diags.HasErrors() {
		e.diags = append(e.diags, e.scope.explain(x, e.in, diags)...)
		return cty.DynamicVal, false
	}
	converted, err := quickConvert(value, ty)
	if err != nil {
		e.fail(x.Range(), "Value of another type", "A value of type %s is needed here: %s.", typeName(ty), e.scope.withoutSecrets(misfit(value, err)))
		return cty.DynamicVal, false
	}
	if err := checkSize(converted); err != nil {
		e.fail(x.Range(), "Value too large", "This value %v.", err)
		return cty.DynamicVal, false
	}
	if converted.ContainsMarked() {
		e.scope.mu.Lock()
		defer e.scope.mu.Unlock()
		e.scope.keepSecrets(ctx, converted)
	}
	return converted, true
}

// leftOut says whether an attribute that was evaluated is not there, or null, which is the same.
func (e *evaluation) leftOut(x *expression) bool {
	return x == nil || slices.Contains(e.nulls, x)
}

// notNull reports null for what a block cannot do without: there would be nothing to run, or nothing to check.
func (e *evaluation) notNull(x *expression, what string) {
	if x != nil && e.leftOut(x) {
		e.fail(x.Range(), "Null value", "%q must not be null here.%s", what, e.scope.whyNull(x, e.in))
	}
}

// A text that an expression gave, and whether a secret is part of it.
type text struct {
	value     string
	sensitive bool
}

func (t text) shown() string {
	if t.sensitive {
		return "(sensitive)"
	}
	return t.value
}

func (e *evaluation) text(x *expression) (text, bool) {
	value, ok := e.value(x, cty.String)
	if !ok {
		return text{}, false
	}
	plain, marks := value.Unmark()
	if strings.ContainsRune(plain.AsString(), 0) {
		e.fail(x.Range(), "NUL byte in a text", "This text contains a NUL byte, which no program can be given.")
		return text{}, false
	}
	return text{plain.AsString(), len(marks) > 0}, true
}

// plainText is text where a secret cannot be: it will be shown.
func (e *evaluation) plainText(x *expression, what string) (string, bool) {
	t, ok := e.text(x)
	if !ok {
		return "", false
	}
	if t.sensitive {
		e.fail(x.Range(), "Sensitive value in the open",
			"%q is shown in messages and kept, so it cannot depend on a sensitive value.", what)
		return "", false
	}
	return t.value, true
}

func (e *evaluation) duration(x *expression, what string, otherwise time.Duration) time.Duration {
	written, ok := e.plainText(x, what)
	if !ok {
		return otherwise
	}
	d, err := time.ParseDuration(written)
	switch {
	case err != nil:
		e.fail(x.Range(), "Invalid duration", "%q is not a duration. Write it as \"500ms\", \"30s\", \"10m\" or \"1h30m\".", shorten(written))
	case d < minDuration || d > maxDuration:
		e.fail(x.Range(), "Duration out of range", "%s is out of range: %q must be between %s and %s.", shorten(written), what, minDuration, maxDuration)
	default:
		return d
	}
	return otherwise
}

// whole is a whole number between least and most.
func (e *evaluation) whole(x *expression, what string, least, most, otherwise int) int {
	value, ok := e.value(x, cty.Number)
	if !ok {
		return otherwise
	}
	if value.IsMarked() {
		e.fail(x.Range(), "Sensitive value in the open",
			"%q is shown in messages and kept, so it cannot depend on a sensitive value.", what)
		return otherwise
	}
	if n, ok := e.wholeNumber(x, value, what, least, most); ok {
		return n
	}
	return otherwise
}

func (e *evaluation) wholeNumber(x *expression, value cty.Value, what string, least, most int) (int, bool) {
	n, accuracy := value.AsBigFloat().Int64()
	if accuracy != 0 || n < int64(least) || n > int64(most) {
		e.fail(x.Range(), "Number out of range", "%q must be a whole number from %d to %d.", what, least, most)
		return 0, false
	}
	return int(n), true
}

// texts is a list of texts; null elements are a mistake.
func (e *evaluation) texts(x *expression) ([]text, bool) {
	value, ok := e.value(x, cty.List(cty.String))
	if !ok {
		return nil, false
	}
	value, marks := value.Unmark()
	list := make([]text, 0, value.LengthInt())
	for it := value.ElementIterator(); it.Next(); {
		_, element := it.Element()
		plain, its := element.Unmark()
		if plain.IsNull() {
			e.fail(x.Range(), "Null in a list", "Element [%d] of this list is null.%s", len(list), e.scope.whyNull(x, e.in))
			return nil, false
		}
		if strings.ContainsRune(plain.AsString(), 0) {
			e.fail(x.Range(), "NUL byte in a text", "Element [%d] of this list contains a NUL byte, which no program can be given.", len(list))
			return nil, false
		}
		list = append(list, text{plain.AsString(), len(marks)+len(its) > 0})
	}
	return list, true
}

// env is a program's environment. A null value leaves its name out.
func (e *evaluation) env(x *expression) map[string]string {
	value, ok := e.value(x, cty.Map(cty.String))
	if !ok {
		e.envNames(x)
		return nil
	}
	sensitive := value.IsMarked() // its names, too
	value, _ = value.UnmarkDeep()
	env := map[string]string{}
	for it := value.ElementIterator(); it.Next(); {
		key, element := it.Element()
		name := text{key.AsString(), sensitive}
		if !e.envName(x, name) || element.IsNull() {
			continue
		}
		if strings.ContainsRune(element.AsString(), 0) {
			e.fail(x.Range(), "NUL byte in a text", "The value of %s contains a NUL byte, which no program can be given.", name.shown())
			continue
		}
		env[name.value] = element.AsString()
	}
	return env
}

// envNames checks the names of an environment whose values are not all known.
func (e *evaluation) envNames(x *expression) {
	if x == nil || !e.check || x.broken || e.again != firstTime {
		return
	}
	pairs, diags := hcl.ExprMap(x.Expression)
	if diags.HasErrors() {
		return
	}
	for _, pair := range pairs {
		name := hcl.ExprAsKeyword(pair.Key)
		if name == "" {
			if value, diags := constantValue(pair.Key, nil); !diags.HasErrors() && isPlainString(value) {
				name = value.AsString()
			}
		}
		if name != "" {
			e.envName(x, text{value: name})
		}
	}
}

func (e *evaluation) envName(x *expression, name text) bool {
	valid := name.value != ""
	for i, r := range name.value {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		valid = valid && (letter || i > 0 && r >= '0' && r <= '9')
	}
	switch {
	case !valid:
		e.fail(x.Range(), "Invalid environment name",
			"%q cannot be the name of an environment variable: use letters, digits and _, not beginning with a digit.", shorten(name.shown()))
	case strings.HasPrefix(name.value, "LAUNCH_"):
		e.fail(x.Range(), "Reserved environment name", "%s: names that begin with LAUNCH_ are set by launch itself.", shorten(name.shown()))
		return false
	}
	return valid
}

// isPlainString says whether value can be used as a text right away.
func isPlainString(value cty.Value) bool {
	return !value.IsMarked() && value.Type() == cty.String && value.IsKnown() && !value.IsNull()
}
