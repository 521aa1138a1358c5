package plan

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// instances checks what is asked of all instances of a service: that is no part of the reference, and where their number
// is not known yet, an evaluation does not come to it.
func (c *checker) instances(x *expression) {
	node, ok := x.Expression.(hclsyntax.Expression)
	if !ok {
		return
	}
	hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := asWritten(n).(type) {
		case *hclsyntax.SplatExpr:
			c.splat(n)
		case *hclsyntax.ForExpr:
			if !c.loader.opts.Kept {
				c.loop(n)
			}
		}
		return nil
	})
}

// splat checks service.NAME[*].attribute.
func (c *checker) splat(splat *hclsyntax.SplatExpr) {
	b := c.wholeService(splat.Source)
	each, ok := splat.Each.(*hclsyntax.RelativeTraversalExpr)
	if b == nil || !ok || len(each.Traversal) == 0 {
		return
	}
	if b.forEach != nil {
		c.fail(splat.Range(), "Splat of a map", "service.%s is a map, because it has \"for_each\", and [*] works on lists. Write [for s in service.%s : s.ATTRIBUTE].", b.name, b.name)
		return
	}
	if step, ok := each.Traversal[0].(hcl.TraverseAttr); ok && !b.hasMember(step.Name) {
		c.undeclaredMember(step, b)
	}
}

// loop checks [for s in service.NAME : s.attribute].
func (c *checker) loop(loop *hclsyntax.ForExpr) {
	b := c.wholeService(loop.CollExpr)
	if b == nil || b.count == nil && b.forEach == nil {
		return
	}
	var undeclared []hcl.TraverseAttr
	hidden := false // by a loop within this one that has the same name for something else
	look := func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := asWritten(n).(type) {
		case *hclsyntax.ForExpr:
			hidden = hidden || n.KeyVar == loop.ValVar || n.ValVar == loop.ValVar
		case *hclsyntax.ScopeTraversalExpr:
			if n.Traversal.RootName() != loop.ValVar || len(n.Traversal) < 2 {
				break
			}
			if step, ok := n.Traversal[1].(hcl.TraverseAttr); ok && !b.hasMember(step.Name) {
				undeclared = append(undeclared, step)
			}
		}
		return nil
	}
	for _, part := range []hclsyntax.Expression{loop.KeyExpr, loop.ValExpr, loop.CondExpr} {
		if part != nil {
			hclsyntax.VisitAll(part, look)
		}
	}
	if hidden {
		return
	}
	for _, step := range undeclared {
		c.undeclaredMember(step, b)
	}
}

// wholeService is the service that an expression is as a whole, nil where it is anything else.
func (c *checker) wholeService(x hclsyntax.Expression) *serviceBlock {
	source, ok := asWritten(x).(*hclsyntax.ScopeTraversalExpr)
	if !ok || source.Traversal.RootName() != "service" || len(source.Traversal) != 2 {
		return nil
	}
	return c.module.services[newReference(source.Traversal).name]
}
