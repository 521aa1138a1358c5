package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"
)

// blockContent takes a block apart by a schema.
func blockContent(block *hcl.Block, schema *hcl.BodySchema) (*hcl.BodyContent, hcl.Diagnostics) {
	content, diags := block.Body.Content(schema)
	return content, inOurWords(diags, schema, block)
}

// inOurWords puts what hcl says of a block, nil for a file, in the words of the plan language: it has attributes, not
// arguments. What is not known is held against the names there are.
func inOurWords(diags hcl.Diagnostics, schema *hcl.BodySchema, block *hcl.Block) hcl.Diagnostics {
	for _, d := range diags {
		switch d.Summary {
		case "Unsupported argument":
			d.Summary = "Unknown attribute"
			d.Detail = unknownName(quotedName(d.Detail), schema)
		case "Missing required argument":
			d.Summary = "Missing attribute"
			d.Detail = fmt.Sprintf("The attribute %q is required here.", quotedName(d.Detail))
			if block != nil {
				d.Subject = &block.DefRange
			}
		case "Unsupported block type":
			d.Summary = "Unknown block"
			d.Detail = unknownName(quotedName(d.Detail), schema)
		}
	}
	return diags
}

// quotedName is the name that hcl quotes in a message.
func quotedName(message string) string {
	_, rest, _ := strings.Cut(message, "\"")
	name, _, _ := strings.Cut(rest, "\"")
	return name
}

// unknownName says what could have been meant by an attribute or block that there is none of.
func unknownName(name string, schema *hcl.BodySchema) string {
	var attributes, blocks []string
	for _, a := range schema.Attributes {
		attributes = append(attributes, a.Name)
	}
	for _, b := range schema.Blocks {
		blocks = append(blocks, b.Type)
	}
	switch {
	case slices.Contains(blocks, name):
		return fmt.Sprintf("%q is a block, not an attribute: write it without the equals sign, %s { ... }.", name, name)
	case slices.Contains(attributes, name):
		return fmt.Sprintf("%q is an attribute, not a block: write %s = VALUE.", name, name)
	}
	return fmt.Sprintf("There is no %q here.%s", shorten(name), suggest(name, slices.Sorted(slices.Values(append(attributes, blocks...)))))
}

// variableType reads a type, in which attributes of objects can be optional.
func variableType(x hcl.Expression) (cty.Type, *typeexpr.Defaults, hcl.Diagnostics) {
	ty, defaults, diags := typeexpr.TypeConstraintWithDefaults(x)
	return ty, defaults, withTypes(diags)
}

func exportType(x hcl.Expression) (cty.Type, hcl.Diagnostics) {
	ty, diags := typeexpr.TypeConstraint(x)
	return ty, withTypes(diags)
}

// withTypes names the types there are, where a type is none.
func withTypes(diags hcl.Diagnostics) hcl.Diagnostics {
	for _, d := range diags {
		if d.Summary == "Invalid type specification" {
			d.Detail += " The types are string, number, bool, list(T), set(T), map(T), object({ NAME = T }), tuple([T]) and any."
		}
	}
	return diags
}
