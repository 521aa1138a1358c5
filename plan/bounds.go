package plan

import (
	"fmt"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Bounds on what a plan may be. Each is far above what a plan for people needs, and
// low enough that a hostile one is refused before it costs a second or a gigabyte.
const (
	maxSource     = 64 << 20 // bytes of plan files together: 100,000 services written out have less
	maxNesting    = 100      // brackets and templates within each other: the parser recurses
	maxChain      = 5_000    // operators in one expression: so does evaluation
	maxLocalDepth = 1000     // locals that refer to locals
	maxPlanDepth  = 16       // plans within plans
	maxPlans      = 10_000   // of all levels: sixteen files whose plans each hold the next one twice would be 65,536
	maxName       = 100      // it becomes part of a directory's name
	maxPath       = 512
	maxTexts      = 16 << 20  // bytes of the texts in one value
	maxElements   = 2 << 20   // values in one value: a hundred thousand services, with all their attributes, are half of it
	maxTakenApart = 1 << 20   // bytes of a text that becomes a value for each part
	maxReferred   = 16 << 20  // bytes of texts in the locals and variables that one expression refers to
	maxNumber     = 1000      // digits of a number
	maxExponent   = 4096      // of a number, base 2: 1e1000000000 would be a gigabyte as a text
	maxMade       = 64 << 20  // bytes that for expressions make in all their steps
	maxLoops      = 512 << 20 // bytes that the for expressions of one expression go over
	perStep       = 2 << 10   // what each step of a loop counts on top of that: 262,144 of them are some tenths of a second
)

// A size is what there is of a value: the bytes of its texts, and the number of values in it.
type size struct{ texts, elements int }

// weight is about what a value takes in memory.
func (s size) weight() int { return s.texts + 16*s.elements }

func (s size) check() error {
	switch {
	case s.texts > maxTexts:
		return fmt.Errorf("has texts of more than %d MiB", maxTexts>>20)
	case s.elements > maxElements:
		return fmt.Errorf("has more than %d elements", maxElements)
	}
	return nil
}

// measure adds up a value. It stops with an error at the bounds.
func measure(value cty.Value) (size, error) {
	var total size
	err := addSize(value, &total)
	return total, err
}

func checkSize(value cty.Value) error {
	_, err := measure(value)
	return err
}

func addSize(value cty.Value, total *size) error {
	value, _ = value.Unmark()
	total.elements++
	if err := total.check(); err != nil {
		return err
	}
	if value == cty.NilVal || !value.IsKnown() || value.IsNull() {
		return nil
	}
	switch ty := value.Type(); {
	case ty == cty.String:
		total.texts += len(value.AsString())
		return total.check()
	case ty == cty.Number:
		number := value.AsBigFloat()
		if exp := number.MantExp(nil); number.IsInf() || exp > maxExponent || exp < -maxExponent {
			return fmt.Errorf("holds a number that is out of range")
		}
	case ty.IsCollectionType(), ty.IsTupleType(), ty.IsObjectType():
		for it := value.ElementIterator(); it.Next(); {
			_, element := it.Element()
			if err := addSize(element, total); err != nil {
				return err
			}
		}
	}
	return nil
}

// A meter bounds the work of one evaluation: for expressions in for expressions
// multiply, and nothing else in the language does.
type meter struct {
	left int // to go over
	room int // for what is made
}

// meterName is no identifier, so no plan can refer to it.
const meterName = "\x00meter"

func newMeter() cty.Value {
	return cty.CapsuleVal(meterCapsuleType, &meter{left: maxLoops, room: maxMade})
}

// A metered collection of a for expression charges what is gone over. Of a sensitive one each element is marked: hcl
// marks what the whole loop makes, and the functions in it would not know what they must not quote.
type metered struct {
	hclsyntax.Expression
}

// Value implements hcl.Expression.
func (m *metered) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	budget := meterOf(ctx)
	if budget.left < 0 {
		return cty.DynamicVal, nil // this was said; the loops around this one end quickly now
	}
	value, diags := m.Expression.Value(ctx)
	if diags.HasErrors() {
		return value, diags
	}
	measured, err := measure(value)
	cost := measured.weight()
	if plain, _ := value.Unmark(); plain.IsKnown() && !plain.IsNull() && plain.CanIterateElements() {
		cost += plain.LengthInt() * perStep
	}
	if budget.left -= cost; err == nil && budget.left < 0 {
		err = fmt.Errorf("is gone over too often: the for expressions here take more than %d steps", maxLoops/perStep)
	}
	if err != nil {
		budget.left = -1
		return cty.DynamicVal, append(diags, failure(m.Range(), "Value too large", "This collection %v.", err))
	}
	return markElements(value), diags
}

// A madeInLoop value: what is made in each step of a for expression is charged too.
type madeInLoop struct {
	hclsyntax.Expression
}

// Value implements hcl.Expression.
func (m *madeInLoop) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	budget := meterOf(ctx)
	if budget.room < 0 {
		return cty.DynamicVal, nil // this was said
	}
	value, diags := m.Expression.Value(ctx)
	if diags.HasErrors() {
		return value, diags
	}
	measured, err := measure(value)
	if budget.room -= measured.weight(); err == nil && budget.room < 0 {
		err = fmt.Errorf("is made so often that all have more than %d MiB together", maxMade>>20)
	}
	if err != nil {
		budget.room = -1
		return cty.DynamicVal, append(diags, failure(m.Range(), "Value too large", "This value %v.", err))
	}
	return value, diags
}

// meterOf finds the meter of an evaluation.
func meterOf(ctx *hcl.EvalContext) *meter {
	for ; ctx != nil; ctx = ctx.Parent() {
		if v, ok := ctx.Variables[meterName]; ok {
			return v.EncapsulatedValue().(*meter)
		}
	}
	return &meter{left: maxLoops, room: maxMade} // of a constant
}

// meterLoops makes every for expression in e count what it goes over, and says whether there is one.
func meterLoops(e hcl.Expression) bool {
	node, ok := e.(hclsyntax.Expression)
	if !ok {
		return false
	}
	var loops []*hclsyntax.ForExpr
	hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		if loop, ok := n.(*hclsyntax.ForExpr); ok {
			loops = append(loops, loop)
		}
		return nil
	})
	for _, loop := range loops { // not while they are visited: a wrapped expression hides itself
		if _, done := loop.CollExpr.(*metered); !done {
			loop.CollExpr = &metered{loop.CollExpr}
			loop.ValExpr = &madeInLoop{loop.ValExpr}
		}
	}
	return len(loops) > 0
}

// shorten cuts what a message quotes.
func shorten(text string) string {
	const most = 60
	if len(text) <= most {
		return text
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
