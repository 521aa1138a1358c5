package plan

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
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

// attribute is the attribute that is asked of a service ("" where it is asked for as
// a whole), and where that stands.
func (r *reference) attribute() (string, hcl.Range) {
	for _, step := range r.rest {
		if attr, ok := step.(hcl.TraverseAttr); ok {
			return attr.Name, attr.SrcRange
		}
	}
	return "", hcl.Range{}
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
	switch step := traversal[1].(type) {
	case hcl.TraverseAttr:
		ref.name = step.Name
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String && step.Key.IsKnown() && !step.Key.IsNull() {
			ref.name = step.Key.AsString()
		}
	}
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
