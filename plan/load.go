package plan

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty/function"
)

// A loader reads a plan and the plans in it.
type loader struct {
	opts      Options
	types     map[string]*RunnerType
	sources   map[string]*hcl.File
	modules   map[string]*module // by directory
	static    map[*module]*scope // while Load checks: the modules with nothing known of their variables and services
	functions map[string]function.Function
	payloads  *payloadCache
	captured  *capture
	templates map[programKey]*parsedTemplate
	source    int // bytes of plan files read so far
	mu        sync.Mutex
}

// Load reads the plan in dir, an absolute path, with its sub-plans, and checks it
// as far as that is possible without variables: unknown values stand for what
// is not known yet. The Plan is nil only where nothing of it could be read;
// with errors it is good for reporting only.
func Load(dir string, opts Options) (*Plan, hcl.Diagnostics) {
	l := &loader{
		opts:      opts,
		types:     map[string]*RunnerType{"local": {Name: "local", Host: NoHost}},
		sources:   map[string]*hcl.File{},
		modules:   map[string]*module{},
		static:    map[*module]*scope{},
		payloads:  newPayloadCache(),
		captured:  newCapture(),
		templates: map[programKey]*parsedTemplate{},
	}
	for i := range opts.Runners {
		l.types[opts.Runners[i].Name] = &opts.Runners[i]
	}
	l.functions = l.commonFunctions()
	root, diags := l.module(filepath.Clean(dir), nil, nil)
	if root == nil {
		if len(l.sources) == 0 {
			return nil, tidy(diags)
		}
		root = newModule(filepath.Clean(dir), nil) // its files are there to show what is wrong in them
	}
	l.static = nil // every value in it is worked out again for a run, and in a large plan they are much
	p := &Plan{Dir: root.dir, Description: root.description, root: root, loader: l}
	if !diags.HasErrors() && l.source > maxKeptTree {
		l.dropTrees()
	}
	for _, v := range root.variableList {
		p.Variables = append(p.Variables, &v.Variable)
	}
	return p, tidy(diags)
}

// maxKeptTree is how large plan files may be for messages to name the block around a mistake,
// which takes the syntax trees: they have thirty times the size of the files.
const maxKeptTree = 1 << 20

// dropTrees keeps of the files only their text.
func (l *loader) dropTrees() {
	for name, file := range l.sources {
		l.sources[name] = &hcl.File{Bytes: file.Bytes}
	}
}

// A moduleUse is a level that is being read, for plans that contain themselves.
type moduleUse struct {
	dir    string
	level  string
	parent *moduleUse
}

// module reads the plan in dir, unless it was read before.
func (l *loader) module(dir string, user *moduleUse, at *hcl.Range) (*module, hcl.Diagnostics) {
	if diag := refuseRecursion(dir, user, at); diag != nil {
		return nil, hcl.Diagnostics{diag}
	}
	if m := l.modules[dir]; m != nil {
		return m, nil
	}
	files, err := openPlanFiles(l.opts.Source, dir)
	if err != nil {
		return nil, hcl.Diagnostics{{
			Severity: hcl.DiagError,
			Summary:  "Plan cannot be opened",
			Detail:   fmt.Sprintf("The plan directory %s cannot be opened: %v.", dir, plainPathError(err)),
			Subject:  at,
		}}
	}
	bodies, diags := l.parseFiles(files, at)
	if diags.HasErrors() {
		return nil, diags // what else is wrong would be guesswork
	}
	m := newModule(dir, files)
	l.modules[dir] = m
	for _, body := range bodies {
		diags = append(diags, l.decodeFile(m, body)...)
	}
	for _, level := range m.levelList {
		if level.planDir == "" {
			continue
		}
		rng := level.planExpr.Range()
		child, moreDiags := l.module(level.planDir, &moduleUse{dir: dir, level: level.name, parent: user}, &rng)
		diags = append(diags, moreDiags...)
		level.module = child
	}
	diags = append(diags, l.check(m)...)
	return m, diags
}

func newModule(dir string, files *planFiles) *module {
	return &module{
		dir: dir, files: files,
		variables: map[string]*variableBlock{},
		locals:    map[string]*localValue{},
		runners:   map[string]*runnerBlock{},
		levels:    map[string]*levelBlock{},
		services:  map[string]*serviceBlock{},
		outputs:   map[string]*outputBlock{},
	}
}

// refuseRecursion reports a plan that is a level of itself, with the way that leads there.
func refuseRecursion(dir string, user *moduleUse, at *hcl.Range) *hcl.Diagnostic {
	path := dir
	depth := 0
	for u := user; u != nil; u = u.parent {
		depth++
		path = fmt.Sprintf("%s (level %s) → %s", u.dir, u.level, path)
		if u.dir == dir {
			return &hcl.Diagnostic{
				Severity: hcl.DiagError,
				Summary:  "Plan contains itself",
				Detail:   fmt.Sprintf("A plan cannot be a level of itself: %s.", path),
				Subject:  at,
			}
		}
	}
	if depth > maxPlanDepth {
		return &hcl.Diagnostic{
			Severity: hcl.DiagError,
			Summary:  "Plans nested too deep",
			Detail:   fmt.Sprintf("A plan may hold plans to a depth of %d.", maxPlanDepth),
			Subject:  at,
		}
	}
	return nil
}

// A planBody is one parsed file of a plan.
type planBody struct {
	body *hclsyntax.Body
	main bool // plan.hcl, the one with the levels
}

// parseFiles reads plan.hcl and the other *.hcl files of a plan directory, in the order of their names.
func (l *loader) parseFiles(files *planFiles, at *hcl.Range) ([]planBody, hcl.Diagnostics) {
	names, err := hclFiles(files.fsys)
	if err == nil && len(names) == 0 {
		err = errors.New("it has no plan.hcl")
	}
	if err != nil {
		return nil, hcl.Diagnostics{{
			Severity: hcl.DiagError,
			Summary:  "No plan in this directory",
			Detail:   fmt.Sprintf("The directory %s is not a launch plan: %v. A plan is a directory with a file plan.hcl.", files.dir, plainPathError(err)),
			Subject:  at,
		}}
	}
	var bodies []planBody
	var diags hcl.Diagnostics
	for _, name := range names {
		shown := l.shownName(filepath.Join(files.dir, name))
		parts, moreDiags := l.parseFile(files, name, shown)
		diags = append(diags, moreDiags...)
		for _, body := range parts {
			bodies = append(bodies, planBody{body, name == "plan.hcl"})
		}
	}
	return bodies, diags
}

// hclFiles names the HCL files of a plan, plan.hcl first. Without a plan.hcl there are none.
func hclFiles(fsys fs.FS) ([]string, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, err
	}
	var names []string
	found := false
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case name == "plan.hcl":
			found = true
		case strings.HasSuffix(name, ".hcl") && !strings.HasPrefix(name, ".") && !entry.IsDir():
			names = append(names, name)
		}
	}
	if !found {
		return nil, nil
	}
	sort.Strings(names)
	return append([]string{"plan.hcl"}, names...), nil
}

// parseFile parses a file, a large one in parts.
func (l *loader) parseFile(files *planFiles, name, shown string) ([]*hclsyntax.Body, hcl.Diagnostics) {
	unreadable := func(why string) hcl.Diagnostics {
		return hcl.Diagnostics{{
			Severity: hcl.DiagError,
			Summary:  "Plan file cannot be read",
			Detail:   fmt.Sprintf("The file %s cannot be read: %s.", shown, why),
			Subject:  &hcl.Range{Filename: shown, Start: hcl.InitialPos, End: hcl.InitialPos},
		}}
	}
	file, err := files.file(name)
	if err != nil {
		return nil, unreadable(err.Error())
	}
	l.source += len(file.content)
	if l.source > maxSource {
		return nil, unreadable(fmt.Sprintf("all plan files together are larger than %d MiB", maxSource>>20))
	}
	l.sources[shown] = &hcl.File{Bytes: file.content}
	if diags := checkEncoding(file.content, shown); diags.HasErrors() {
		return nil, diags // the parser would report each byte of another encoding
	}
	if diags := checkNesting(file.content, shown); diags.HasErrors() {
		return nil, diags
	}
	_, cuts := looksShallow(file.content)
	if len(cuts) == 0 {
		parsed, diags := hclsyntax.ParseConfig(file.content, shown, hcl.InitialPos)
		l.sources[shown] = parsed
		return []*hclsyntax.Body{parsed.Body.(*hclsyntax.Body)}, diags
	}
	return parseParts(file.content, shown, append(cuts, len(file.content)))
}

// checkEncoding finds the first line that is no text in UTF-8.
func checkEncoding(src []byte, shown string) hcl.Diagnostics {
	at := 0
	for line := range bytes.Lines(src) {
		if utf8.Valid(line) {
			at += len(line)
			continue
		}
		pos := hcl.Pos{Line: bytes.Count(src[:at], []byte("\n")) + 1, Column: 1, Byte: at}
		return hcl.Diagnostics{{
			Severity: hcl.DiagError,
			Summary:  "Not UTF-8",
			Detail:   fmt.Sprintf("The file %s is not text in UTF-8. Save it in that encoding.", shown),
			Subject:  &hcl.Range{Filename: shown, Start: pos, End: pos},
		}}
	}
	return nil
}

// parseParts parses the parts of a large file, as many at a time as there are processors.
func parseParts(src []byte, shown string, ends []int) ([]*hclsyntax.Body, hcl.Diagnostics) {
	bodies := make([]*hclsyntax.Body, len(ends))
	found := make([]hcl.Diagnostics, len(ends))
	var wg sync.WaitGroup
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	start := hcl.InitialPos
	for i, end := range ends {
		part, at := src[start.Byte:end], start
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			parsed, diags := hclsyntax.ParseConfig(part, shown, at)
			bodies[i], found[i] = parsed.Body.(*hclsyntax.Body), diags
		})
		start.Line += bytes.Count(part, []byte("\n"))
		start.Byte = end
	}
	wg.Wait()
	return bodies, slices.Concat(found...)
}

// shownName is how messages name a file.
func (l *loader) shownName(name string) string {
	if l.opts.WorkDir == "" {
		return name
	}
	if rel, err := filepath.Rel(l.opts.WorkDir, name); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return name
}
