package cloudinitd

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Bounds on one INI file. The largest real ones have a few hundred lines.
const (
	maxINI      = 1 << 20
	maxValue    = 64 << 10 // one value, interpolated
	maxInterpol = 10       // rounds of interpolation, as Python's ConfigParser has
)

// defaultSection holds options that every other section of the same file has too.
const defaultSection = "DEFAULT"

// An iniFile is a file as Python 2's ConfigParser reads it: option names in lower
// case, sections of one name merged, the last of several equal options holding.
type iniFile struct {
	name     string
	src      []byte
	sections []*iniSection // in the order of their first header, without DEFAULT
	byName   map[string]*iniSection
	defaults *iniSection
}

type iniSection struct {
	name    string
	rng     hcl.Range
	options []*iniOption // in the order of their first appearance
	byName  map[string]*iniOption
}

// An iniOption is one `name: value`, its continuation lines joined with newlines.
type iniOption struct {
	name string
	raw  string
	rng  hcl.Range
}

func newSection(name string, rng hcl.Range) *iniSection {
	return &iniSection{name: name, rng: rng, byName: map[string]*iniOption{}}
}

func (s *iniSection) set(opt *iniOption) {
	if old := s.byName[opt.name]; old != nil {
		*old = *opt // keeps the place of the first, as Python's ordered dictionary does
		return
	}
	s.byName[opt.name] = opt
	s.options = append(s.options, opt)
}

// parseINI reads a file line by line with ConfigParser's rules, its odd ones included:
// plans were written until the original accepted them, so its reading is the right one.
func parseINI(name string, src []byte) (*iniFile, hcl.Diagnostics) {
	p := &iniParser{file: &iniFile{
		name:     name,
		src:      src,
		byName:   map[string]*iniSection{},
		defaults: newSection(defaultSection, hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}),
	}}
	offset, number := 0, 0
	for offset < len(src) && !p.stop {
		end := bytes.IndexByte(src[offset:], '\n') + 1
		if end == 0 {
			end = len(src) - offset
		}
		number++
		p.line(string(src[offset:offset+end]), lineRange(name, src, offset, number))
		offset += end
	}
	return p.file, p.diags
}

type iniParser struct {
	file    *iniFile
	diags   hcl.Diagnostics
	section *iniSection
	option  *iniOption // that a continuation line would belong to
	stop    bool
}

func (p *iniParser) line(line string, rng hcl.Range) {
	trimmed := strings.Trim(line, pythonSpace)
	switch {
	case trimmed == "" || line[0] == '#' || line[0] == ';' || isRem(line, trimmed):
	case isSpace(line[0]) && p.option != nil:
		p.option.raw += "\n" + trimmed
	case line[0] == '[' && strings.IndexByte(line, ']') > 1:
		p.open(line[1:strings.IndexByte(line, ']')], rng)
	case p.section == nil:
		p.stop = true // Python gives up here as well: nothing that follows can be trusted
		detail := "A file begins with a section, such as [runlevels] or [deps]; nothing can stand before it."
		if strings.HasPrefix(line, "\ufeff") {
			detail = "The file begins with a byte order mark, which cloudinit.d does not understand. Save it as plain UTF-8, without the mark."
		}
		p.fail("No section header", detail, rng)
	default:
		p.assign(line, rng)
	}
}

func (p *iniParser) open(name string, rng hcl.Range) {
	p.option = nil
	if name == defaultSection {
		p.section = p.file.defaults
		return
	}
	p.section = p.file.byName[name]
	if p.section == nil {
		p.section = newSection(name, rng)
		p.file.byName[name] = p.section
		p.file.sections = append(p.file.sections, p.section)
	}
}

func (p *iniParser) assign(line string, rng hcl.Range) {
	sep := strings.IndexAny(line, ":=")
	if sep < 1 || isSpace(line[0]) {
		p.fail("Not an option", "A line is a [section], `name: value`, or the continuation of the value above it (indented).", rng)
		return
	}
	value, _, _ := strings.Cut(strings.TrimLeft(line[sep+1:], pythonSpace), "\n")
	p.option = &iniOption{
		name: lower(strings.TrimRight(line[:sep], pythonSpace)),
		raw:  strings.Trim(cutComment(value), pythonSpace),
		rng:  rng,
	}
	if p.option.raw == `""` {
		p.option.raw = ""
	}
	p.section.set(p.option)
	p.option = p.section.byName[p.option.name]
}

func (p *iniParser) fail(summary, detail string, rng hcl.Range) {
	p.diags = p.diags.Append(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &rng})
}

// cutComment takes a comment off a value: only the first semicolon can begin one,
// and only after white space. (A value's first byte stands after its last one: an
// index of -1 in Python.)
func cutComment(value string) string {
	at := strings.IndexByte(value, ';')
	if at < 0 {
		return value
	}
	before := at - 1
	if at == 0 {
		before = len(value) - 1
	}
	if isSpace(value[before]) {
		return value[:at]
	}
	return value
}

// isRem recognises a comment in the manner of MS-DOS.
func isRem(line, trimmed string) bool {
	word := trimmed
	if i := strings.IndexAny(trimmed, pythonSpace); i >= 0 {
		word = trimmed[:i]
	}
	return strings.EqualFold(word, "rem") && (line[0] == 'r' || line[0] == 'R')
}

// lower makes ASCII letters lower-case, and leaves every other byte as it is.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

const pythonSpace = " \t\n\r\v\f"

func isSpace(c byte) bool { return strings.IndexByte(pythonSpace, c) >= 0 }

func lineRange(name string, src []byte, offset, number int) hcl.Range {
	text, _, _ := bytes.Cut(src[offset:], []byte("\n"))
	text = bytes.TrimRight(text, "\r")
	return hcl.Range{
		Filename: name,
		Start:    hcl.Pos{Line: number, Column: 1, Byte: offset},
		End:      hcl.Pos{Line: number, Column: 1 + len(text), Byte: offset + len(text)},
	}
}

// lookup finds an option of a section, or of DEFAULT. A section that is not there
// has no options, not even those of DEFAULT.
func (f *iniFile) lookup(section, option string) *iniOption {
	s := f.byName[section]
	if s == nil {
		return nil
	}
	if opt := s.byName[option]; opt != nil {
		return opt
	}
	return f.defaults.byName[option]
}

// items are the options of a section, those of DEFAULT first.
func (f *iniFile) items(section string) []*iniOption {
	s := f.byName[section]
	if s == nil {
		return nil
	}
	var items []*iniOption
	for _, opt := range f.defaults.options {
		if own := s.byName[opt.name]; own != nil {
			opt = own
		}
		items = append(items, opt)
	}
	for _, opt := range s.options {
		if f.defaults.byName[opt.name] == nil {
			items = append(items, opt)
		}
	}
	return items
}

// value is an option's value with the `%(name)s` in it replaced, which is done, and
// `%%` understood, only where a value has a `%(`.
func (f *iniFile) value(section string, opt *iniOption) (string, error) {
	value := opt.raw
	for range maxInterpol {
		if !strings.Contains(value, "%(") {
			return value, nil
		}
		var err error
		if value, err = f.interpolate(section, value); err != nil {
			return "", err
		}
	}
	if strings.Contains(value, "%(") {
		return "", fmt.Errorf("its %%(…)s lead to each other more than %d deep", maxInterpol)
	}
	return value, nil
}

func (f *iniFile) interpolate(section, value string) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(value, "%")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		if strings.HasPrefix(rest, "%") {
			b.WriteByte('%')
			value = rest[1:]
			continue
		}
		name, after, closed := strings.Cut(strings.TrimPrefix(rest, "("), ")s")
		if !strings.HasPrefix(rest, "(") || !closed || strings.Contains(name, ")") {
			return "", fmt.Errorf("a %% in it is neither %%(name)s nor %%%%")
		}
		replacement, err := f.replacement(section, lower(name))
		if err != nil {
			return "", err
		}
		if b.Len()+len(replacement) > maxValue {
			return "", fmt.Errorf("its %%(…)s make it longer than %d KiB", maxValue>>10)
		}
		b.WriteString(replacement)
		value = after
	}
}

func (f *iniFile) replacement(section, name string) (string, error) {
	if opt := f.lookup(section, name); opt != nil {
		return opt.raw, nil
	}
	if name == "__name__" && f.byName[section] != nil {
		return section, nil
	}
	return "", fmt.Errorf("it refers to %%(%s)s, which [%s] does not have", name, section)
}
