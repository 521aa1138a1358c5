package plan

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// blockContent takes a block apart by a schema. What hcl says of it is put in the words of the
// plan language: it has attributes, not arguments.
func blockContent(block *hcl.Block, schema *hcl.BodySchema) (*hcl.BodyContent, hcl.Diagnostics) {
	content, diags := block.Body.Content(schema)
	return content, inOurWords(diags, block)
}

func inOurWords(diags hcl.Diagnostics, block *hcl.Block) hcl.Diagnostics {
	for _, d := range diags {
		switch d.Summary {
		case "Unsupported argument":
			d.Summary = "Unknown attribute"
		case "Missing required argument":
			d.Summary = "Missing attribute"
			if block != nil {
				d.Subject = &block.DefRange
			}
		case "Unsupported block type":
			d.Summary = "Unknown block"
		}
		d.Detail = strings.NewReplacer(
			"The argument ", "The attribute ",
			"An argument named ", "An attribute named ",
			", but no definition was found.", " here.",
		).Replace(d.Detail)
	}
	return diags
}
