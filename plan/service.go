package plan

import (
	"bytes"
	"fmt"
	"path"
	"strconv"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// Prepared is what bringing a service up takes.
type Prepared struct {
	Files      []File
	Boot       *Program // nil: none
	Process    *Process // nil: none
	Attributes []byte   // JSON object for LAUNCH_ATTRIBUTES; may contain secrets
	UserData   string   // for a pool's machines; may contain secrets
}

// Ending is what terminating a service takes.
type Ending struct {
	Terminate  *Program
	Attributes []byte // for LAUNCH_ATTRIBUTES
	Gone       []*Probe
	Signal     string        // the process's stop_signal
	Grace      time.Duration // its stop_timeout
}

// evaluation begins to evaluate something of the service.
func (s *Service) evaluation(self selfScope) *evaluation {
	return &evaluation{scope: s.group.scope, in: instance{block: s.group.block, service: s, self: self}}
}

// Target evaluates the service's `host` ("" where it has none).
func (s *Service) Target() (string, hcl.Diagnostics) {
	e := s.evaluation(noSelf)
	return e.target(s.group.block), tidy(e.diags)
}

func (e *evaluation) target(b *serviceBlock) string {
	const most = 255 // characters of a name in the DNS
	host, ok := e.plainText(b.host, "host")
	if s := e.in.service; !ok && b.host != nil && s != nil && s.Runner.kind.Host == NeedsHost {
		e.notNull(b.host, "host")
	}
	if ok && (host == "" || len(host) > most) {
		e.fail(b.host.Range(), "Invalid host", "A host is a name or an address, and cannot be %q.", shorten(host))
	}
	return host
}

// UserData evaluates what a pool's machines are told, "" where the service does not say that. It may contain secrets.
func (s *Service) UserData() (string, hcl.Diagnostics) {
	e := s.evaluation(noSelf)
	data := e.userData(s.group.block)
	return data, tidy(e.diags)
}

// HasUserData says whether the service itself tells a pool's machines something.
func (s *Service) HasUserData() bool { return s.group.block.userData != nil }

// Prepare evaluates what bringing up the service takes, when its host is known.
func (s *Service) Prepare() (*Prepared, hcl.Diagnostics) {
	e := s.evaluation(selfAttributes)
	e.inputProblems()
	p := e.prepared(s.group.block)
	return p, tidy(e.diags)
}

// Process evaluates the program that is the service itself, nil where there is none or not all of it can be known.
func (s *Service) Process() *Process {
	return s.evaluation(selfAttributes).process(s.group.block.process)
}

func (e *evaluation) prepared(b *serviceBlock) *Prepared {
	return &Prepared{
		Files:      e.files(b),
		Boot:       e.program(b.boot),
		Process:    e.process(b.process),
		Attributes: e.attributes(),
		UserData:   e.userData(b),
	}
}

func (e *evaluation) userData(b *serviceBlock) string {
	data, _ := e.content(b.userData)
	return data
}

// inputProblems reports inputs of the plan that the service belongs to which turned out to be invalid.
func (e *evaluation) inputProblems() {
	e.scope.mu.Lock()
	defer e.scope.mu.Unlock()
	for s := e.scope; s.parent != nil; s = s.parent {
		for _, v := range s.module.variableList {
			if len(v.validations) == 0 {
				continue
			}
			_, diags := s.variable(v, nil)
			e.diags = append(e.diags, diags...)
		}
	}
}

// files evaluates the file blocks.
func (e *evaluation) files(b *serviceBlock) []File {
	var files []File
	for _, f := range b.files {
		mode := e.mode(f)
		switch {
		case f.content != nil:
			content, ok := e.content(f.content)
			if !ok {
				e.notNull(f.content, "content")
				continue
			}
			files = append(files, File{Path: f.name, Mode: mode, Content: []byte(content)})
		case f.source != nil:
			files = append(files, e.source(f, mode)...)
		}
	}
	return files
}

// content is a text that may hold any byte.
func (e *evaluation) content(x *expression) (string, bool) {
	value, ok := e.value(x, cty.String)
	if !ok {
		return "", false
	}
	value, _ = value.Unmark()
	return value.AsString(), true
}

func (e *evaluation) mode(f *fileBlock) uint32 {
	written, ok := e.plainText(f.mode, "mode")
	if !ok {
		return 0o600
	}
	mode, err := strconv.ParseUint(written, 8, 32)
	if err != nil || mode > 0o777 {
		e.fail(f.mode.Range(), "Invalid mode", "%q is not a file mode: write it in octal, such as \"0600\" or \"0755\".", shorten(written))
		return 0o600
	}
	return uint32(mode)
}

// source is a file of the plan, or all the files of a directory.
func (e *evaluation) source(f *fileBlock, mode uint32) []File {
	name, ok := e.plainText(f.source, "source")
	if !ok {
		e.notNull(f.source, "source")
		return nil
	}
	files := e.scope.module.files
	unusable := func(err error) []File {
		e.fail(f.source.Range(), "Source cannot be used", "%q of the plan in %s cannot be sent: %v.", shorten(name), files.dir, err)
		return nil
	}
	info, err := files.stat(name)
	if err != nil {
		return unusable(err)
	}
	if info.IsDir() {
		sent, err := directoryFiles(files, name)
		if err != nil {
			return unusable(err)
		}
		for i := range sent {
			sent[i].Path = path.Join(f.name, sent[i].Path)
		}
		return sent
	}
	file, err := files.file(name)
	if err != nil {
		return unusable(err)
	}
	return []File{{Path: f.name, Mode: mode, Content: file.content}}
}

// attributes renders what the service knows of itself, as far as it is known.
func (e *evaluation) attributes() []byte {
	if e.check {
		return nil // each one is checked where it stands
	}
	e.scope.mu.Lock()
	defer e.scope.mu.Unlock()
	g := e.scope.groups[e.in.block]
	values := map[string]cty.Value{}
	for _, name := range g.block.members() {
		value, ok := g.member(e.in.service, e.in.self, nil, name)
		if ok && value.IsWhollyKnown() && g.block.export(name) == nil || e.in.self == selfAll && value.IsWhollyKnown() {
			values[name], _ = value.UnmarkDeep()
		}
	}
	object := cty.ObjectVal(values)
	encoded, err := ctyjson.Marshal(object, object.Type())
	if err != nil {
		e.diags = append(e.diags, failure(g.block.rng, "Attributes cannot be written",
			"The attributes of service %q cannot be written as JSON: %v.", g.block.name, err))
	}
	return withoutHTMLEscapes(encoded)
}

// withoutHTMLEscapes has the characters in JSON as they are that Go's encoder escapes for the sake of HTML.
func withoutHTMLEscapes(encoded []byte) []byte {
	if !bytes.Contains(encoded, []byte(`\u00`)) {
		return encoded
	}
	plain := make([]byte, 0, len(encoded))
	for rest := encoded; len(rest) > 0; {
		length, as := 1, rest[:1]
		if rest[0] == '\\' {
			length, as = 2, rest[:2]
			for _, char := range []string{"<", ">", "&"} {
				if escape := fmt.Sprintf(`\u%04x`, char[0]); bytes.HasPrefix(rest, []byte(escape)) {
					length, as = len(escape), []byte(char)
				}
			}
		}
		plain, rest = append(plain, as...), rest[length:]
	}
	return plain
}

// Checks evaluates the service's ready blocks, when its boot program has ended.
func (s *Service) Checks() ([]*Probe, hcl.Diagnostics) {
	e := s.evaluation(selfAll)
	probes := e.probes(s.group.block.ready)
	return probes, tidy(e.diags)
}

func (e *evaluation) probes(blocks []*probeBlock) []*Probe {
	var probes []*Probe
	for _, b := range blocks {
		if p := e.probe(b); p != nil {
			probes = append(probes, p)
		}
	}
	return probes
}

// Ending evaluates what terminating the service takes. What of it depends on values that
// were never learned is told in the diagnostics, and the rest is still returned.
func (s *Service) Ending() (*Ending, hcl.Diagnostics) {
	e := s.evaluation(selfAll)
	ending := e.ending(s.group.block)
	return ending, tidy(e.diags)
}

func (e *evaluation) ending(b *serviceBlock) *Ending {
	ending := &Ending{
		Terminate:  e.program(b.terminate),
		Attributes: e.attributes(),
		Gone:       e.probes(b.gone),
		Signal:     StopSignal,
		Grace:      StopTimeout,
	}
	if b.process != nil {
		ending.Signal, ending.Grace = e.stop(b.process)
	}
	return ending
}

// checkService evaluates everything of a service block, as far as it is known, for what is wrong with it.
func (s *scope) checkService(b *serviceBlock, service *Service, again repeat) hcl.Diagnostics {
	var diags hcl.Diagnostics
	at := func(self selfScope) *evaluation {
		return &evaluation{scope: s, in: instance{block: b, service: service, self: self}, check: true, again: again}
	}
	host := at(noSelf)
	host.target(b)
	own := at(selfFacts)
	for _, a := range b.attributes {
		own.anyValue(a.value, cty.DynamicPseudoType)
	}
	boot := at(selfAttributes)
	boot.prepared(b)
	end := at(selfAll)
	end.probes(b.ready)
	end.ending(b)
	for _, e := range []*evaluation{host, own, boot, end} {
		diags = append(diags, e.diags...)
	}
	return diags
}
