package ec2test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// parseYAML reads the part of YAML that cloud-configs are written in: block
// mappings and sequences, block scalars, plain and quoted scalars, and flow
// values that are JSON. Scalars other than JSON's stay strings. It is here so
// that the tests' endpoint needs no YAML library; what it does not know is an
// error, never a guess.
func parseYAML(src []byte) (any, error) {
	y := &yaml{}
	for n, l := range strings.Split(strings.ReplaceAll(string(src), "\r\n", "\n"), "\n") {
		y.lines = append(y.lines, yamlLine{n + 1, l})
	}
	// A document that is JSON after its comment line is YAML, too.
	if rest := strings.TrimSpace(strings.Join(strings.Split(string(src), "\n")[1:], "\n")); strings.HasPrefix(rest, "{") {
		var v any
		err := json.Unmarshal([]byte(rest), &v)
		return v, err
	}
	v, err := y.block(0)
	if err != nil {
		return nil, err
	}
	if l, ok := y.peek(); ok {
		return nil, l.errorf("unexpected indentation")
	}
	return v, nil
}

type yaml struct {
	lines []yamlLine
	at    int
	depth int
}

type yamlLine struct {
	number int
	text   string
}

func (l yamlLine) indent() int { return len(l.text) - len(strings.TrimLeft(l.text, " ")) }

func (l yamlLine) errorf(format string, args ...any) error {
	return fmt.Errorf("line %d: %s", l.number, fmt.Sprintf(format, args...))
}

// peek is the next line that says something.
func (y *yaml) peek() (yamlLine, bool) {
	for ; y.at < len(y.lines); y.at++ {
		t := strings.TrimSpace(y.lines[y.at].text)
		if t != "" && !strings.HasPrefix(t, "#") && t != "---" {
			return y.lines[y.at], true
		}
	}
	return yamlLine{}, false
}

// maxDepth bounds nesting, far above what any cloud-config has.
const maxDepth = 32

// block reads the mapping or sequence whose lines are indented by indent or more.
func (y *yaml) block(indent int) (any, error) {
	if y.depth++; y.depth > maxDepth {
		return nil, fmt.Errorf("nested too deeply")
	}
	defer func() { y.depth-- }()
	first, ok := y.peek()
	if !ok || first.indent() < indent {
		return nil, nil
	}
	own := first.indent()
	if strings.HasPrefix(first.text[own:], "- ") || first.text[own:] == "-" {
		return y.sequence(own)
	}
	return y.mapping(own)
}

func (y *yaml) sequence(own int) (any, error) {
	out := []any{}
	for {
		l, ok := y.peek()
		if !ok || l.indent() != own || !strings.HasPrefix(l.text[own:]+" ", "- ") {
			return out, nil
		}
		rest := strings.TrimLeft(l.text[own+1:], " ")
		var v any
		var err error
		if _, _, isKey := cutKey(rest); isKey || strings.HasPrefix(rest, "- ") {
			// The item is a block of its own that begins on this line.
			y.lines[y.at].text = strings.Repeat(" ", len(l.text)-len(rest)) + rest
			v, err = y.block(own + 1)
		} else {
			y.at++
			v, err = y.value(l, rest, own)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
}

func (y *yaml) mapping(own int) (any, error) {
	out := map[string]any{}
	for {
		l, ok := y.peek()
		if !ok || l.indent() != own {
			return out, nil
		}
		key, rest, ok := cutKey(l.text[own:])
		if !ok {
			return nil, l.errorf("expected KEY: VALUE, not %.40q", l.text[own:])
		}
		y.at++
		v, err := y.value(l, rest, own)
		if err != nil {
			return nil, err
		}
		out[key] = v
	}
}

// cutKey splits "key: rest" or "key:".
func cutKey(s string) (key, rest string, ok bool) {
	if strings.HasPrefix(s, `"`) || strings.HasPrefix(s, "[") || strings.HasPrefix(s, "{") {
		return "", "", false
	}
	if key, ok = strings.CutSuffix(s, ":"); ok && !strings.Contains(key, ": ") {
		return key, "", true
	}
	return strings.Cut(s, ": ")
}

// value reads what stands after a key or a dash at indentation own.
func (y *yaml) value(l yamlLine, rest string, own int) (any, error) {
	rest = strings.TrimSpace(rest)
	switch {
	case rest == "":
		// A sequence may stand at the indentation of its key.
		if next, ok := y.peek(); ok && next.indent() == own && strings.HasPrefix(next.text[own:]+" ", "- ") && !strings.HasPrefix(l.text[l.indent():]+" ", "- ") {
			return y.sequence(own)
		}
		return y.block(own + 1)
	case rest[0] == '|' || rest[0] == '>':
		return y.scalar(rest, own), nil
	case rest[0] == '[' || rest[0] == '{' || rest[0] == '"':
		var v any
		if err := json.Unmarshal([]byte(rest), &v); err != nil {
			return nil, l.errorf("%.40q: only JSON here", rest)
		}
		return v, nil
	case rest[0] == '\'':
		return strings.ReplaceAll(strings.Trim(rest, "'"), "''", "'"), nil
	case rest[0] == '&' || rest[0] == '*' || rest[0] == '!':
		return nil, l.errorf("anchors and tags are not known here")
	}
	plain, _, _ := strings.Cut(rest, " #")
	if b, err := strconv.ParseBool(plain); err == nil && len(plain) > 1 {
		return b, nil
	}
	return plain, nil
}

// scalar reads a block scalar: what is indented more than own.
func (y *yaml) scalar(style string, own int) string {
	var lines []string
	inner := -1
	for ; y.at < len(y.lines); y.at++ {
		l := y.lines[y.at]
		if strings.TrimSpace(l.text) == "" {
			lines = append(lines, "")
			continue
		}
		if l.indent() <= own {
			break
		}
		if inner < 0 {
			inner = l.indent()
		}
		lines = append(lines, l.text[min(inner, l.indent()):])
	}
	joint := "\n"
	if style[0] == '>' {
		joint = " "
	}
	s := strings.TrimRight(strings.Join(lines, joint), "\n ")
	if !strings.HasSuffix(style, "-") {
		s += "\n"
	}
	return s
}
