package plan

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"
)

// Inputs make a run of a plan.
type Inputs struct {
	Variables map[string]Given
	RunName   string
	RunID     string
	// Later is set by commands on a run that exists already (status, terminate, …): a sensitive
	// variable that is not given is then unknown, and only what needs it is an error, which names it and
	// says how to give it.
	Later bool
	// Withheld names the sensitive variables that were given when the run was booted. Later, their
	// defaults are not their values.
	Withheld []string

	partial bool // a variable that is not given is unknown
}

// Given is a variable's value as the operator gave it.
type Given struct {
	// Raw is text, as from --var and LAUNCH_VAR_*: taken as it is for a string
	// variable, else read as an HCL expression.
	Raw string
	// Value is used instead where it is set, as from a variable file.
	Value cty.Value
	// From says where it was given, for messages: `--var`, `LAUNCH_VAR_x`, `prod.vars:3`.
	From string
	// Ambient is set for what was not given for this plan in particular (LAUNCH_VAR_*): a name that
	// the plan does not declare is then no mistake.
	Ambient bool
}

// ParseVarFile reads a file of `name = value` lines (HCL) or a JSON object.
func ParseVarFile(filename string, src []byte) (map[string]Given, hcl.Diagnostics) {
	if len(src) > maxFileValue {
		return nil, hcl.Diagnostics{failure(hcl.Range{Filename: filename, Start: hcl.InitialPos, End: hcl.InitialPos},
			"Variable file too large", "A variable file may have %d MiB.", maxFileValue>>20)}
	}
	src = bytes.TrimPrefix(src, []byte("\ufeff")) // as Windows begins a file; the parser of JSON would not have it
	var file *hcl.File
	diags := checkEncoding(src, filename)
	if !diags.HasErrors() {
		diags = checkNesting(src, filename)
	}
	if diags.HasErrors() {
		return nil, diags
	}
	inJSON := isJSON(filename, src) // in which a text is no template
	if inJSON {
		file, diags = hcljson.Parse(src, filename)
	} else {
		file, diags = hclsyntax.ParseConfig(src, filename, hcl.InitialPos)
	}
	if diags.HasErrors() {
		return nil, within(diags, len(src))
	}
	attrs, diags := file.Body.JustAttributes()
	given := map[string]Given{}
	for _, attr := range inOrder(attrs) {
		refers := !inJSON && len(attr.Expr.Variables()) > 0
		value, moreDiags := constantValue(attr.Expr, nil)
		if refers {
			moreDiags = hcl.Diagnostics{failure(attr.Expr.Range(), "Reference in a variable file", "Values in a variable file are constants. A text stands in quotes.")}
		}
		diags = append(diags, moreDiags...)
		if !moreDiags.HasErrors() {
			given[attr.Name] = Given{Value: value, From: fmt.Sprintf("%s:%d", filename, attr.Range.Start.Line)}
		}
	}
	return given, tidy(diags)
}

// within keeps ranges inside of a file: hcl's JSON parser points behind its end.
func within(diags hcl.Diagnostics, size int) hcl.Diagnostics {
	for _, d := range diags {
		if d.Subject != nil && d.Subject.End.Byte > size {
			excess := d.Subject.End.Byte - size
			d.Subject.End.Byte -= excess
			d.Subject.End.Column = max(d.Subject.End.Column-excess, 1)
			if d.Subject.Start.Byte > size {
				d.Subject.Start = d.Subject.End
			}
		}
	}
	return diags
}

func isJSON(filename string, src []byte) bool {
	return strings.HasSuffix(filename, ".json") || strings.HasPrefix(strings.TrimSpace(string(src)), "{")
}

// CheckGiven checks those variables that are given, also where the plan needs others.
func (p *Plan) CheckGiven(given map[string]Given) hcl.Diagnostics {
	t := &Tree{plan: p, in: Inputs{Variables: given, partial: true}}
	t.root = newScope(p.loader, p.root, t, &t.mu)
	return tidy(t.root.give(given))
}

// give sets the root plan's variables.
func (s *scope) give(given map[string]Given) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, name := range keys(given) {
		if s.module.variables[name] == nil && !given[name].Ambient {
			diags = append(diags, &hcl.Diagnostic{
				Severity: hcl.DiagError,
				Summary:  "Unknown variable",
				Detail:   fmt.Sprintf("%s gives a value for %q, and the plan has no such variable.%s", given[name].From, shorten(name), suggest(name, keys(s.module.variables))),
			})
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.module.variableList {
		value, moreDiags := s.variable(v, nil)
		diags = append(diags, moreDiags...)
		if short(value) {
			diags = append(diags, warning(v.Range, "Secret too short to be masked",
				"What is given for var.%s has fewer than %d characters, and is not masked: such a text stands in many others.", v.Name, MinSecret))
		}
	}
	return diags
}

// variable is the value of a variable: unknown while Load checks, as given for the
// root plan, as the level's input for a sub-plan. Its validations run when it is known. mu is held.
func (s *scope) variable(v *variableBlock, reader *cell) (cty.Value, hcl.Diagnostics) {
	c := s.variables[v]
	if c.filling && c.value != cty.NilVal {
		return c.value, nil // a validation asks for it
	}
	return c.read(reader, func() (cty.Value, hcl.Diagnostics) {
		value, diags := s.givenValue(v, c)
		c.weigh(value)
		if v.Sensitive {
			made := value.ContainsMarked() // the input of a level, made of secrets
			value = value.Mark(sensitiveMark)
			switch {
			case s.tree == nil:
			case made:
				s.tree.secrets.add(value)
			default:
				s.tree.secrets.addGiven(value)
			}
		}
		if diags.HasErrors() {
			return value, diags
		}
		c.value = value
		for _, check := range v.validations {
			diags = append(diags, s.validate(v, check, c)...)
		}
		return value, diags
	})
}

func (s *scope) givenValue(v *variableBlock, c *cell) (cty.Value, hcl.Diagnostics) {
	switch {
	case s.tree == nil:
		return cty.UnknownVal(v.Type), nil
	case s.level == nil:
		return s.rootValue(v)
	}
	given := s.level.inputs[v.Name]
	if given == nil {
		return v.Default, nil // that there is one was checked by Load
	}
	value, diags := s.parent.evaluate(given.value, instance{}, c)
	if diags.HasErrors() {
		return cty.UnknownVal(v.Type), diags
	}
	converted, err := v.convert(value)
	if err != nil {
		return cty.UnknownVal(v.Type), hcl.Diagnostics{failure(given.value.Range(), "Input of another type",
			"Variable %q of the plan of level %q is %s: %s.", v.Name, s.level.name, typeName(v.Type), s.scrubText(err.Error()))}
	}
	return s.notNull(v, converted, given.value.Range(), "The input")
}

// notNull refuses null for a variable, unless that is its default.
func (s *scope) notNull(v *variableBlock, value cty.Value, at hcl.Range, what string) (cty.Value, hcl.Diagnostics) {
	plain, _ := value.Unmark()
	nullable := v.Default != cty.NilVal && v.Default.IsKnown() && v.Default.IsNull()
	if plain.IsKnown() && plain.IsNull() && !nullable {
		if v.Default != cty.NilVal {
			return v.Default, nil
		}
		return cty.UnknownVal(v.Type), hcl.Diagnostics{failure(at, "Null value", "%s for variable %q is null, and only a variable with default = null may be that.", what, v.Name)}
	}
	return value, nil
}

// rootValue reads what the operator gave. Messages never quote a sensitive value.
func (s *scope) rootValue(v *variableBlock) (cty.Value, hcl.Diagnostics) {
	given, ok := s.tree.in.Variables[v.Name]
	if !ok {
		if v.Sensitive && s.tree.in.Later && (v.Default == cty.NilVal || slices.Contains(s.tree.in.Withheld, v.Name)) {
			return cty.UnknownVal(v.Type), nil
		}
		if v.Default == cty.NilVal && s.tree.in.partial {
			return cty.UnknownVal(v.Type), nil
		}
		if v.Default == cty.NilVal {
			return cty.UnknownVal(v.Type), hcl.Diagnostics{failure(v.Range, "Missing variable",
				"The plan needs a value for variable %q.%s Give it with --var %s=VALUE, in a file with --var-file, or as LAUNCH_VAR_%s.", v.Name, sentence(v.Description), v.Name, v.Name)}
		}
		return v.Default, nil
	}
	value := given.Value
	if value == cty.NilVal {
		var err error
		if value, err = parseRaw(v, given.Raw); err != nil {
			return cty.UnknownVal(v.Type), hcl.Diagnostics{failure(v.Range, "Invalid value for a variable",
				"What %s gives for variable %q is not a value of type %s: write it as in a plan, such as 5, true, [\"a\", \"b\"] or { a = 1 }.", given.From, v.Name, typeName(v.Type))}
		}
	}
	converted, err := v.convert(value)
	if err != nil {
		why := err.Error()
		if v.Sensitive {
			why = "the value is sensitive and not shown"
		}
		return cty.UnknownVal(v.Type), hcl.Diagnostics{failure(v.Range, "Invalid value for a variable",
			"What %s gives for variable %q is not of type %s: %s.", given.From, v.Name, typeName(v.Type), why)}
	}
	return s.notNull(v, converted, v.Range, "What "+given.From+" gives")
}

// sentence is a description as part of a message.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	return " " + strings.TrimSuffix(text, ".") + "."
}

// parseRaw reads a value from a command line or the environment.
func parseRaw(v *variableBlock, raw string) (cty.Value, error) {
	if v.Type == cty.String {
		return cty.StringVal(raw), nil
	}
	if len(raw) > maxFileValue || checkNesting([]byte(raw), "").HasErrors() {
		return cty.NilVal, errors.New("too large")
	}
	x, diags := hclsyntax.ParseExpression([]byte(raw), "", hcl.InitialPos)
	if !diags.HasErrors() && len(x.Variables()) == 0 {
		if value, diags := constantValue(x, nil); !diags.HasErrors() {
			return value, nil
		}
	}
	if v.Type == cty.DynamicPseudoType {
		return cty.StringVal(raw), nil // a word without quotes
	}
	return cty.NilVal, errors.New("no expression")
}

// validate checks one condition, as soon as it can be decided. mu is held.
func (s *scope) validate(v *variableBlock, check validation, c *cell) hcl.Diagnostics {
	if check.condition.broken {
		return nil
	}
	value, diags := s.evaluate(check.condition, instance{}, c)
	if diags.HasErrors() {
		return diags
	}
	value, _ = value.UnmarkDeep()
	if !value.IsKnown() {
		return nil
	}
	if value.IsNull() || value.Type() != cty.Bool {
		return hcl.Diagnostics{failure(check.condition.Range(), "Condition without an answer", "The condition of variable %q must be true or false.", v.Name)}
	}
	if value.True() {
		return nil
	}
	message := "Its value is not valid. (What the plan says of that cannot be shown.)"
	if text, diags := s.evaluate(check.message, instance{}, nil); !diags.HasErrors() {
		if text, err := toText(text); err == nil && isPlainString(text) {
			message = text.AsString()
		}
	}
	at := check.condition.Range()
	if s.level != nil {
		at = s.level.planExpr.Range() // it is the default that does not hold
		if given := s.level.inputs[v.Name]; given != nil {
			at = given.rng
		}
	}
	return hcl.Diagnostics{failure(at, "Invalid value for a variable", "Variable %q: %s", v.Name, message)}
}
