package plan

import (
	"path/filepath"
	"sort"

	"github.com/hashicorp/hcl/v2"
)

func (l *loader) decodeLevel(m *module, block *hcl.Block) hcl.Diagnostics {
	content, diags := blockContent(block, &hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: "after"}, {Name: "parallelism"}, {Name: "enabled"}, {Name: "plan"}, {Name: "inputs"}},
		Blocks:     []hcl.BlockHeaderSchema{{Type: "service", LabelNames: []string{"name"}}},
	})
	level := &levelBlock{
		name: block.Labels[0], rng: block.DefRange,
		index: len(m.levelList), inputs: map[string]*input{}, inputsRead: true, outputsUsed: map[*outputBlock]bool{},
	}
	if diag := checkName("level", level.name, block.LabelRanges[0]); diag != nil {
		return append(diags, diag)
	}
	if first := m.levels[level.name]; first != nil {
		return append(diags, duplicate("level", level.name, block.DefRange, first.rng))
	}
	m.levels[level.name] = level
	m.levelList = append(m.levelList, level)

	if attr := content.Attributes["after"]; attr != nil {
		level.afterSet, level.afterExpr = true, attr.Expr
	}
	level.parallelism = attributeExpression(content, "parallelism")
	level.enabled = attributeExpression(content, "enabled")
	if attr := content.Attributes["plan"]; attr != nil {
		dir, moreDiags := constantString(attr)
		diags = append(diags, moreDiags...)
		level.planExpr = attr.Expr
		switch {
		case moreDiags.HasErrors():
		case dir == "":
			diags = append(diags, failure(attr.Expr.Range(), "Empty path", "\"plan\" must name the directory of a plan."))
		case filepath.IsAbs(dir):
			level.planDir = filepath.Clean(dir)
		default:
			level.planDir = filepath.Join(m.dir, filepath.FromSlash(dir))
		}
	}
	if attr := content.Attributes["inputs"]; attr != nil {
		diags = append(diags, decodeInputs(level, attr)...)
	}
	if attr := content.Attributes["parallelism"]; attr != nil && level.planExpr != nil {
		diags = append(diags, failure(attr.NameRange, "Parallelism of a plan",
			"Level %q is a plan: each of its own levels has a \"parallelism\".", level.name))
	}
	for _, inner := range content.Blocks {
		if level.planExpr != nil {
			diags = append(diags, failure(inner.DefRange, "Both a plan and services",
				"Level %q is a plan (\"plan\" is set), so it cannot have services of its own. Put them in a level before or after it.", level.name))
			break
		}
		diags = append(diags, l.decodeService(m, level, inner)...)
	}
	return diags
}

// decodeInputs takes `inputs` apart, so that each one is evaluated on its own.
func decodeInputs(level *levelBlock, attr *hcl.Attribute) hcl.Diagnostics {
	if level.planExpr == nil {
		return hcl.Diagnostics{failure(attr.NameRange, "Inputs without a plan",
			"Level %q has inputs and no \"plan\" that would take them.", level.name)}
	}
	items, diags := objectItems(attr)
	level.inputsRead = !diags.HasErrors()
	for _, item := range items {
		if first := level.inputs[item.name]; first != nil {
			diags = append(diags, duplicate("input", item.name, item.rng, first.rng))
			continue
		}
		level.inputs[item.name] = &input{name: item.name, rng: item.rng, value: newExpression(item.expr)}
	}
	return diags
}

type objectItem struct {
	name string
	rng  hcl.Range
	expr hcl.Expression
}

// objectItems takes an object written out in braces apart.
func objectItems(attr *hcl.Attribute) ([]objectItem, hcl.Diagnostics) {
	pairs, diags := hcl.ExprMap(attr.Expr)
	if diags.HasErrors() {
		return nil, hcl.Diagnostics{failure(attr.Expr.Range(), "Object expected",
			"%q must be written out as { name = value, ... }, so that its names are known before any value is.", attr.Name)}
	}
	var items []objectItem
	for _, pair := range pairs {
		name := hcl.ExprAsKeyword(pair.Key)
		if name == "" {
			value, moreDiags := constantValue(pair.Key, nil)
			if moreDiags.HasErrors() || !isPlainString(value) {
				diags = append(diags, failure(pair.Key.Range(), "Constant name expected",
					"The names in %q must be constants.", attr.Name))
				continue
			}
			name = value.AsString()
		}
		if diag := checkName("value in "+attr.Name, name, pair.Key.Range()); diag != nil {
			diags = append(diags, diag)
			continue
		}
		items = append(items, objectItem{name, pair.Key.Range(), pair.Value})
	}
	return items, diags
}

func attributeExpression(content *hcl.BodyContent, name string) *expression {
	if attr := content.Attributes[name]; attr != nil {
		return newExpression(attr.Expr)
	}
	return nil
}

// inOrder lists attributes as they stand in the file.
func inOrder(attrs hcl.Attributes) []*hcl.Attribute {
	list := make([]*hcl.Attribute, 0, len(attrs))
	for _, attr := range attrs {
		list = append(list, attr)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Range.Start.Byte < list[j].Range.Start.Byte })
	return list
}
