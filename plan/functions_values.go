package plan

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

func toText(value cty.Value) (cty.Value, error) {
	return convert.Convert(value, cty.String)
}

// indentFunc bounds what cty's function would multiply.
func indentFunc() function.Function {
	return guarded(stdlib.IndentFunc, func(args []cty.Value) error {
		const most = 1000
		spaces, _ := args[0].AsBigFloat().Int64()
		if spaces > most || spaces < 0 {
			return function.NewArgErrorf(0, "the number of spaces must be from 0 to %d", most)
		}
		return checkTimes(int(spaces), strings.Count(args[1].AsString(), "\n"))
	})
}

// replaceFunc replaces a part of a text, or with /…/ what a regular expression finds.
func replaceFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}, {Name: "part", Type: cty.String}, {Name: "replacement", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			text, part, with := args[0].AsString(), args[1].AsString(), args[2].AsString()
			if (len(text)+1)*len(with) > maxTexts*8 {
				return cty.NilVal, fmt.Errorf("the result could have more than %d MiB", maxTexts>>20)
			}
			if len(part) > 1 && strings.HasPrefix(part, "/") && strings.HasSuffix(part, "/") {
				re, err := regexp.Compile(part[1 : len(part)-1])
				if err != nil {
					return cty.NilVal, function.NewArgErrorf(1, "not a regular expression")
				}
				return cty.StringVal(re.ReplaceAllString(text, with)), nil
			}
			return cty.StringVal(strings.ReplaceAll(text, part, with)), nil
		},
	})
}

var wideVerb = regexp.MustCompile(`%[^a-zA-Z%]*[0-9]{5}`)

// formatFunc refuses widths that would fill memory.
func formatFunc(f function.Function) function.Function {
	return guarded(f, func(args []cty.Value) error {
		if wideVerb.MatchString(args[0].AsString()) {
			return function.NewArgErrorf(0, "a width must be below 10000")
		}
		return nil
	})
}

// formatListFunc bounds texts that are repeated for each element of a list.
func formatListFunc() function.Function {
	return guarded(formatFunc(stdlib.FormatListFunc), func(args []cty.Value) error {
		longest, texts := 0, 0
		for _, arg := range args {
			if arg.Type() == cty.String {
				texts += len(arg.AsString())
			} else if arg.CanIterateElements() {
				longest = max(longest, arg.LengthInt())
			}
		}
		return checkTimes(texts, longest)
	})
}

// joinFunc bounds a separator that is repeated.
func joinFunc() function.Function {
	return guarded(stdlib.JoinFunc, func(args []cty.Value) error {
		elements := 0
		for _, list := range args[1:] {
			elements += list.LengthInt()
		}
		return checkTimes(len(args[0].AsString()), elements)
	})
}

func checkTimes(size, times int) error {
	if times > 0 && size > maxTexts/times {
		return fmt.Errorf("the result would have more than %d MiB", maxTexts>>20)
	}
	return nil
}

// shortText bounds the text that a function takes apart: a value for each
// character has a hundred times its size.
func shortText(f function.Function, argument int) function.Function {
	return guarded(f, func(args []cty.Value) error {
		if len(args[argument].AsString()) > maxTakenApart {
			return function.NewArgErrorf(argument, "the text has more than %d KiB", maxTakenApart>>10)
		}
		return nil
	})
}

// distinctFunc bounds what is compared each with each.
func distinctFunc() function.Function {
	const most = 10_000
	return guarded(stdlib.DistinctFunc, func(args []cty.Value) error {
		if args[0].LengthInt() > most {
			return fmt.Errorf("the list has more than %d elements: use toset", most)
		}
		return nil
	})
}

// setProductFunc bounds the number of combinations.
func setProductFunc() function.Function {
	return guarded(stdlib.SetProductFunc, func(args []cty.Value) error {
		const most = 100_000
		n := 1
		for _, arg := range args {
			if !arg.CanIterateElements() {
				return nil // the function itself says what is wrong
			}
			if n *= arg.LengthInt(); n > most {
				return fmt.Errorf("there are more than %d combinations", most)
			}
		}
		return nil
	})
}

// lengthFunc counts elements, or the characters of a text.
func lengthFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowUnknown: true, AllowMarked: true, AllowDynamicType: true}},
		Type: func(args []cty.Value) (cty.Type, error) {
			ty := args[0].Type()
			if ty == cty.String || ty == cty.DynamicPseudoType || ty.IsCollectionType() || ty.IsTupleType() || ty.IsObjectType() {
				return cty.Number, nil
			}
			return cty.NilType, errors.New("a text, list, set, map or object is needed")
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			value, marks := args[0].Unmark()
			ty := value.Type()
			switch {
			case ty.IsTupleType():
				return cty.NumberIntVal(int64(len(ty.TupleElementTypes()))).WithMarks(marks), nil
			case ty.IsObjectType():
				return cty.NumberIntVal(int64(len(ty.AttributeTypes()))).WithMarks(marks), nil
			case !value.IsKnown():
				return cty.UnknownVal(cty.Number).RefineNotNull().WithMarks(marks), nil
			case value.IsNull():
				return cty.NilVal, errors.New("it is null")
			case ty == cty.String:
				result, err := stdlib.Strlen(value)
				if err != nil {
					return cty.NilVal, err
				}
				return result.WithMarks(marks), nil
			default:
				return value.Length().WithMarks(marks), nil
			}
		},
	})
}

// coalesceFunc is cty's, which takes an empty text for a value: a variable of the environment can be set to nothing.
func coalesceFunc() function.Function {
	return function.New(&function.Spec{
		VarParam: stdlib.CoalesceFunc.VarParam(),
		Type:     stdlib.CoalesceFunc.ReturnTypeForValues,
		Impl: func(args []cty.Value, ty cty.Type) (cty.Value, error) {
			for _, arg := range args {
				value, err := convert.Convert(arg, ty)
				switch {
				case err != nil:
					return cty.NilVal, err
				case !value.IsKnown():
					return cty.UnknownVal(ty), nil
				case !value.IsNull() && (value.Type() != cty.String || value.AsString() != ""):
					return value, nil
				}
			}
			return cty.NilVal, errors.New("all of them are null or empty texts")
		},
	})
}

// indexOfFunc finds the place of an element in a list.
func indexOfFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}, {Name: "value", Type: cty.DynamicPseudoType}},
		Type: func(args []cty.Value) (cty.Type, error) {
			if ty := args[0].Type(); !ty.IsListType() && !ty.IsTupleType() {
				return cty.NilType, function.NewArgErrorf(0, "a list is needed")
			}
			return cty.Number, nil
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			for it := args[0].ElementIterator(); it.Next(); {
				key, element := it.Element()
				equal, err := stdlib.Equal(element, args[1])
				if err != nil {
					return cty.NilVal, err
				}
				if !equal.IsKnown() {
					return cty.UnknownVal(cty.Number), nil
				}
				if equal.True() {
					return key, nil
				}
			}
			return cty.NilVal, errors.New("the list has no such element")
		},
	})
}

// oneFunc takes the only element of a list that has one or none.
func oneFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}},
		Type: func(args []cty.Value) (cty.Type, error) {
			switch ty := args[0].Type(); {
			case ty.IsListType() || ty.IsSetType():
				return ty.ElementType(), nil
			case ty.IsTupleType() && len(ty.TupleElementTypes()) == 1:
				return ty.TupleElementType(0), nil
			case ty.IsTupleType() && len(ty.TupleElementTypes()) == 0:
				return cty.DynamicPseudoType, nil
			}
			return cty.NilType, errors.New("a list or set with one element or none is needed")
		},
		Impl: func(args []cty.Value, ty cty.Type) (cty.Value, error) {
			switch args[0].LengthInt() {
			case 0:
				return cty.NullVal(ty), nil
			case 1:
				it := args[0].ElementIterator()
				it.Next()
				_, element := it.Element()
				return element, nil
			}
			return cty.NilVal, errors.New("there is more than one element")
		},
	})
}

func sumFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "numbers", Type: cty.List(cty.Number)}},
		Type:   function.StaticReturnType(cty.Number),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			total := cty.Zero
			for it := args[0].ElementIterator(); it.Next(); {
				_, n := it.Element()
				if !n.IsKnown() {
					return cty.UnknownVal(cty.Number), nil
				}
				if n.IsNull() {
					return cty.NilVal, errors.New("an element is null")
				}
				total = total.Add(n)
			}
			return total, nil
		},
	})
}

func allTrueFunc() function.Function { return truthFunc(true) }
func anyTrueFunc() function.Function { return truthFunc(false) }

// truthFunc says whether all of a list is true, or any of it.
func truthFunc(all bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "list", Type: cty.List(cty.Bool)}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			known := true
			for it := args[0].ElementIterator(); it.Next(); {
				_, b := it.Element()
				switch {
				case !b.IsKnown():
					known = false
				case (!b.IsNull() && b.True()) != all:
					return cty.BoolVal(!all), nil
				}
			}
			if !known {
				return cty.UnknownVal(cty.Bool), nil
			}
			return cty.BoolVal(all), nil
		},
	})
}
