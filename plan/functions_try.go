package plan

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/customdecode"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// tryFunc is that of hcl's tryfunc, which evaluates its expressions once for their type and once for the value: thirty of
// them within each other would take an hour.
func tryFunc() function.Function {
	return function.New(&function.Spec{
		VarParam: &function.Parameter{Name: "expressions", Type: customdecode.ExpressionClosureType},
		Type:     function.StaticReturnType(cty.DynamicPseudoType),
		Impl:     func(args []cty.Value, _ cty.Type) (cty.Value, error) { return firstValue(args) },
	})
}

func firstValue(expressions []cty.Value) (cty.Value, error) {
	if len(expressions) == 0 {
		return cty.NilVal, errors.New("at least one expression is needed")
	}
	var all hcl.Diagnostics
	for _, expression := range expressions {
		value, diags := customdecode.ExpressionClosureFromVal(expression).Value()
		switch {
		case diags.HasErrors():
			all = append(all, diags...)
		case !value.IsWhollyKnown():
			return cty.DynamicVal, nil // when it is known, the expression can fail, and another one counts
		default:
			return value, nil
		}
	}
	var failed strings.Builder
	failed.WriteString("no expression has a value:")
	for _, d := range all {
		fmt.Fprintf(&failed, "\n- %s", d.Summary)
		if d.Subject != nil {
			fmt.Fprintf(&failed, " (%s)", place(*d.Subject))
		}
		fmt.Fprintf(&failed, "\n  %s", strings.ReplaceAll(strings.TrimRight(d.Detail, ".")+".", "\n", "\n  "))
	}
	return cty.NilVal, errors.New(strings.TrimSuffix(failed.String(), ".")) // hcl adds it
}
