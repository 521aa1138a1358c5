package plan

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format gives a plan file its usual layout. A file that cannot be parsed is left
// alone, and the diagnostics say why.
func Format(filename string, src []byte) ([]byte, hcl.Diagnostics) {
	if diags := checkEncoding(src, filename); diags.HasErrors() {
		return src, diags
	}
	if diags := checkNesting(src, filename); diags.HasErrors() {
		return src, diags
	}
	if _, diags := hclsyntax.ParseConfig(src, filename, hcl.InitialPos); diags.HasErrors() {
		return src, diags
	}
	return hclwrite.Format(src), nil
}
