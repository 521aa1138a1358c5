package cloudinitd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// Parts are what a service of the new plan is made of.
type parts struct {
	svc                    *oldService
	place                  place
	boot, ready, terminate *program
	conf                   *bootConf
	files                  []*program // in the work directory; several phases may share one
}

// A program of the old plan. As there, it lies in the work directory under its own name.
type program struct {
	source  string // in the new plan
	name    string // in the work directory
	archive bool
	script  bool // without a #! line: what a shell runs as a shell script
	args    []expr
}

// A bootConf is the template of bootconf.json.
type bootConf struct {
	source string
	raw    bool // without placeholders
	env    bool // it becomes bootenv.sh too
	vars   []string
}

const (
	confName   = "bootconf.json"
	envName    = "bootenv.sh"
	outputName = "bootout.json"
)

// takeApart resolves what a service is made of.
func (w *writer) takeApart(svc *oldService) *parts {
	p := &parts{svc: svc, place: w.place(svc)}
	p.boot = w.program(p, "boot", "bootpgm", false)
	p.conf = w.bootConf(svc)
	if p.boot == nil {
		p.conf = nil // the original writes it for the boot program alone
	}
	p.ready = w.program(p, "ready", "readypgm", true)
	p.terminate = w.program(p, "terminate", "terminatepgm", true)
	return p
}

func (w *writer) program(p *parts, phase, key string, booted bool) *program {
	s := p.svc.settings[key]
	if s == nil {
		return nil
	}
	old := w.path(s.dir, s.text)
	source, ok := w.bundle.program(old, s.opt.rng, "program")
	if !ok {
		return nil
	}
	prog := &program{source: source, name: strings.ToValidUTF8(filepath.Base(old), "_"), args: w.args(p.svc, key+"_args", booted)}
	prog.archive = strings.HasSuffix(prog.name, ".tar.gz")
	content := w.files[source].Content
	prog.script = !prog.archive && !bytes.HasPrefix(content, []byte("#!")) && !bytes.HasPrefix(content, []byte("\x7fELF")) && utf8.Valid(content)

	taken := func(name string) bool {
		return name == confName || name == envName || name == outputName ||
			slices.ContainsFunc(p.files, func(f *program) bool { return f.name == name && f.source != source })
	}
	if taken(prog.name) {
		prog.name = path.Join(phase, prog.name)
	}
	if !slices.ContainsFunc(p.files, func(f *program) bool { return f.name == prog.name }) {
		p.files = append(p.files, prog)
	}
	return prog
}

// args are split first and expanded then, so that a value with spaces stays one argument.
func (w *writer) args(svc *oldService, key string, booted bool) []expr {
	s := svc.settings[key]
	if s == nil {
		return nil
	}
	sc := scope{self: target{svc, 0}, user: svc, booted: booted}
	if s.env != "" {
		// Split when it is known, at spaces: quotes in it are not understood.
		w.warnOnce(s.opt.rng, "Arguments from the environment", "%s is env.%s. The imported plan splits it at spaces; quotes in it are not understood.", key, s.env)
		return []expr{codeExpr(fmt.Sprintf("compact(split(\" \", %[1]s != null ? %[1]s : \"\"))...", w.env(s.env).hcl(svc)))}
	}
	words, err := splitWords(s.text)
	if err != nil {
		w.failOnce(s.opt.rng, "Arguments cannot be split", "%s are split as a shell would, but %v.", key, err)
		return nil
	}
	w.warnOfSecret(s.opt.rng, "These arguments", secretInWords(words))
	var args []expr
	for _, word := range words {
		arg := w.text(word, s.opt.rng, sc)
		w.require(arg)
		args = append(args, arg)
	}
	return args
}

// bootConf copies the template of a service's bootconf.
func (w *writer) bootConf(svc *oldService) *bootConf {
	s := svc.settings["bootconf"]
	if s == nil {
		return nil
	}
	old := w.path(s.dir, s.text)
	src, err := w.bytes(old, maxFile)
	if err != nil {
		w.failOnce(s.opt.rng, "File cannot be read", "The bootconf %s: %v.", old, err)
		return nil
	}
	if svc.settings["bootpgm"] == nil {
		w.warn(s.opt.rng, "Bootconf without a boot program", "[svc-%s] has a bootconf and no bootpgm to read it. cloudinit.d does not write it then, nor does the imported plan.", svc.name)
		return nil
	}
	t, diags := parseTemplate(old, src)
	w.templateMistakes(svc, s, t, diags)
	w.warnOfSecret(s.opt.rng, "The lines of "+w.shown(old), secretInTemplate(string(src)))
	conf := &bootConf{env: couldBeObject(t)}
	vars := map[string]bool{}
	for _, piece := range t.pieces {
		if piece.name != "" {
			vars[piece.name] = true
		}
	}
	conf.vars = keys(vars)
	for _, name := range conf.vars {
		w.require(svc.depFinal[name])
	}
	if text, ok := t.literal(); ok && (text == string(src) || !utf8.Valid(src)) {
		conf.raw = true
		conf.source, _ = w.plain(old, s.opt.rng)
		conf.env = conf.env && utf8.Valid(src)
		return conf
	}
	if !utf8.Valid(src) {
		w.failOnce(fileRange(old), "Not UTF-8", "This bootconf is filled in, and it is not text in UTF-8, which it has to be in an HCL plan: it cannot be carried over.")
		return conf
	}
	conf.source, _ = w.template(old, s.opt.rng, func([]byte) ([]byte, bool) { return []byte(t.hcl()), true })
	return conf
}

// templateMistakes reports bad placeholders, and names that this service has no dependency for.
func (w *writer) templateMistakes(svc *oldService, s *setting, t *bootTemplate, diags hcl.Diagnostics) {
	for _, d := range diags {
		w.failOnce(*d.Subject, d.Summary, "%s", d.Detail)
	}
	said := map[string]bool{}
	for _, piece := range t.pieces {
		if piece.name == "" || said[piece.name] || svc.depNames[piece.name] {
			continue
		}
		said[piece.name] = true
		hint := didYouMean(piece.name, keys(svc.depNames))
		if low := lower(piece.name); low != piece.name && svc.depNames[low] {
			hint = fmt.Sprintf(" Names in files of dependencies are made lower-case when they are read: write ${%s}.", low)
		}
		w.fail(piece.rng, "Unknown name in a template", "${%s}: service %q, whose bootconf this is (%s), has no dependency of that name.%s", piece.name, svc.name, where(s.opt.rng), hint)
	}
}

// couldBeObject says whether a template makes a JSON object, as far as that can be seen without the values.
func couldBeObject(t *bootTemplate) bool {
	text := strings.TrimLeft(t.with("1"), " \t\r\n")
	if _, constant := t.literal(); constant {
		var object map[string]any
		return json.Unmarshal([]byte(text), &object) == nil && object != nil
	}
	return strings.HasPrefix(text, "{")
}

// service writes a service's block.
func (w *writer) service(b *strings.Builder, p *parts) {
	svc := p.svc
	fmt.Fprintf(b, "# [svc-%s], %s line %d\n", oneLine(svc.name), w.shown(svc.rng.Filename), svc.rng.Start.Line)
	fmt.Fprintf(b, "service %s {\n", quote(svc.ident))
	if svc.copies > 1 {
		fmt.Fprintf(b, "count = %d\n", svc.copies)
	}
	w.placeLines(b, p)
	if deps := w.depsObject(svc); deps != "" {
		fmt.Fprintf(b, "\nattributes = {\ndeps = %s\n}\n", deps)
	}
	for _, name := range keys(svc.exports) {
		sensitive := ""
		if svc.keeps(name) {
			sensitive = "sensitive = true\n"
		}
		fmt.Fprintf(b, "\nexport %s {\ntype = string\n%sdefault = null # where %s does not have it\n}\n", quote(name), sensitive, outputName)
	}
	w.confFiles(b, p)
	for _, f := range p.files {
		fmt.Fprintf(b, "\nfile %s {\nsource = %s\nmode = \"0755\"\n}\n", quote(f.name), quote(f.source))
	}
	w.phases(b, p)
	b.WriteString("}\n")
}

func (w *writer) placeLines(b *strings.Builder, p *parts) {
	if p.place.remark != "" {
		fmt.Fprintf(b, "# %s.\n", oneLine(p.place.remark))
		w.remarks = append(w.remarks, fmt.Sprintf("service.%s: %s", p.svc.ident, p.place.remark))
	}
	if on := p.place.on; on != nil {
		target := exprPart{svc: on, copy: p.place.copy, attr: "x"}.hcl(p.svc)
		fmt.Fprintf(b, "on = %s\n", strings.TrimSuffix(target, ".x"))
	}
	if p.place.runner != "" {
		fmt.Fprintf(b, "runner = %s\n", p.place.runner)
	}
	if len(p.place.host.parts) > 0 {
		fmt.Fprintf(b, "host = %s\n", w.open(p.place.host, p.svc))
	}
}

// confFiles writes bootconf.json and bootenv.sh.
func (w *writer) confFiles(b *strings.Builder, p *parts) {
	if p.conf == nil {
		return
	}
	content := fmt.Sprintf("templatefile(%s, %s)", quote(p.conf.source), w.templateVars(p))
	if p.conf.raw {
		content = fmt.Sprintf("file(%s)", quote(p.conf.source))
		fmt.Fprintf(b, "\nfile %s {\nsource = %s\n}\n", quote(confName), quote(p.conf.source))
	} else {
		fmt.Fprintf(b, "\nfile %s {\ncontent = %s\n}\n", quote(confName), content)
	}
	if p.conf.env {
		w.uses.bootenv = true
		fmt.Fprintf(b, "file %s {\ncontent = templatefile(%s, { bootconf = %s })\n}\n",
			quote(envName), quote(path.Join(w.helpers, bootenvHelper)), content)
	}
}

// templateVars is what a template is filled with: all of the dependencies, where their names allow that.
func (w *writer) templateVars(p *parts) string {
	plain := true
	for _, v := range p.svc.depValues {
		plain = plain && templateVariable(v.name) == v.name && objectKey(v.name) == v.name
	}
	switch {
	case len(p.conf.vars) == 0:
		return "{}"
	case plain:
		return "self.deps"
	}
	var b strings.Builder
	b.WriteString("{\n")
	for _, name := range p.conf.vars {
		fmt.Fprintf(&b, "%s = self.deps%s\n", templateVariable(name), index(name))
	}
	b.WriteString("}")
	return b.String()
}

func (w *writer) phases(b *strings.Builder, p *parts) {
	timeout := fmt.Sprintf("%ds", p.svc.timeout)
	if p.svc.timeout%60 == 0 {
		timeout = fmt.Sprintf("%dm", p.svc.timeout/60)
	}
	own := ""
	if p.svc.timeout != defaultTimeout { // which is launch's default as well, but for ready
		own = fmt.Sprintf("timeout = %q\n", timeout)
	}
	switch {
	case p.boot != nil:
		fmt.Fprintf(b, "\nboot {\n%s%s}\n", w.run(p, p.boot, len(p.svc.exports) > 0), own)
	case len(p.files) > 0:
		b.WriteString("\nboot {\ncommand = [\"true\"] # there is no boot program, but the files have to be sent\n}\n")
	}
	if p.ready != nil {
		fmt.Fprintf(b, "\nready {\n%sattempts = 1\ntimeout = %q\n}\n", w.run(p, p.ready, false), timeout)
	} else if p.boot == nil && len(p.files) == 0 {
		b.WriteString("\nready {\ncommand = [\"true\"] # the host can be reached\nattempts = 1\n}\n")
	}
	if p.terminate != nil {
		fmt.Fprintf(b, "\nterminate {\n%s%s}\n", w.run(p, p.terminate, false), own)
	}
}

// run writes how a program is run: by its name in the work directory, through the helper where
// it is an archive, or leaves values.
func (w *writer) run(p *parts, prog *program, output bool) string {
	var args []string
	for _, arg := range prog.args {
		args = append(args, arg.hcl(p.svc))
	}
	if prog.archive || output {
		w.uses.run = true
		args = slices.Insert(args, 0, quote(prog.name))
		return fmt.Sprintf("program = %s\nargs = %s\n", quote(path.Join(w.helpers, runHelper)), list(args))
	}
	args = slices.Insert(args, 0, quote("./"+prog.name))
	if prog.script {
		args = slices.Insert(args, 0, quote("sh"))
	}
	return fmt.Sprintf("command = %s\n", list(args))
}

// list writes a list. An element that ends with "..." is a list itself.
func list(elements []string) string {
	if slices.ContainsFunc(elements, func(e string) bool { return strings.HasSuffix(e, "...") }) {
		lists := make([]string, len(elements))
		for i, e := range elements {
			if inner, ok := strings.CutSuffix(e, "..."); ok {
				lists[i] = inner
			} else {
				lists[i] = "[" + e + "]"
			}
		}
		return "concat(" + strings.Join(lists, ", ") + ")"
	}
	return "[" + strings.Join(elements, ", ") + "]"
}
