package deploy

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/gocty"

	"github.com/launchplan/launch/harness/broker"
	"github.com/launchplan/launch/harness/wire"
)

// attributes reads the attributes of one block.
type attributes struct {
	p      *parser
	has    hcl.Attributes
	failed bool
}

func (p *parser) attributes(body hcl.Body, names ...string) *attributes {
	schema := &hcl.BodySchema{}
	for _, name := range names {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: name})
	}
	content, diags := body.Content(schema)
	p.diags = append(p.diags, diags...)
	return &attributes{p: p, has: content.Attributes, failed: diags.HasErrors()}
}

func (a *attributes) value(name string, want cty.Type) (cty.Value, *hcl.Attribute, bool) {
	attr := a.has[name]
	if attr == nil {
		return cty.NilVal, nil, false
	}
	v, diags := attr.Expr.Value(nil)
	a.p.diags = append(a.p.diags, diags...)
	if diags.HasErrors() {
		a.failed = true
		return cty.NilVal, attr, false
	}
	v, err := convert.Convert(v, want)
	if err != nil || v.IsNull() || !v.IsWhollyKnown() {
		a.errorf(attr, "Wrong type", "The attribute %s must be a %s.", name, want.FriendlyName())
		return cty.NilVal, attr, false
	}
	return v, attr, true
}

func (a *attributes) text(name string, into *string) {
	if v, _, ok := a.value(name, cty.String); ok {
		*into = v.AsString()
	}
}

func (a *attributes) boolean(name string, into *bool) {
	if v, _, ok := a.value(name, cty.Bool); ok {
		*into = v.True()
	}
}

func (a *attributes) number(name string, least, most int, into *int) {
	v, attr, ok := a.value(name, cty.Number)
	if !ok {
		return
	}
	var n int
	if err := gocty.FromCtyValue(v, &n); err != nil || n < least || n > most {
		a.errorf(attr, "Number out of range", "The attribute %s must be a whole number from %d to %d.", name, least, most)
		return
	}
	*into = n
}

func (a *attributes) duration(name string, least, most time.Duration, into *wire.Duration) {
	v, attr, ok := a.value(name, cty.String)
	if !ok {
		return
	}
	d, err := time.ParseDuration(v.AsString())
	if err != nil || d < least || d > most {
		a.errorf(attr, "Wrong duration", "The attribute %s must be a duration such as \"500ms\" or \"2s\", from %v to %v.", name, least, most)
		return
	}
	*into = wire.Duration(d)
}

func (a *attributes) url(name string, into *string) {
	v, attr, ok := a.value(name, cty.String)
	if !ok {
		return
	}
	if err := broker.CheckURL(v.AsString()); err != nil {
		a.errorf(attr, "Wrong broker URL", "%s.", capital(err.Error()))
		return
	}
	*into = v.AsString()
}

func (a *attributes) properties(name string, into map[string]string) {
	v, attr, ok := a.value(name, cty.DynamicPseudoType)
	if !ok {
		return
	}
	if !v.Type().IsObjectType() && !v.Type().IsMapType() {
		a.errorf(attr, "Wrong type", "The attribute %s must be an object, such as { disk = \"ssd\" }.", name)
		return
	}
	for key, value := range v.AsValueMap() {
		text, err := convert.Convert(value, cty.String)
		if err != nil || text.IsNull() {
			a.errorf(attr, "Wrong type", "The property %s must be a string, a number or a boolean.", strconv.Quote(key))
			continue
		}
		into[key] = text.AsString()
	}
	if n := (wire.Node{Name: "n", Properties: into}); n.Check() != nil {
		a.errorf(attr, "Too many properties", "At most 64 properties are possible, with names of up to 64 characters and values of up to 1024.")
	}
}

func (a *attributes) errorf(attr *hcl.Attribute, summary, format string, args ...any) {
	a.failed = true
	a.p.errorf(attr.Expr.Range(), summary, format, args...)
}

func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

func quoted(names []string) string {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = strconv.Quote(n)
	}
	return strings.Join(list, ", ")
}
