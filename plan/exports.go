package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// maxExports is far above what a few named values take.
const maxExports = 1 << 20

// ParseExports reads what a boot program left (a JSON object or NAME=VALUE lines; nil: nothing)
// against the service's declarations. Undeclared names are returned in ignored. The error
// is a sentence that names the export and the mistake, never the value.
func (s *Service) ParseExports(data []byte) (exports map[string]cty.Value, ignored []string, err error) {
	left, err := readExports(data)
	if err != nil {
		return nil, nil, err
	}
	exports = map[string]cty.Value{}
	for _, e := range s.group.block.exports {
		value, found, err := e.parse(left)
		if err != nil {
			return nil, nil, err
		}
		if !found && !e.hasDefault {
			return nil, nil, fmt.Errorf("the boot program did not leave the export %q, which is declared without a default", e.name)
		}
		if !found {
			value = e.defValue
		}
		exports[e.name] = value
		delete(left, e.name)
	}
	for name := range left {
		ignored = append(ignored, shorten(strings.ToValidUTF8(name, "�")))
	}
	sort.Strings(ignored)
	return exports, ignored, nil
}

// A leftValue is an export as it was left: JSON, or the text of a NAME=VALUE line.
type leftValue struct {
	json json.RawMessage
	text string
}

func readExports(data []byte) (map[string]leftValue, error) {
	if len(data) > maxExports {
		return nil, fmt.Errorf("the exports file is larger than %d KiB", maxExports>>10)
	}
	if !utf8.Valid(data) {
		return nil, errors.New("the exports file is not UTF-8 text")
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	trimmed := bytes.TrimSpace(data)
	if len(trimmed) == 0 {
		return map[string]leftValue{}, nil
	}
	if trimmed[0] == '{' {
		return readJSONExports(trimmed)
	}
	if trimmed[0] == '[' {
		return nil, errors.New("the exports file holds a JSON array: it must be a JSON object or NAME=VALUE lines")
	}
	left := map[string]leftValue{}
	for number, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if trimmed := strings.TrimSpace(line); trimmed == "" || strings.HasPrefix(trimmed, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !ok || !hclsyntax.ValidIdentifier(name) {
			return nil, fmt.Errorf("line %d of the exports file is not NAME=VALUE (and the file is not a JSON object)", number+1)
		}
		left[name] = leftValue{text: value}
	}
	return left, nil
}

func readJSONExports(data []byte) (map[string]leftValue, error) {
	if nestsDeeper(data, maxNesting) {
		return nil, fmt.Errorf("the exports file nests deeper than %d", maxNesting)
	}
	var object map[string]json.RawMessage
	decoder := json.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&object); err != nil {
		return nil, errors.New("the exports file is not a JSON object")
	}
	if decoder.More() {
		return nil, errors.New("the exports file has more after its JSON object")
	}
	left := map[string]leftValue{}
	for name, raw := range object {
		left[name] = leftValue{json: raw}
	}
	return left, nil
}

// nestsDeeper looks at brackets outside of strings.
func nestsDeeper(data []byte, most int) bool {
	depth, inString, escaped := 0, false, false
	for _, b := range data {
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped, inString = b == '\\', b != '"'
		case b == '"':
			inString = true
		case b == '{' || b == '[':
			if depth++; depth > most {
				return true
			}
		case b == '}' || b == ']':
			depth--
		}
	}
	return false
}

// parse reads the export's value and gives it the declared type.
func (e *exportDecl) parse(left map[string]leftValue) (value cty.Value, found bool, err error) {
	given, found := left[e.name]
	if !found {
		return cty.NilVal, false, nil
	}
	wrong := fmt.Errorf("the export %q is not %s, which is its declared type", e.name, withArticle(typeName(e.typ)))
	if given.json == nil {
		if value, err := convert.Convert(cty.StringVal(given.text), e.typ); err == nil {
			return value, true, e.checkNumbers(value)
		}
		given.json = json.RawMessage(given.text) // a list or object, written as JSON on one line
		if !json.Valid(given.json) || nestsDeeper(given.json, maxNesting) {
			return cty.NilVal, true, wrong
		}
	}
	ty, err := ctyjson.ImpliedType(given.json)
	if err != nil {
		return cty.NilVal, true, wrong
	}
	if value, err = ctyjson.Unmarshal(given.json, ty); err != nil {
		return cty.NilVal, true, wrong
	}
	if value.IsNull() {
		if e.hasDefault && e.defValue.IsNull() {
			return cty.NullVal(e.typ), true, nil
		}
		return cty.NilVal, true, fmt.Errorf("the export %q is null; only one with default = null may be that", e.name)
	}
	if value, err = convert.Convert(value, e.typ); err != nil {
		return cty.NilVal, true, wrong
	}
	return value, true, e.checkNumbers(value)
}

// checkNumbers refuses numbers that no text could be made of.
func (e *exportDecl) checkNumbers(value cty.Value) error {
	if err := checkSize(value); err != nil {
		return fmt.Errorf("the export %q %w", e.name, err)
	}
	return nil
}

func withArticle(name string) string {
	if strings.HasPrefix(name, "a") || strings.HasPrefix(name, "o") {
		return "an " + strings.TrimPrefix(strings.TrimPrefix(name, "a "), "an ")
	}
	return "a " + name
}

// Public renders the service's attributes for the state store and for `status`: declared
// attributes, exports and host facts, those left out that are sensitive or contain one of secrets.
// withheld names those. Restoring takes the exports among them back through ParseExports.
func (s *Service) Public(secrets []string) (attributes []byte, withheld []string) {
	g := s.group
	g.scope.mu.Lock()
	defer g.scope.mu.Unlock()
	shown := map[string]json.RawMessage{}
	for _, name := range g.block.members() {
		value, ok := g.member(s, selfAll, nil, name)
		if !ok || !value.IsWhollyKnown() {
			continue
		}
		if value.ContainsMarked() {
			withheld = append(withheld, name)
			continue
		}
		encoded, err := ctyjson.Marshal(value, value.Type())
		if err != nil || holdsSecret(value, secrets) {
			withheld = append(withheld, name)
			continue
		}
		shown[name] = encoded
	}
	attributes, err := json.Marshal(shown)
	if err != nil {
		panic(err) // every value in it is JSON already
	}
	return attributes, withheld
}

// RestoreExports reads back the exports that Public rendered. Those that were withheld are unknown until the
// host's own file was read again. It is an error where the service declares others than it did then.
func (s *Service) RestoreExports(attributes []byte, withheld []string) (exports map[string]cty.Value, err error) {
	left, err := readJSONExports(attributes)
	if err != nil {
		return nil, fmt.Errorf("read the recorded attributes of %s: %w", s.Address, err)
	}
	exports = map[string]cty.Value{}
	for _, e := range s.group.block.exports {
		value, found, err := e.parse(left)
		if err != nil {
			return nil, fmt.Errorf("read the recorded attributes of %s: %w", s.Address, err)
		}
		switch {
		case found:
			exports[e.name] = value
		case slices.Contains(withheld, e.name):
			exports[e.name] = cty.UnknownVal(e.typ)
		case !e.hasDefault:
			return nil, fmt.Errorf("read the recorded attributes of %s: there is no export %q", s.Address, e.name)
		}
	}
	return exports, nil
}
