package plan

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// An expression of a plan with what it refers to, worked out once.
type expression struct {
	hcl.Expression
	refs        []*reference
	perInstance bool          // it may have another value for each instance of its service
	parts       []*expression // of one that does: those that have not
	settled     bool          // variables and the layout change nothing in what Load found out of it
	loops       bool          // it has a for expression
	broken      bool          // a mistake in it was reported: evaluating it would only repeat that
}

// A reference is what an expression says of something outside of it: var.x, service.web[0].address.
type reference struct {
	root      string        // "var", "service", ...
	name      string        // "x", "web"; "" where there is none
	rest      hcl.Traversal // what comes after the name
	traversal hcl.Traversal
}

// String is the reference as the plan writes it, without what comes after the name.
func (r *reference) String() string {
	if r.name == "" {
		return r.root
	}
	return r.root + "." + r.name
}

func (r *reference) rng() hcl.Range { return r.traversal.SourceRange() }

// member is the attribute that is asked of a service, or of one of its instances; "" where it is asked for as a whole.
func (r *reference) member(b *serviceBlock) string {
	if b.count != nil || b.forEach != nil {
		return stepName(r.rest, 1) // the first step says which instance
	}
	return stepName(r.rest, 0)
}

// output is the output that is asked of a level; "" where all of them are.
func (r *reference) output() string { return stepName(r.rest, 0) }

// stepName is the name in a step of a traversal, written .NAME or ["NAME"]; "" where there is none.
func stepName(traversal hcl.Traversal, i int) string {
	if i >= len(traversal) {
		return ""
	}
	switch step := traversal[i].(type) {
	case hcl.TraverseAttr:
		return step.Name
	case hcl.TraverseIndex:
		if isPlainString(step.Key) {
			return step.Key.AsString()
		}
	}
	return ""
}

// newExpression works out what an expression refers to. A nil one is no expression.
func newExpression(e hcl.Expression) *expression {
	if e == nil {
		return nil
	}
	x := &expression{Expression: e}
	for _, traversal := range e.Variables() {
		ref := newReference(traversal)
		x.refs = append(x.refs, ref)
		x.perInstance = x.perInstance || ofInstance(ref.root)
	}
	// Last: both hide something from Variables.
	if node, ok := e.(hclsyntax.Expression); ok && x.perInstance {
		x.parts = shareParts(node)
	}
	x.loops = meterLoops(e) || slices.ContainsFunc(x.parts, func(part *expression) bool { return part.loops })
	return x
}

func newReference(traversal hcl.Traversal) *reference {
	ref := &reference{root: traversal.RootName(), traversal: traversal}
	if len(traversal) < 2 {
		return ref
	}
	ref.name = stepName(traversal, 1)
	ref.rest = traversal[2:]
	if ref.root == "runner" && len(traversal) > 2 {
		// runner.TYPE.NAME: both steps together are the name.
		if step, ok := traversal[2].(hcl.TraverseAttr); ok {
			ref.name += "." + step.Name
			ref.rest = traversal[3:]
		}
	}
	return ref
}
