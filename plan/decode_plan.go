package plan

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

func planSchema() *hcl.BodySchema {
	return &hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: "description"}, {Name: "requires_launch"}},
		Blocks: []hcl.BlockHeaderSchema{
			{Type: "variable", LabelNames: []string{"name"}},
			{Type: "locals"},
			{Type: "runner", LabelNames: []string{"type", "name"}},
			{Type: "level", LabelNames: []string{"name"}},
			{Type: "output", LabelNames: []string{"name"}},
		},
	}
}

// decodeFile adds what a file declares to the module.
func (l *loader) decodeFile(m *module, file planBody) hcl.Diagnostics {
	content, diags := file.body.Content(planSchema())
	diags = inOurWords(diags, planSchema(), nil)
	if !file.main {
		for _, attr := range inOrder(content.Attributes) {
			diags = append(diags, failure(attr.NameRange, "Attribute outside of plan.hcl", "%q says something of the plan as a whole. Move it to plan.hcl.", attr.Name))
		}
		content.Attributes = nil
	}
	if attr := content.Attributes["description"]; attr != nil {
		var moreDiags hcl.Diagnostics
		m.description, moreDiags = constantString(attr)
		diags = append(diags, moreDiags...)
	}
	if attr := content.Attributes["requires_launch"]; attr != nil {
		diags = append(diags, l.checkVersion(attr)...)
	}
	for _, block := range content.Blocks {
		var moreDiags hcl.Diagnostics
		switch block.Type {
		case "variable":
			moreDiags = l.decodeVariable(m, block)
		case "locals":
			moreDiags = l.decodeLocals(m, block)
		case "runner":
			moreDiags = l.decodeRunner(m, block)
		case "output":
			moreDiags = l.decodeOutput(m, block)
		case "level":
			if !file.main {
				moreDiags = hcl.Diagnostics{failure(block.DefRange, "Level outside of plan.hcl",
					"Levels stand in plan.hcl only, so that their order is seen at a glance. Move level %q there.", block.Labels[0])}
				break
			}
			moreDiags = l.decodeLevel(m, block)
		}
		diags = append(diags, moreDiags...)
	}
	return diags
}

// checkName reports a name that could not be referred to.
func checkName(what, name string, at hcl.Range) *hcl.Diagnostic {
	if hclsyntax.ValidIdentifier(name) && len(name) <= maxName {
		return nil
	}
	return failure(at, "Invalid name",
		"%q cannot be the name of a %s: a name begins with a letter, goes on with letters, digits, _ and -, and has at most %d characters.",
		shorten(name), what, maxName)
}

func (l *loader) decodeVariable(m *module, block *hcl.Block) hcl.Diagnostics {
	content, diags := blockContent(block, &hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: "type"}, {Name: "default"}, {Name: "description"}, {Name: "sensitive"}},
		Blocks:     []hcl.BlockHeaderSchema{{Type: "validation"}},
	})
	v := &variableBlock{Variable: Variable{Name: block.Labels[0], Type: cty.DynamicPseudoType, Range: block.DefRange}}
	if diag := checkName("variable", v.Name, block.LabelRanges[0]); diag != nil {
		return append(diags, diag)
	}
	if first := m.variables[v.Name]; first != nil {
		return append(diags, duplicate("variable", v.Name, block.DefRange, first.Range))
	}
	m.variables[v.Name] = v
	m.variableList = append(m.variableList, v)

	if attr := content.Attributes["type"]; attr != nil {
		ty, defaults, moreDiags := variableType(attr.Expr)
		diags = append(diags, moreDiags...)
		if !moreDiags.HasErrors() {
			v.Type, v.defaults = ty, defaults
		}
	}
	if attr := content.Attributes["description"]; attr != nil {
		text, moreDiags := constantString(attr)
		v.Description = text
		diags = append(diags, moreDiags...)
	}
	if attr := content.Attributes["sensitive"]; attr != nil {
		value, moreDiags := constantBool(attr)
		v.Sensitive = value
		diags = append(diags, moreDiags...)
	}
	if attr := content.Attributes["default"]; attr != nil {
		diags = append(diags, l.decodeDefault(v, attr.Expr)...)
	}
	for _, inner := range content.Blocks {
		check, moreDiags := decodeValidation(inner, v.Name)
		diags = append(diags, moreDiags...)
		if check != nil {
			v.validations = append(v.validations, *check)
		}
	}
	return diags
}

// decodeDefault gives v its default. One that is wrong is unknown, so that v does not count as missing.
func (l *loader) decodeDefault(v *variableBlock, expr hcl.Expression) hcl.Diagnostics {
	v.Default = cty.UnknownVal(v.Type)
	value, diags := l.constant(expr)
	if diags.HasErrors() {
		return diags
	}
	converted, err := v.convert(value)
	if err != nil {
		return append(diags, failure(expr.Range(), "Default of another type",
			"The default of variable %q does not fit its type, %s: %v.", v.Name, typeName(v.Type), err))
	}
	v.Default = converted
	return diags
}

// convert gives value the variable's type, with the defaults of its optional attributes.
func (v *variableBlock) convert(value cty.Value) (cty.Value, error) {
	if v.defaults != nil && !value.IsNull() {
		value = v.defaults.Apply(value)
	}
	return quickConvert(value, v.Type)
}

func decodeValidation(block *hcl.Block, variable string) (*validation, hcl.Diagnostics) {
	content, diags := blockContent(block, &hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: "condition", Required: true}, {Name: "error_message", Required: true}},
	})
	if diags.HasErrors() {
		return nil, diags
	}
	v := &validation{
		condition: newExpression(content.Attributes["condition"].Expr),
		message:   newExpression(content.Attributes["error_message"].Expr),
	}
	for _, ref := range v.condition.refs {
		if ref.root == "var" && ref.name == variable {
			return v, diags
		}
	}
	return nil, append(diags, failure(v.condition.Range(), "Condition without its variable",
		"The condition of variable %q does not refer to var.%s, so it cannot say whether the value is valid.", variable, variable))
}

func (l *loader) decodeLocals(m *module, block *hcl.Block) hcl.Diagnostics {
	attrs, diags := block.Body.JustAttributes()
	for _, attr := range inOrder(attrs) {
		if first := m.locals[attr.Name]; first != nil {
			diags = append(diags, duplicate("local", attr.Name, attr.NameRange, first.rng))
			continue
		}
		local := &localValue{name: attr.Name, rng: attr.NameRange, value: newExpression(attr.Expr)}
		m.locals[attr.Name] = local
		m.localList = append(m.localList, local)
	}
	return diags
}

func (l *loader) decodeOutput(m *module, block *hcl.Block) hcl.Diagnostics {
	content, diags := blockContent(block, &hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: "value", Required: true}, {Name: "description"}, {Name: "sensitive"}},
	})
	o := &outputBlock{name: block.Labels[0], rng: block.DefRange}
	if diag := checkName("output", o.name, block.LabelRanges[0]); diag != nil {
		return append(diags, diag)
	}
	if first := m.outputs[o.name]; first != nil {
		return append(diags, duplicate("output", o.name, block.DefRange, first.rng))
	}
	m.outputs[o.name] = o
	m.outputList = append(m.outputList, o)
	if attr := content.Attributes["value"]; attr != nil {
		o.value = newExpression(attr.Expr)
	}
	if attr := content.Attributes["description"]; attr != nil {
		text, moreDiags := constantString(attr)
		o.description = text
		diags = append(diags, moreDiags...)
	}
	if attr := content.Attributes["sensitive"]; attr != nil {
		value, moreDiags := constantBool(attr)
		o.sensitive = value
		diags = append(diags, moreDiags...)
	}
	return diags
}

func (l *loader) decodeRunner(m *module, block *hcl.Block) hcl.Diagnostics {
	kind, name := block.Labels[0], block.Labels[1]
	if diag := checkName("runner", name, block.LabelRanges[1]); diag != nil {
		return hcl.Diagnostics{diag}
	}
	runnerType := l.types[kind]
	if runnerType == nil {
		return hcl.Diagnostics{failure(block.LabelRanges[0], "Unknown runner type",
			"There is no runner type %q.%s", shorten(kind), suggest(kind, keys(l.types)))}
	}
	r := &runnerBlock{
		runnerType: runnerType, name: name, rng: block.DefRange,
		attributes: map[string]*expression{}, blocks: map[string]*runnerBlock{},
	}
	if first := m.runners[kind+"."+name]; first != nil {
		return hcl.Diagnostics{duplicate("runner", kind+" "+name, block.DefRange, first.rng)}
	}
	m.runners[kind+"."+name] = r
	m.runnerList = append(m.runnerList, r)

	schema := runnerSchema(runnerType.Attributes)
	for inner := range runnerType.Blocks {
		schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: inner})
	}
	content, diags := blockContent(block, schema)
	for _, attr := range content.Attributes {
		r.attributes[attr.Name] = newExpression(attr.Expr)
	}
	for _, inner := range content.Blocks {
		if first := r.blocks[inner.Type]; first != nil {
			diags = append(diags, failure(inner.DefRange, "Duplicate block",
				"There is a %q block already, at %s.", inner.Type, place(first.rng)))
			continue
		}
		innerContent, moreDiags := blockContent(inner, runnerSchema(runnerType.Blocks[inner.Type]))
		diags = append(diags, moreDiags...)
		b := &runnerBlock{rng: inner.DefRange, attributes: map[string]*expression{}}
		for _, attr := range innerContent.Attributes {
			b.attributes[attr.Name] = newExpression(attr.Expr)
		}
		r.blocks[inner.Type] = b
	}
	return diags
}

func runnerSchema(attributes map[string]RunnerAttribute) *hcl.BodySchema {
	schema := &hcl.BodySchema{}
	for _, name := range keys(attributes) {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: name, Required: attributes[name].Required})
	}
	return schema
}

// constant evaluates an expression that may refer to nothing.
func (l *loader) constant(e hcl.Expression) (cty.Value, hcl.Diagnostics) {
	for _, traversal := range e.Variables() {
		return cty.DynamicVal, hcl.Diagnostics{failure(traversal.SourceRange(), "Reference in a constant",
			"This value must be a constant: it is needed before anything that it could refer to is known.")}
	}
	return constantValue(e, l.functions)
}

// constantValue is the value of an expression that refers to nothing. Without functions it may be one of JSON, in which
// texts are no templates.
func constantValue(e hcl.Expression, functions map[string]function.Function) (cty.Value, hcl.Diagnostics) {
	var ctx *hcl.EvalContext
	if meterLoops(e) || functions != nil {
		ctx = &hcl.EvalContext{Functions: functions, Variables: map[string]cty.Value{meterName: newMeter().value()}}
	}
	value, diags := e.Value(ctx)
	if !diags.HasErrors() {
		if err := checkSize(value); err != nil {
			diags = append(diags, failure(e.Range(), "Value too large", "This value %v.", err))
		}
	}
	return value, diags
}

func constantString(attr *hcl.Attribute) (string, hcl.Diagnostics) {
	value, diags := constantValue(attr.Expr, nil)
	if diags.HasErrors() {
		return "", hcl.Diagnostics{failure(attr.Expr.Range(), "Constant text expected", "%q must be a constant text in quotes.", attr.Name)}
	}
	if value.Type() != cty.String || value.IsNull() {
		return "", hcl.Diagnostics{failure(attr.Expr.Range(), "Text expected", "%q must be a text in quotes.", attr.Name)}
	}
	return value.AsString(), nil
}

func constantBool(attr *hcl.Attribute) (bool, hcl.Diagnostics) {
	value, diags := constantValue(attr.Expr, nil)
	if diags.HasErrors() || value.Type() != cty.Bool || value.IsNull() {
		return false, hcl.Diagnostics{failure(attr.Expr.Range(), "true or false expected", "%q must be true or false.", attr.Name)}
	}
	return value.True(), nil
}
