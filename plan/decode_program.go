package plan

import (
	"github.com/hashicorp/hcl/v2"
)

func programAttributes() []hcl.AttributeSchema {
	return []hcl.AttributeSchema{
		{Name: "program"}, {Name: "args"}, {Name: "command"}, {Name: "script"},
		{Name: "env"}, {Name: "dir"}, {Name: "user"},
	}
}

func decodeProgram(block *hcl.Block) (*programBlock, hcl.Diagnostics) {
	schema := &hcl.BodySchema{Attributes: programAttributes()}
	if block.Type == "process" {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: "stop_signal"}, hcl.AttributeSchema{Name: "stop_timeout"})
	} else {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: "timeout"}, hcl.AttributeSchema{Name: "retries"}, hcl.AttributeSchema{Name: "retry_delay"})
	}
	content, diags := blockContent(block, schema)
	understood := !diags.HasErrors()
	p, moreDiags := newProgram(block, content)
	diags = append(diags, moreDiags...)
	if p.form() == nil && understood {
		diags = append(diags, failure(block.DefRange, "No program",
			"This %q block says nothing to run: it needs \"program\" (a file of the plan), \"command\" or \"script\".", block.Type))
	}
	p.timeout = attributeExpression(content, "timeout")
	p.retries = attributeExpression(content, "retries")
	p.retryDelay = attributeExpression(content, "retry_delay")
	p.stopSignal = attributeExpression(content, "stop_signal")
	p.stopTimeout = attributeExpression(content, "stop_timeout")
	return p, diags
}

// newProgram takes what says which program to run, and how, from a block.
func newProgram(block *hcl.Block, content *hcl.BodyContent) (*programBlock, hcl.Diagnostics) {
	p := &programBlock{
		kind: block.Type, rng: block.DefRange,
		program: attributeExpression(content, "program"),
		args:    attributeExpression(content, "args"),
		command: attributeExpression(content, "command"),
		script:  attributeExpression(content, "script"),
		env:     attributeExpression(content, "env"),
		dir:     attributeExpression(content, "dir"),
		user:    attributeExpression(content, "user"),
	}
	var diags hcl.Diagnostics
	var first string
	for _, name := range []string{"program", "command", "script"} {
		attr := content.Attributes[name]
		if attr == nil {
			continue
		}
		if first != "" {
			diags = append(diags, failure(attr.NameRange, "Two programs",
				"%q and %q are two ways to say what to run. Keep one of them.", first, name))
		}
		first = name
	}
	if attr := content.Attributes["args"]; attr != nil && first == "command" {
		diags = append(diags, failure(attr.NameRange, "Arguments beside a command",
			"\"command\" holds its arguments itself: command = [\"program\", \"argument\"]."))
	}
	return p, diags
}

// form is the attribute that says what to run; nil: none does.
func (p *programBlock) form() *expression {
	switch {
	case p.program != nil:
		return p.program
	case p.command != nil:
		return p.command
	default:
		return p.script
	}
}

func decodeProbe(block *hcl.Block) (*probeBlock, hcl.Diagnostics) {
	schema := &hcl.BodySchema{
		Attributes: append(programAttributes(),
			hcl.AttributeSchema{Name: "tcp"}, hcl.AttributeSchema{Name: "timeout"}, hcl.AttributeSchema{Name: "interval"},
			hcl.AttributeSchema{Name: "attempts"}, hcl.AttributeSchema{Name: "from"}),
		Blocks: []hcl.BlockHeaderSchema{{Type: "http"}},
	}
	if block.Type == "ready" {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: "log"})
	}
	content, diags := blockContent(block, schema)
	p := &probeBlock{
		kind: block.Type, rng: block.DefRange,
		tcp:      attributeExpression(content, "tcp"),
		log:      attributeExpression(content, "log"),
		timeout:  attributeExpression(content, "timeout"),
		interval: attributeExpression(content, "interval"),
		attempts: attributeExpression(content, "attempts"),
		from:     attributeExpression(content, "from"),
	}
	understood := !diags.HasErrors()
	program, moreDiags := newProgram(block, content)
	diags = append(diags, moreDiags...)
	for _, inner := range content.Blocks {
		if p.http != nil {
			diags = append(diags, failure(inner.DefRange, "Duplicate block",
				"There is an \"http\" block already, at %s. Several %s blocks must all hold: put it into one of its own.", place(p.http.rng), block.Type))
			continue
		}
		httpContent, moreDiags := blockContent(inner, &hcl.BodySchema{
			Attributes: []hcl.AttributeSchema{{Name: "url", Required: true}, {Name: "status"}, {Name: "body"}},
		})
		diags = append(diags, moreDiags...)
		p.http = &httpBlock{
			rng: inner.DefRange, url: attributeExpression(httpContent, "url"),
			status: attributeExpression(httpContent, "status"), body: attributeExpression(httpContent, "body"),
		}
	}
	return p, append(diags, p.checkForm(program, content, understood)...)
}

// checkForm checks that the block asks for one thing. Where it was not understood
// whole, it may well do so in a word that was misspelt.
func (p *probeBlock) checkForm(program *programBlock, content *hcl.BodyContent, understood bool) hcl.Diagnostics {
	var forms []string
	if program.form() != nil {
		p.program = program
		forms = append(forms, "a program")
	}
	if p.tcp != nil {
		forms = append(forms, "\"tcp\"")
	}
	if p.http != nil {
		forms = append(forms, "\"http\"")
	}
	if p.log != nil {
		forms = append(forms, "\"log\"")
	}
	kinds := "a program, \"tcp\", \"http\" or \"log\""
	if p.kind == "gone" {
		kinds = "a program, \"tcp\" or \"http\""
	}
	var diags hcl.Diagnostics
	switch {
	case len(forms) == 0 && understood:
		diags = append(diags, failure(p.rng, "Probe that checks nothing",
			"This %q block needs one of %s.", p.kind, kinds))
	case len(forms) > 1:
		diags = append(diags, failure(p.rng, "Several probes in one block",
			"This %q block has %s and %s. Write one block for each: all of them must hold.", p.kind, forms[0], forms[1]))
	}
	if p.program == nil {
		for _, name := range []string{"args", "env", "dir", "user"} {
			if attr := content.Attributes[name]; attr != nil && len(forms) > 0 {
				diags = append(diags, failure(attr.NameRange, "Attribute without a program",
					"%q belongs to a program, and this %q block runs none.", name, p.kind))
			}
		}
	}
	if p.from != nil && p.tcp == nil && p.http == nil && len(forms) > 0 {
		diags = append(diags, failure(content.Attributes["from"].NameRange, "Attribute without a network probe",
			"\"from\" says from where a \"tcp\" or \"http\" probe is made. Programs and logs are on the service's host."))
	}
	return diags
}
