package plan

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	ctyyaml "github.com/zclconf/go-cty-yaml"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// Bounds on what yamldecode reads. What the parser does with a token grows with the brackets that are open, what it does
// with a merge key with all that is merged, and an alias stands for all of its anchor: few bytes could take hours.
const (
	maxYAML         = 256 << 10
	maxYAMLBrackets = 1000
	maxYAMLMerges   = 40_000_000 // aliases, times aliases, times bytes
)

func yamlDecodeFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}},
		Type: func(args []cty.Value) (cty.Type, error) {
			if !args[0].IsKnown() {
				return cty.DynamicPseudoType, nil
			}
			document := []byte(args[0].AsString())
			if err := checkYAML(document); err != nil {
				return cty.NilType, err
			}
			ty, err := ctyyaml.ImpliedType(document)
			if err != nil {
				return cty.NilType, yamlMistake(err)
			}
			room := maxElements
			return ty, checkExpanded(ty, maxNesting, &room)
		},
		Impl: func(args []cty.Value, ty cty.Type) (cty.Value, error) {
			value, err := ctyyaml.Unmarshal([]byte(args[0].AsString()), ty)
			if err != nil {
				return cty.NilVal, yamlMistake(err)
			}
			if err := checkSize(value); err != nil {
				return cty.NilVal, fmt.Errorf("the result %w", err)
			}
			return value, nil
		},
	})
}

// checkYAML refuses what would take the parser long.
func checkYAML(document []byte) error {
	if len(document) > maxYAML {
		return fmt.Errorf("the document has more than %d KiB: jsondecode takes larger ones", maxYAML>>10)
	}
	if bytes.Count(document, []byte("["))+bytes.Count(document, []byte("{")) > maxYAMLBrackets {
		return fmt.Errorf("the document has more than %d brackets and braces: write lists and maps in lines, or use jsondecode", maxYAMLBrackets)
	}
	if regexp.MustCompile(fmt.Sprintf("(- +){%d}", maxNesting+1)).Match(document) {
		return fmt.Errorf("the document nests deeper than %d", maxNesting)
	}
	aliases := len(regexp.MustCompile(`\*[0-9A-Za-z_-]`).FindAllIndex(document, -1))
	merges := bytes.Contains(document, []byte("<<")) || bytes.ContainsAny(document, `\!`) // in which "<<" can be written otherwise
	if merges && aliases*aliases > maxYAMLMerges/len(document) {
		return errors.New("the document has too many aliases for one that merges maps by \"<<\"")
	}
	return nil
}

// checkExpanded measures a document by its type, in which each alias counts as what it stands for.
func checkExpanded(ty cty.Type, depth int, room *int) error {
	if depth < 0 {
		return fmt.Errorf("the document nests deeper than %d", maxNesting)
	}
	if *room--; *room < 0 {
		return fmt.Errorf("the document has more than %d elements", maxElements)
	}
	var parts []cty.Type
	switch {
	case ty.IsTupleType():
		parts = ty.TupleElementTypes()
	case ty.IsObjectType():
		for _, part := range ty.AttributeTypes() {
			if err := checkExpanded(part, depth-1, room); err != nil {
				return err
			}
		}
	}
	for _, part := range parts {
		if err := checkExpanded(part, depth-1, room); err != nil {
			return err
		}
	}
	return nil
}

// yamlMistake quotes the tag that a message ends with, so that withoutSensitive sees where it begins.
func yamlMistake(err error) error {
	if before, tag, found := strings.Cut(err.Error(), " as "); found && strings.Contains(before, "can't interpret") {
		return errors.New(before + " as " + strconv.Quote(tag))
	}
	return err
}

// yamlEncodeFunc bounds how much is indented: a text is broken at its spaces, and each of its lines has as much in front as
// it is deep.
func yamlEncodeFunc() function.Function {
	return guarded(ctyyaml.YAMLEncodeFunc, func(args []cty.Value) error {
		if room := maxTexts; !fitsYAML(args[0], 0, &room) {
			return fmt.Errorf("the result could have more than %d MiB", maxTexts>>20)
		}
		return nil
	})
}

func fitsYAML(value cty.Value, indent int, room *int) bool {
	ty := value.Type()
	switch {
	case value.IsNull() || ty == cty.Bool:
		*room -= indent + len("false\n")
	case ty == cty.Number:
		*room -= indent + maxNumber
	case ty == cty.String:
		text := value.AsString()
		lines := 1 + strings.Count(text, "\n") + strings.Count(text, " ")
		if lines > *room/(indent+1) {
			return false
		}
		*room -= len(text) + lines*(indent+1)
	case ty.IsCollectionType(), ty.IsTupleType(), ty.IsObjectType():
		*room -= indent + len("[]\n")
		for it := value.ElementIterator(); it.Next(); {
			key, element := it.Element()
			if ty.IsMapType() || ty.IsObjectType() {
				if !fitsYAML(key, indent, room) {
					return false
				}
			}
			if !fitsYAML(element, indent+2, room) {
				return false
			}
		}
	}
	return *room >= 0
}
