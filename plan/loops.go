package plan

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// A meter bounds the work of one evaluation: for expressions in for expressions
// multiply, and nothing else in the language does.
type meter struct {
	left  int                            // to go over
	room  int                            // for what is made
	marks map[*collection]cty.ValueMarks // of the collections that are gone over
}

// meterName is no identifier, so no plan can refer to it.
const meterName = "\x00meter"

func newMeter() *meter {
	return &meter{left: maxLoops, room: maxMade, marks: map[*collection]cty.ValueMarks{}}
}

// value is the meter as the evaluation's context has it.
func (m *meter) value() cty.Value { return cty.CapsuleVal(meterCapsuleType, m) }

// meterOf finds the meter of an evaluation.
func meterOf(ctx *hcl.EvalContext) *meter {
	for ; ctx != nil; ctx = ctx.Parent() {
		if v, ok := ctx.Variables[meterName]; ok {
			return v.EncapsulatedValue().(*meter)
		}
	}
	return newMeter()
}

// meterLoops makes every for expression in e count what it does, and says whether there is one. What refers to something
// in them is hidden from Variables after that.
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
		if _, done := loop.CollExpr.(*collection); done {
			continue
		}
		over := &collection{loop.CollExpr}
		loop.CollExpr = over
		loop.ValExpr = &inLoop{loop.ValExpr, over, true}
		if loop.KeyExpr != nil {
			loop.KeyExpr = &inLoop{loop.KeyExpr, over, false}
		}
		if loop.CondExpr != nil {
			loop.CondExpr = &inLoop{loop.CondExpr, over, false}
		}
	}
	return len(loops) > 0
}

// A collection of a for expression charges what is gone over.
type collection struct {
	hclsyntax.Expression
}

// Value implements hcl.Expression.
func (c *collection) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	budget := meterOf(ctx)
	if budget.left < 0 {
		return cty.DynamicVal, nil // this was said; the loops around this one end quickly now
	}
	value, diags := c.Expression.Value(ctx)
	if diags.HasErrors() {
		return value, diags
	}
	measured, err := measure(value)
	cost := measured.weight()
	plain, marks := value.Unmark()
	if plain.IsKnown() && !plain.IsNull() && plain.CanIterateElements() {
		cost += plain.LengthInt() * perStep
	}
	if budget.left -= cost; err == nil && budget.left < 0 {
		err = fmt.Errorf("is gone over too often: the for expressions here take more than %d steps", maxLoops/perStep)
	}
	if err != nil {
		budget.left = -1
		return cty.DynamicVal, append(diags, failure(c.Range(), "Value too large", "This collection %v.", err))
	}
	budget.marks[c] = marks
	return value, diags
}

// An inLoop expression is evaluated in each step of a for expression.
type inLoop struct {
	hclsyntax.Expression
	over *collection
	kept bool // it is what the loop makes: that is charged, too
}

// Value implements hcl.Expression.
func (x *inLoop) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	budget := meterOf(ctx)
	if budget.room < 0 {
		return cty.DynamicVal, nil // this was said
	}
	value, diags := x.Expression.Value(marked(ctx, budget.marks[x.over]))
	if diags.HasErrors() || !x.kept {
		return value, diags
	}
	measured, err := measure(value)
	if budget.room -= measured.weight(); err == nil && budget.room < 0 {
		err = fmt.Errorf("is made so often that all have more than %d MiB together", maxMade>>20)
	}
	if err != nil {
		budget.room = -1
		return cty.DynamicVal, append(diags, failure(x.Range(), "Value too large", "This value %v.", err))
	}
	return value, diags
}

// asWritten is what stands in the plan where n is a wrapper of ours.
func asWritten(n hclsyntax.Node) hclsyntax.Node {
	switch x := n.(type) {
	case *collection:
		return x.Expression
	case *inLoop:
		return x.Expression
	case *sharedPart:
		return x.Expression
	}
	return n
}

// marked is the context of one step with the marks of the collection on what was taken out of it. hcl has them on what
// the whole loop makes, and the functions in it would not know what they must not quote.
func marked(ctx *hcl.EvalContext, marks cty.ValueMarks) *hcl.EvalContext {
	if len(marks) == 0 {
		return ctx
	}
	step := ctx.Parent().NewChild()
	step.Variables = make(map[string]cty.Value, len(ctx.Variables))
	for name, value := range ctx.Variables {
		step.Variables[name] = value.WithMarks(marks)
	}
	return step
}
