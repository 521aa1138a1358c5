package plan

import (
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

func serviceSchema() *hcl.BodySchema {
	return &hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{
			{Name: "count"}, {Name: "for_each"}, {Name: "enabled"}, {Name: "runner"}, {Name: "on"}, {Name: "host"}, {Name: "user_data"},
			{Name: "attributes"}, {Name: "exports"},
		},
		Blocks: []hcl.BlockHeaderSchema{
			{Type: "file", LabelNames: []string{"name"}},
			{Type: "export", LabelNames: []string{"name"}},
			{Type: "boot"}, {Type: "process"}, {Type: "ready"}, {Type: "terminate"}, {Type: "gone"},
		},
	}
}

func (l *loader) decodeService(m *module, level *levelBlock, block *hcl.Block) hcl.Diagnostics {
	content, diags := blockContent(block, serviceSchema())
	b := &serviceBlock{name: block.Labels[0], rng: block.DefRange, level: level}
	if diag := checkName("service", b.name, block.LabelRanges[0]); diag != nil {
		return append(diags, diag)
	}
	if first := m.services[b.name]; first != nil {
		return append(diags, duplicate("service", b.name, block.DefRange, first.rng))
	}
	m.services[b.name] = b
	level.services = append(level.services, b)

	b.count = attributeExpression(content, "count")
	b.forEach = attributeExpression(content, "for_each")
	b.enabled = attributeExpression(content, "enabled")
	b.runner = attributeExpression(content, "runner")
	b.on = attributeExpression(content, "on")
	b.host = attributeExpression(content, "host")
	b.userData = attributeExpression(content, "user_data")
	diags = append(diags, exclusive(content)...)
	if attr := content.Attributes["attributes"]; attr != nil {
		diags = append(diags, b.decodeAttributes(attr)...)
	}
	if attr := content.Attributes["exports"]; attr != nil {
		diags = append(diags, b.decodeExports(attr)...)
	}
	for _, inner := range content.Blocks {
		diags = append(diags, l.decodeServiceBlock(b, inner)...)
	}
	if !l.opts.Kept {
		diags = append(diags, b.checkFiles()...)
	}
	return append(diags, b.checkForm()...)
}

// exclusive reports attributes that do not go together.
func exclusive(content *hcl.BodyContent) hcl.Diagnostics {
	var diags hcl.Diagnostics
	pairs := []struct{ a, b, why string }{
		{"count", "for_each", "Both say how many instances there are."},
		{"on", "runner", "A service that runs on another one's host shares its connection too."},
		{"on", "user_data", "A service that runs on another one's host has no machine of its own."},
		{"on", "host", "A service that runs on another one's host has none of its own."},
	}
	for _, pair := range pairs {
		first, second := content.Attributes[pair.a], content.Attributes[pair.b]
		if first != nil && second != nil {
			diags = append(diags, failure(second.NameRange, "Attributes that exclude each other",
				"%q and %q cannot both be set. %s", pair.a, pair.b, pair.why))
		}
	}
	return diags
}

func (l *loader) decodeServiceBlock(b *serviceBlock, block *hcl.Block) hcl.Diagnostics {
	once := func(slot **programBlock) hcl.Diagnostics {
		program, diags := decodeProgram(block)
		if first := *slot; first != nil {
			return append(diags, failure(block.DefRange, "Duplicate block",
				"Service %q has a %q block already, at %s.", b.name, block.Type, place(first.rng)))
		}
		*slot = program
		return diags
	}
	switch block.Type {
	case "boot":
		return once(&b.boot)
	case "process":
		return once(&b.process)
	case "terminate":
		return once(&b.terminate)
	case "ready", "gone":
		probe, diags := decodeProbe(block)
		if block.Type == "ready" {
			b.ready = append(b.ready, probe)
		} else {
			b.gone = append(b.gone, probe)
		}
		return diags
	case "file":
		return b.decodeFile(block)
	default:
		return l.decodeExport(b, block)
	}
}

// does names what the service runs, "" where it runs nothing to come up.
func (b *serviceBlock) does() string {
	switch {
	case b.boot != nil:
		return "boot"
	case b.process != nil:
		return "process"
	}
	return ""
}

// checkForm checks that the blocks of a service go together.
func (b *serviceBlock) checkForm() hcl.Diagnostics {
	var diags hcl.Diagnostics
	if b.boot != nil && b.process != nil {
		diags = append(diags, failure(b.process.rng, "Both boot and process",
			"Service %q has a \"boot\" and a \"process\" block. A program that ends belongs in boot, one that stays in process; make two services of them if it needs both.", b.name))
	}
	if b.does() == "" && len(b.ready) == 0 && b.runner == nil { // a runner may make a machine, which is something
		diags = append(diags, failure(b.rng, "Service that does nothing",
			"Service %q has neither boot nor process nor ready: there is nothing to bring up and nothing to verify.", b.name))
	}
	if b.boot == nil && len(b.exports) > 0 {
		diags = append(diags, failure(b.exports[0].rng, "Exports without a boot program",
			"Exports are what a boot program leaves; service %q has none. Values that are known before go into \"attributes\".", b.name))
	}
	for _, probe := range slices.Concat(b.ready, b.gone) {
		if probe.log != nil && b.boot == nil && b.process == nil {
			diags = append(diags, failure(probe.log.Range(), "Log probe without a program",
				"\"log\" looks into the output of the service's program; service %q has neither boot nor process.", b.name))
		}
	}
	return diags
}

// checkFiles checks that a service with files has a program to send them for.
func (b *serviceBlock) checkFiles() hcl.Diagnostics {
	if b.does() != "" || len(b.files) == 0 {
		return nil
	}
	return hcl.Diagnostics{failure(b.files[0].rng, "Files without a program",
		"Files are sent for a boot program or a process; service %q has neither. With boot { command = [\"true\"] } they are sent for the other programs.", b.name)}
}

// claim reports a name that an attribute or export cannot have.
func (b *serviceBlock) claim(name string, at hcl.Range) *hcl.Diagnostic {
	for _, fact := range hostFacts() {
		if name == fact {
			return failure(at, "Reserved name",
				"Every service has %q by itself; an attribute or export needs another name.", name)
		}
	}
	if a := b.attribute(name); a != nil {
		return failure(at, "Name used twice", "Service %q has an attribute %q already, at %s. A name is either an attribute or an export, once.", b.name, name, place(a.rng))
	}
	if e := b.export(name); e != nil {
		return failure(at, "Name used twice", "Service %q has an export %q already, at %s. A name is either an attribute or an export, once.", b.name, name, place(e.rng))
	}
	return nil
}

func (b *serviceBlock) decodeAttributes(attr *hcl.Attribute) hcl.Diagnostics {
	items, diags := objectItems(attr)
	for _, item := range items {
		if diag := b.claim(item.name, item.rng); diag != nil {
			diags = append(diags, diag)
			continue
		}
		b.attributes = append(b.attributes, &attributeItem{item.name, item.rng, newExpression(item.expr)})
	}
	return diags
}

func (b *serviceBlock) decodeExports(attr *hcl.Attribute) hcl.Diagnostics {
	items, diags := objectItems(attr)
	for _, item := range items {
		if diag := b.claim(item.name, item.rng); diag != nil {
			diags = append(diags, diag)
			continue
		}
		ty, moreDiags := exportType(item.expr)
		diags = append(diags, moreDiags...)
		if moreDiags.HasErrors() {
			ty = cty.DynamicPseudoType
		}
		b.exports = append(b.exports, &exportDecl{name: item.name, rng: item.rng, typ: ty})
	}
	return diags
}

func (l *loader) decodeExport(b *serviceBlock, block *hcl.Block) hcl.Diagnostics {
	content, diags := blockContent(block, &hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: "type", Required: true}, {Name: "sensitive"}, {Name: "default"}, {Name: "description"}},
	})
	e := &exportDecl{name: block.Labels[0], rng: block.DefRange, typ: cty.DynamicPseudoType}
	if diag := checkName("export", e.name, block.LabelRanges[0]); diag != nil {
		return append(diags, diag)
	}
	if diag := b.claim(e.name, block.LabelRanges[0]); diag != nil {
		return append(diags, diag)
	}
	b.exports = append(b.exports, e)
	if attr := content.Attributes["type"]; attr != nil {
		ty, moreDiags := exportType(attr.Expr)
		diags = append(diags, moreDiags...)
		if !moreDiags.HasErrors() {
			e.typ = ty
		}
	}
	if attr := content.Attributes["sensitive"]; attr != nil {
		value, moreDiags := constantBool(attr)
		e.sensitive = value
		diags = append(diags, moreDiags...)
	}
	if attr := content.Attributes["description"]; attr != nil {
		_, moreDiags := constantString(attr)
		diags = append(diags, moreDiags...)
	}
	if attr := content.Attributes["default"]; attr != nil {
		value, moreDiags := l.constant(attr.Expr)
		diags = append(diags, moreDiags...)
		e.hasDefault, e.defValue = true, cty.NullVal(e.typ)
		if !moreDiags.HasErrors() {
			value, err := convert.Convert(value, e.typ)
			if err != nil {
				diags = append(diags, failure(attr.Expr.Range(), "Default of another type",
					"The default of export %q does not fit its type, %s: %v.", e.name, typeName(e.typ), err))
			} else {
				e.defValue = value
			}
		}
	}
	return diags
}

func (b *serviceBlock) decodeFile(block *hcl.Block) hcl.Diagnostics {
	content, diags := blockContent(block, &hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: "content"}, {Name: "source"}, {Name: "mode"}},
	})
	f := &fileBlock{
		name: block.Labels[0], rng: block.DefRange,
		content: attributeExpression(content, "content"),
		source:  attributeExpression(content, "source"),
		mode:    attributeExpression(content, "mode"),
	}
	if !isCleanPath(f.name) {
		return append(diags, failure(block.LabelRanges[0], "Invalid file name",
			"%q must be a relative path within the work directory, such as \"conf/app.json\".", shorten(f.name)))
	}
	for _, other := range b.files {
		if other.name == f.name {
			return append(diags, duplicate("file", f.name, block.DefRange, other.rng))
		}
	}
	b.files = append(b.files, f)
	if (f.content == nil) == (f.source == nil) {
		diags = append(diags, failure(block.DefRange, "File without one source",
			"File %q needs either \"content\" or \"source\" (a file or directory of the plan).", f.name))
	}
	return diags
}

// isCleanPath says whether name is a path that stays below the directory it is relative to.
func isCleanPath(name string) bool {
	return name != "" && name != "." && path.Clean(name) == name && !path.IsAbs(name) &&
		name != ".." && !strings.HasPrefix(name, "../") && !strings.ContainsAny(name, "\x00\n\\") && len(name) <= maxPath
}
