package plan

import (
	"errors"
	"fmt"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

// lookupFunc is cty's with a default that can be left out, be null, or not be needed: of a map in which something else is
// not known yet, what is there is known.
func lookupFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{
			{Name: "map", Type: cty.DynamicPseudoType, AllowMarked: true},
			{Name: "key", Type: cty.String, AllowMarked: true},
		},
		VarParam: &function.Parameter{Name: "default", Type: cty.DynamicPseudoType, AllowUnknown: true, AllowDynamicType: true, AllowNull: true, AllowMarked: true},
		Type: func(args []cty.Value) (cty.Type, error) {
			if len(args) > 3 {
				return cty.NilType, errors.New("lookup takes a map, a key, and a default where the map has no such key")
			}
			key, _ := args[1].Unmark()
			switch ty := args[0].Type(); {
			case ty.IsMapType():
				if len(args) == 3 {
					if _, err := convert.Convert(args[2], ty.ElementType()); err != nil {
						return cty.NilType, function.NewArgErrorf(2, "the default must be of the type that the elements of the map have")
					}
				}
				return ty.ElementType(), nil
			case !ty.IsObjectType():
				return cty.NilType, function.NewArgErrorf(0, "a map or object is needed")
			case !key.IsKnown():
				return cty.DynamicPseudoType, nil
			case ty.HasAttribute(key.AsString()):
				return ty.AttributeType(key.AsString()), nil
			case len(args) == 3:
				return args[2].Type(), nil
			default:
				return cty.NilType, noSuchKey(key.AsString())
			}
		},
		Impl: func(args []cty.Value, ty cty.Type) (cty.Value, error) {
			of, ofMarks := args[0].Unmark()
			key, keyMarks := args[1].Unmark()
			marks := []cty.ValueMarks{ofMarks, keyMarks}
			if !of.IsKnown() || !key.IsKnown() {
				return cty.UnknownVal(ty).WithMarks(marks...), nil
			}
			switch {
			case of.Type().IsObjectType() && of.Type().HasAttribute(key.AsString()):
				return of.GetAttr(key.AsString()).WithMarks(marks...), nil
			case of.Type().IsMapType() && of.HasIndex(key).True():
				return of.Index(key).WithMarks(marks...), nil
			case len(args) == 2:
				return cty.NilVal, noSuchKey(key.AsString())
			}
			otherwise, err := convert.Convert(args[2], ty)
			if err != nil {
				return cty.NilVal, function.NewArgError(2, err)
			}
			return otherwise.WithMarks(marks...), nil
		},
	})
}

func noSuchKey(key string) error {
	return function.NewArgErrorf(1, "there is no %q in it, and no default is given", shorten(key))
}

// matchKeysFunc takes the values of which the key, at the same place of another list, is one of those looked for.
func matchKeysFunc() function.Function {
	list := cty.List(cty.DynamicPseudoType)
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "values", Type: list}, {Name: "keys", Type: list}, {Name: "searchset", Type: list}},
		Type: func(args []cty.Value) (cty.Type, error) {
			if unified, _ := convert.UnifyUnsafe([]cty.Type{args[1].Type(), args[2].Type()}); unified == cty.NilType {
				return cty.NilType, errors.New("the keys and those that are looked for must be of the same type")
			}
			return args[0].Type(), nil
		},
		Impl: func(args []cty.Value, ty cty.Type) (cty.Value, error) {
			values := args[0].AsValueSlice()
			if len(values) != args[1].LengthInt() {
				return cty.NilVal, fmt.Errorf("there must be as many keys as values, and there are %d and %d", args[1].LengthInt(), len(values))
			}
			if args[2].LengthInt() == 0 {
				return cty.ListValEmpty(ty.ElementType()), nil
			}
			if !args[1].IsWhollyKnown() || !args[2].IsWhollyKnown() {
				return cty.UnknownVal(ty), nil
			}
			unified, _ := convert.UnifyUnsafe([]cty.Type{args[1].Type(), args[2].Type()})
			keys, err := convert.Convert(args[1], unified)
			if err != nil {
				return cty.NilVal, function.NewArgError(1, err)
			}
			searched, err := convert.Convert(args[2], cty.Set(unified.ElementType()))
			if err != nil {
				return cty.NilVal, function.NewArgError(2, err)
			}
			var matched []cty.Value
			for i, key := range keys.AsValueSlice() {
				if searched.HasElement(key).True() {
					matched = append(matched, values[i])
				}
			}
			if len(matched) == 0 {
				return cty.ListValEmpty(ty.ElementType()), nil
			}
			return cty.ListVal(matched), nil
		},
	})
}

// transposeFunc turns a map of lists of texts around: what was in a list is a key, and the key is in a list.
func transposeFunc() function.Function {
	ty := cty.Map(cty.List(cty.String))
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "map", Type: ty}},
		Type:   function.StaticReturnType(ty),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if !args[0].IsWhollyKnown() {
				return cty.UnknownVal(ty), nil
			}
			keysOf := map[string][]cty.Value{}
			for it := args[0].ElementIterator(); it.Next(); { // in the order of the keys
				key, list := it.Element()
				if list.IsNull() {
					return cty.NilVal, fmt.Errorf("the list of %q is null", shorten(key.AsString()))
				}
				for _, element := range list.AsValueSlice() {
					if element.IsNull() {
						return cty.NilVal, fmt.Errorf("the list of %q has null in it", shorten(key.AsString()))
					}
					keysOf[element.AsString()] = append(keysOf[element.AsString()], key)
				}
			}
			if len(keysOf) == 0 {
				return cty.MapValEmpty(cty.List(cty.String)), nil
			}
			lists := make(map[string]cty.Value, len(keysOf))
			for key, list := range keysOf {
				lists[key] = cty.ListVal(list)
			}
			return cty.MapVal(lists), nil
		},
	})
}
