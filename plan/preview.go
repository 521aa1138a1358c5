package plan

import (
	"fmt"
	"strings"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// A PreviewLine is one thing of a preview: "boot.program" = "database/boot.sh".
type PreviewLine struct {
	Name, Value string
}

// Preview renders everything of a service that can be evaluated now, for --dry-run: what is not known
// yet reads "(known after storage.database)", what is sensitive "(sensitive)".
func (s *Service) Preview() []PreviewLine {
	b := s.group.block
	p := &preview{service: s}
	p.lines = append(p.lines, PreviewLine{"runner", s.Runner.Address()})
	if s.On != nil {
		p.lines = append(p.lines, PreviewLine{"on", s.On.Address})
	}
	p.add(noSelf, "host", b.host)
	p.add(noSelf, "user_data", b.userData)
	for _, a := range b.attributes {
		p.add(selfFacts, "attributes."+a.name, a.value)
	}
	for _, f := range b.files {
		name := "file." + f.name
		p.add(selfAttributes, name+".content", f.content)
		p.add(selfAttributes, name+".source", f.source)
		p.add(selfAttributes, name+".mode", f.mode)
	}
	p.program(selfAttributes, "boot", b.boot)
	p.program(selfAttributes, "process", b.process)
	p.probes("ready", b.ready)
	p.program(selfAll, "terminate", b.terminate)
	p.probes("gone", b.gone)
	for _, e := range b.exports {
		p.lines = append(p.lines, PreviewLine{"exports." + e.name, "(" + typeName(e.typ) + ", known after " + s.Address + ")"})
	}
	return p.lines
}

type preview struct {
	service *Service
	lines   []PreviewLine
}

func (p *preview) program(self selfScope, name string, b *programBlock) {
	if b == nil {
		return
	}
	p.add(self, name+".program", b.program)
	p.add(self, name+".command", b.command)
	p.add(self, name+".script", b.script)
	p.add(self, name+".args", b.args)
	p.add(self, name+".env", b.env)
	p.add(self, name+".dir", b.dir)
	p.add(self, name+".user", b.user)
	p.add(self, name+".timeout", b.timeout)
	p.add(self, name+".retries", b.retries)
	p.add(self, name+".retry_delay", b.retryDelay)
	p.add(self, name+".stop_signal", b.stopSignal)
	p.add(self, name+".stop_timeout", b.stopTimeout)
}

func (p *preview) probes(kind string, blocks []*probeBlock) {
	for i, b := range blocks {
		name := kind
		if len(blocks) > 1 {
			name = fmt.Sprintf("%s[%d]", kind, i)
		}
		p.program(selfAll, name, b.program)
		p.add(selfAll, name+".tcp", b.tcp)
		p.add(selfAll, name+".log", b.log)
		if b.http != nil {
			p.add(selfAll, name+".http.url", b.http.url)
			p.add(selfAll, name+".http.status", b.http.status)
			p.add(selfAll, name+".http.body", b.http.body)
		}
		p.add(selfAll, name+".timeout", b.timeout)
		p.add(selfAll, name+".interval", b.interval)
		p.add(selfAll, name+".attempts", b.attempts)
		p.add(selfAll, name+".from", b.from)
	}
}

// add shows an expression's value as far as it is known.
func (p *preview) add(self selfScope, name string, x *expression) {
	if x == nil {
		return
	}
	e := p.service.evaluation(self)
	e.check = true
	value, ok := e.anyValue(x, cty.DynamicPseudoType)
	text := "(not known)"
	if ok {
		text = e.shown(value, x)
	}
	p.lines = append(p.lines, PreviewLine{name, text})
}

// shown renders a value: texts as they are, the rest as JSON, with placeholders for what is sensitive or not known.
func (e *evaluation) shown(value cty.Value, x *expression) string {
	if value.IsMarked() {
		return "(sensitive)"
	}
	if !value.IsKnown() {
		return e.scope.knownAfter(x, e.in)
	}
	replaced, err := cty.TransformWithTransformer(value, &placeholders{func() string { return e.scope.knownAfter(x, e.in) }})
	if err != nil {
		return "(not known)"
	}
	if isPlainString(replaced) {
		return replaced.AsString()
	}
	encoded, err := ctyjson.Marshal(replaced, replaced.Type())
	if err != nil {
		return "(not known)"
	}
	return string(encoded)
}

// placeholders puts texts where a value is sensitive or not known. The types around
// it are given up for that: the result is made to be read.
type placeholders struct{ unknown func() string }

func (p *placeholders) Enter(_ cty.Path, v cty.Value) (cty.Value, error) {
	switch {
	case v.IsMarked():
		return cty.StringVal("(sensitive)"), nil
	case !v.IsKnown():
		return cty.StringVal(p.unknown()), nil
	}
	switch ty := v.Type(); {
	case v.IsNull():
	case ty.IsMapType():
		return cty.ObjectVal(v.AsValueMap()), nil
	case ty.IsListType(), ty.IsSetType():
		return cty.TupleVal(v.AsValueSlice()), nil
	}
	return v, nil
}

func (p *placeholders) Exit(_ cty.Path, v cty.Value) (cty.Value, error) { return v, nil }

// knownAfter says which service must be brought up before the value of x is known.
func (s *scope) knownAfter(x *expression, in instance) string {
	why := s.reason(x, in)
	for _, words := range []string{"which is known only once the boot program of ", "which is known only once "} {
		if _, rest, ok := strings.Cut(why, words); ok {
			address, _, _ := strings.Cut(rest, " ")
			return "(known after " + address + ")"
		}
	}
	return "(known later)"
}
