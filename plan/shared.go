package plan

import (
	"reflect"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Where each of ten thousand services makes the same list of ten thousand others, that takes hours. What is the same for
// all instances of a service is worked out once, and kept until something changes that it was made of: whole expressions,
// and of those that also say something of the instance the largest parts that do not.

// sharedValue is what all instances of the group have in x. It is not ok where there is no such value: a constant is not
// worth to be kept, with a secret it matters what it was made of, and with a mistake who makes it. mu is held.
func (g *group) sharedValue(x *expression, in instance, reader *cell) (cty.Value, bool) {
	if g == nil || len(g.services) < 2 || x.perInstance || len(x.refs) == 0 {
		return cty.NilVal, false
	}
	c := g.shared[x]
	if c == nil {
		c = &cell{}
		if g.shared == nil {
			g.shared = map[*expression]*cell{}
		}
		g.shared[x] = c
	}
	value, _ := c.read(reader, func() (cty.Value, hcl.Diagnostics) {
		value, _, diags := g.scope.workOut(x, in, c)
		if diags.HasErrors() || value.ContainsMarked() {
			return cty.NilVal, nil
		}
		return value, nil
	})
	return value, value != cty.NilVal
}

// A sharedPart of an expression says nothing of the instance.
type sharedPart struct {
	hclsyntax.Expression
	own *expression
}

// Value implements hcl.Expression.
func (p *sharedPart) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	for outer := ctx; outer != nil; outer = outer.Parent() {
		if v, ok := outer.Variables[sharedName]; ok {
			if value, ok := (*v.EncapsulatedValue().(*sharedValues))[p.own]; ok {
				return value, nil
			}
			break
		}
	}
	return p.Expression.Value(ctx)
}

// sharedValues are those of an expression's parts.
type sharedValues map[*expression]cty.Value

var sharedCapsuleType = cty.Capsule("shared", reflect.TypeFor[sharedValues]())

// sharedName is no identifier, so no plan can refer to it.
const sharedName = "\x00shared"

// sharedParts gathers what is known of the parts of x. mu is held.
func (s *scope) sharedParts(x *expression, in instance, reader *cell) cty.Value {
	values := sharedValues{}
	for _, part := range x.parts {
		if value, ok := s.groups[in.block].sharedValue(part, in, reader); ok {
			values[part] = value
		}
	}
	return cty.CapsuleVal(sharedCapsuleType, &values)
}

// shareParts puts a sharedPart in the place of each part of e that is worth it.
func shareParts(e hclsyntax.Expression) []*expression {
	var parts []*expression
	for _, operand := range operands(e) {
		if part := sharable(*operand); part != nil {
			*operand = &sharedPart{*operand, part}
			parts = append(parts, part)
		} else {
			parts = append(parts, shareParts(*operand)...)
		}
	}
	return parts
}

// sharable returns e as an expression of its own, nil where it is not worth it or says something of the instance.
func sharable(e hclsyntax.Expression) *expression {
	switch e.(type) {
	case *hclsyntax.FunctionCallExpr, *hclsyntax.SplatExpr, *hclsyntax.ForExpr:
	default:
		return nil
	}
	for _, traversal := range e.Variables() {
		if ofInstance(traversal.RootName()) {
			return nil
		}
	}
	if part := newExpression(e); len(part.refs) > 0 {
		return part
	}
	return nil
}

// operands are where the expressions stand that e is made of, without those that see more than e does: the variables of
// a for expression, the element of a splat.
func operands(e hclsyntax.Expression) []*hclsyntax.Expression {
	switch e := e.(type) {
	case *hclsyntax.FunctionCallExpr:
		return pointers(e.Args)
	case *hclsyntax.TupleConsExpr:
		return pointers(e.Exprs)
	case *hclsyntax.TemplateExpr:
		return pointers(e.Parts)
	case *hclsyntax.ObjectConsExpr:
		var values []*hclsyntax.Expression
		for i := range e.Items {
			values = append(values, &e.Items[i].ValueExpr)
		}
		return values
	case *hclsyntax.ForExpr:
		return []*hclsyntax.Expression{&e.CollExpr}
	case *hclsyntax.SplatExpr:
		return []*hclsyntax.Expression{&e.Source}
	case *hclsyntax.TemplateJoinExpr:
		return []*hclsyntax.Expression{&e.Tuple}
	case *hclsyntax.TemplateWrapExpr:
		return []*hclsyntax.Expression{&e.Wrapped}
	case *hclsyntax.ParenthesesExpr:
		return []*hclsyntax.Expression{&e.Expression}
	case *hclsyntax.ConditionalExpr:
		return []*hclsyntax.Expression{&e.Condition, &e.TrueResult, &e.FalseResult}
	case *hclsyntax.IndexExpr:
		return []*hclsyntax.Expression{&e.Collection, &e.Key}
	case *hclsyntax.RelativeTraversalExpr:
		return []*hclsyntax.Expression{&e.Source}
	case *hclsyntax.BinaryOpExpr:
		return []*hclsyntax.Expression{&e.LHS, &e.RHS}
	case *hclsyntax.UnaryOpExpr:
		return []*hclsyntax.Expression{&e.Val}
	}
	return nil
}

func pointers(list []hclsyntax.Expression) []*hclsyntax.Expression {
	var each []*hclsyntax.Expression
	for i := range list {
		each = append(each, &list[i])
	}
	return each
}

func ofInstance(root string) bool {
	return slices.Contains([]string{"count", "each", "self"}, root)
}
