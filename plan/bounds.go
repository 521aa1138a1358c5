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
	maxSource    = 64 << 20 // bytes of plan files together: 100,000 services written out have less
	maxNesting   = 100      // brackets and templates within each other: the parser recurses
	maxChain     = 5_000    // operators in one expression: so does evaluation
	maxPlanDepth = 16       // plans within plans
	maxName      = 100      // it becomes part of a directory's name
	maxPath      = 512
	maxValueSize = 8 << 20   // bytes of one value, an element counting 16
	maxReferred  = 16 << 20  // bytes that one expression refers to
	maxExponent  = 4096      // of a number, base 2: 1e1000000000 would be a gigabyte as a text
	maxLoops     = 512 << 20 // bytes that the for expressions of one expression go over
	perStep      = 2 << 10   // what each step of a loop counts on top of that: 262,144 of them are some tenths of a second
)

// checkNesting refuses a file that nests so deep that reading it could exhaust the stack.
func checkNesting(src []byte, filename string) hcl.Diagnostics {
	if shallow(src) {
		return nil
	}
	tokens, _ := hclsyntax.LexConfig(src, filename, hcl.InitialPos)
	return checkTokens(tokens)
}

// shallow says quickly of an ordinary file that nothing in it can nest too deep:
// it has no line with that many brackets or operators, and never that many open ones.
func shallow(src []byte) bool {
	return false
}

func checkTokens(tokens hclsyntax.Tokens) hcl.Diagnostics {
	depth, control := 0, 0
	chain := make([]int, 1, maxNesting+2) // operators of the expressions that are open, inside out
	for i, token := range tokens {
		switch token.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
			if token.Type == hclsyntax.TokenTemplateControl && i+1 < len(tokens) {
				switch string(tokens[i+1].Bytes) {
				case "if", "for":
					control++
				case "endif", "endfor":
					control--
				}
			}
			depth++
			chain[len(chain)-1]++
			if depth+control > maxNesting {
				return hcl.Diagnostics{failure(token.Range, "Nested too deep",
					"Brackets, strings and templates may stand within each other to a depth of %d.", maxNesting)}
			}
			chain = append(chain, 0)
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd, hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc:
			if depth > 0 {
				depth--
				chain = chain[:len(chain)-1]
			}
		case hclsyntax.TokenNewline, hclsyntax.TokenComma:
			chain[len(chain)-1] = 0
		case hclsyntax.TokenIdent, hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit, hclsyntax.TokenComment:
		case hclsyntax.TokenNumberLit:
			if len(token.Bytes) > maxNumber {
				return hcl.Diagnostics{failure(token.Range, "Number too long", "A number may have %d digits.", maxNumber)}
			}
		default:
			chain[len(chain)-1]++
			if chain[len(chain)-1] > maxChain {
				return hcl.Diagnostics{failure(token.Range, "Expression too long",
					"An expression may have %d operators.", maxChain)}
			}
		}
	}
	return nil
}

const maxNumber = 1000

// measure adds up a value: the bytes of its texts, and 16 for each element. It stops with an error at the bound.
func measure(value cty.Value) (int, error) {
	size := 0
	err := addSize(value, &size)
	return size, err
}

func checkSize(value cty.Value) error {
	_, err := measure(value)
	return err
}

func addSize(value cty.Value, size *int) error {
	value, _ = value.Unmark()
	*size += 16
	if *size > maxValueSize {
		return fmt.Errorf("has more than %d MiB", maxValueSize>>20)
	}
	if value == cty.NilVal || !value.IsKnown() || value.IsNull() {
		return nil
	}
	switch ty := value.Type(); {
	case ty == cty.String:
		*size += len(value.AsString())
		if *size > maxValueSize {
			return fmt.Errorf("has more than %d MiB", maxValueSize>>20)
		}
	case ty == cty.Number:
		if exp := value.AsBigFloat().MantExp(nil); exp > maxExponent || exp < -maxExponent {
			return fmt.Errorf("holds a number that is out of range")
		}
	case ty.IsCollectionType(), ty.IsTupleType(), ty.IsObjectType():
		for it := value.ElementIterator(); it.Next(); {
			_, element := it.Element()
			if err := addSize(element, size); err != nil {
				return err
			}
		}
	}
	return nil
}

// A meter bounds the work of one evaluation: for expressions in for expressions
// multiply, and nothing else in the language does.
type meter struct{ left int }

// meterName is no identifier, so no plan can refer to it.
const meterName = "\x00meter"

func newMeter() cty.Value {
	return cty.CapsuleVal(meterCapsuleType, &meter{left: maxLoops})
}

// A metered collection of a for expression charges what is gone over.
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
	size, err := measure(value)
	if plain, _ := value.Unmark(); plain.CanIterateElements() {
		size += plain.LengthInt() * perStep
	}
	if budget.left -= size; err == nil && budget.left < 0 {
		err = fmt.Errorf("is gone over too often: the for expressions here take more than %d steps", maxLoops/perStep)
	}
	if err != nil {
		budget.left = -1
		return cty.DynamicVal, append(diags, failure(m.Range(), "Value too large", "This collection %v.", err))
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
	return &meter{left: maxLoops} // of a constant
}

// meterLoops makes every for expression in e count what it goes over.
func meterLoops(e hcl.Expression) {
	node, ok := e.(hclsyntax.Expression)
	if !ok {
		return
	}
	hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		if loop, ok := n.(*hclsyntax.ForExpr); ok {
			if _, done := loop.CollExpr.(*metered); !done {
				loop.CollExpr = &metered{loop.CollExpr}
			}
		}
		return nil
	})
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
