package plan

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
)

// Bounds on what a plan may be. Each is far above what a plan for people needs, and
// low enough that a hostile one is refused before it costs a second or a gigabyte.
const (
	maxSource     = 64 << 20 // bytes of plan files together: 100,000 services written out have less
	maxNesting    = 100      // brackets and templates within each other: the parser recurses
	maxChain      = 5_000    // operators in one expression: so does evaluation
	maxLocalDepth = 1000     // locals that refer to locals
	maxPlanDepth  = 16       // plans within plans
	maxPlans      = 10_000   // of all levels: sixteen files whose plans each hold the next one twice would be 65,536
	maxName       = 100      // it becomes part of a directory's name
	maxPath       = 512
	maxTexts      = 16 << 20  // bytes of the texts in one value
	maxElements   = 2 << 20   // values in one value: a hundred thousand services, with all their attributes, are half of it
	maxTakenApart = 1 << 20   // bytes of a text that becomes a value for each part
	maxReferred   = 16 << 20  // bytes of texts in the locals and variables that one expression refers to
	maxNumber     = 1000      // digits of a number
	maxExponent   = 4096      // of a number, base 2: 1e1000000000 would be a gigabyte as a text
	maxMade       = 64 << 20  // bytes that for expressions make in all their steps
	maxLoops      = 512 << 20 // bytes that the for expressions of one expression go over
	perStep       = 2 << 10   // what each step of a loop counts on top of that: 262,144 of them are some tenths of a second
)

// A size is what there is of a value: the bytes of its texts, and the number of values in it.
type size struct{ texts, elements int }

// weight is about what a value takes in memory.
func (s size) weight() int { return s.texts + 16*s.elements }

func (s size) check() error {
	switch {
	case s.texts > maxTexts:
		return fmt.Errorf("has texts of more than %d MiB", maxTexts>>20)
	case s.elements > maxElements:
		return fmt.Errorf("has more than %d elements", maxElements)
	}
	return nil
}

// measure adds up a value. It stops with an error at the bounds.
func measure(value cty.Value) (size, error) {
	var total size
	err := addSize(value, &total)
	return total, err
}

func checkSize(value cty.Value) error {
	_, err := measure(value)
	return err
}

func addSize(value cty.Value, total *size) error {
	value, _ = value.Unmark()
	total.elements++
	if err := total.check(); err != nil {
		return err
	}
	if value == cty.NilVal || !value.IsKnown() || value.IsNull() {
		return nil
	}
	switch ty := value.Type(); {
	case ty == cty.String:
		total.texts += len(value.AsString())
		return total.check()
	case ty == cty.Number:
		number := value.AsBigFloat()
		if exp := number.MantExp(nil); number.IsInf() || exp > maxExponent || exp < -maxExponent {
			return errors.New("holds a number that is out of range")
		}
	case ty.IsCollectionType(), ty.IsTupleType(), ty.IsObjectType():
		for it := value.ElementIterator(); it.Next(); {
			_, element := it.Element()
			if err := addSize(element, total); err != nil {
				return err
			}
		}
	}
	return nil
}

// shorten cuts what a message quotes.
func shorten(text string) string {
	const most = 60
	if len(text) <= most {
		return text
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
