package plan

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// maxTemplateString is less than a file may have: a text is parsed whenever it is rendered.
const maxTemplateString = 64 << 10

// templateFileFunc renders a template of the plan.
func (l *loader) templateFileFunc(files *planFiles, readText func(string) (string, error)) function.Function {
	return l.templateFunc("path", func(name string) (*parsedTemplate, error) { return l.template(files, name, readText) })
}

// templateStringFunc renders a text.
func (l *loader) templateStringFunc() function.Function {
	return l.templateFunc("template", func(text string) (*parsedTemplate, error) {
		if len(text) > maxTemplateString {
			return nil, function.NewArgErrorf(0, "the template has more than %d KiB: put it in a file and use templatefile", maxTemplateString>>10)
		}
		return parseTemplate([]byte(text), "the template")
	})
}

// templateFunc renders the template that is found by the first argument. It sees the variables it is given, nothing else,
// and no function that renders templates: one could render itself.
func (l *loader) templateFunc(what string, find func(string) (*parsedTemplate, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{
			{Name: what, Type: cty.String},
			{Name: "variables", Type: cty.DynamicPseudoType, AllowMarked: true, AllowUnknown: true},
		},
		Type: function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return l.renderTemplate(args, find)
		},
	})
}

func (l *loader) renderTemplate(args []cty.Value, find func(string) (*parsedTemplate, error)) (cty.Value, error) {
	template, err := find(args[0].AsString())
	if err != nil {
		return cty.NilVal, err
	}
	vars, marks := args[1].Unmark()
	if ty := vars.Type(); !ty.IsObjectType() && !ty.IsMapType() && ty != cty.DynamicPseudoType {
		return cty.NilVal, function.NewArgErrorf(1, "the variables of a template are an object: { name = value }")
	}
	if !vars.IsKnown() {
		return cty.UnknownVal(cty.String).WithMarks(marks), nil
	}
	if vars.IsNull() {
		return cty.NilVal, function.NewArgErrorf(1, "the variables of a template must not be null")
	}
	ctx := &hcl.EvalContext{Functions: l.functions, Variables: map[string]cty.Value{meterName: newMeter().value()}}
	for it := vars.ElementIterator(); it.Next(); {
		key, value := it.Element()
		if !hclsyntax.ValidIdentifier(key.AsString()) {
			return cty.NilVal, function.NewArgErrorf(1, "%q cannot be the name of a variable in a template", shorten(key.AsString()))
		}
		ctx.Variables[key.AsString()] = value.WithMarks(marks)
	}
	for _, traversal := range template.variables {
		if _, ok := ctx.Variables[traversal.RootName()]; !ok {
			return cty.NilVal, fmt.Errorf("%s refers to %q, which it is not given.%s",
				place(traversal.SourceRange()), shorten(traversal.RootName()), suggest(traversal.RootName(), withoutMeterName(keys(ctx.Variables))))
		}
	}
	value, diags := template.body.Value(ctx)
	if diags.HasErrors() {
		first := diags.Errs()[0].(*hcl.Diagnostic)
		return cty.NilVal, fmt.Errorf("%s: %s: %s", place(*first.Subject), first.Summary, first.Detail)
	}
	if err := checkSize(value); err != nil {
		return cty.NilVal, fmt.Errorf("the text made of %s %w", shorten(template.name), err)
	}
	text, err := toText(value)
	if err != nil {
		return cty.NilVal, fmt.Errorf("%s does not give a text", shorten(template.name))
	}
	return text, nil
}

func withoutMeterName(names []string) []string {
	var kept []string
	for _, name := range names {
		if name != meterName {
			kept = append(kept, name)
		}
	}
	return kept
}

// A parsedTemplate is a template of a plan.
type parsedTemplate struct {
	name      string // for messages
	body      hcl.Expression
	variables []hcl.Traversal
}

// template parses a file, once.
func (l *loader) template(files *planFiles, name string, readText func(string) (string, error)) (*parsedTemplate, error) {
	key := programKey{files, name}
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.templates[key]; t != nil {
		return t, nil
	}
	text, err := readText(name)
	if err != nil {
		return nil, err
	}
	t, err := parseTemplate([]byte(text), name)
	if err != nil {
		return nil, err
	}
	l.templates[key] = t
	return t, nil
}

func parseTemplate(src []byte, name string) (*parsedTemplate, error) {
	tokens, _ := hclsyntax.LexTemplate(src, name, hcl.InitialPos)
	diags := checkTokens(tokens)
	var body hclsyntax.Expression
	if !diags.HasErrors() {
		body, diags = hclsyntax.ParseTemplate(src, name, hcl.InitialPos)
	}
	if diags.HasErrors() {
		first := diags.Errs()[0].(*hcl.Diagnostic)
		return nil, fmt.Errorf("%s: %s: %s", place(*first.Subject), first.Summary, first.Detail)
	}
	t := &parsedTemplate{name: name, body: body, variables: body.Variables()}
	meterLoops(body)
	return t, nil
}
