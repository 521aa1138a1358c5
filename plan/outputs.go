package plan

import (
	"github.com/hashicorp/hcl/v2"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// An Output of a plan.
type Output struct {
	JSON      []byte
	Sensitive bool
}

// Outputs evaluates the root plan's outputs. One that depends on what is not known yet is absent.
func (t *Tree) Outputs() (map[string]Output, hcl.Diagnostics) {
	t.mu.Lock()
	defer t.mu.Unlock()
	outputs := map[string]Output{}
	var diags hcl.Diagnostics
	for _, o := range t.root.module.outputList {
		value, moreDiags := t.root.output(o, nil)
		diags = append(diags, moreDiags...)
		if moreDiags.HasErrors() || !value.IsWhollyKnown() {
			continue
		}
		sensitive := value.ContainsMarked()
		value, _ = value.UnmarkDeep()
		encoded, err := ctyjson.Marshal(value, value.Type())
		if err != nil {
			diags = append(diags, failure(o.rng, "Output that cannot be shown", "Output %q cannot be written as JSON: %v.", o.name, err))
			continue
		}
		outputs[o.name] = Output{JSON: encoded, Sensitive: sensitive}
	}
	return outputs, tidy(diags)
}
