package plan

import (
	"errors"
	"fmt"
	"math/big"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

// quickConvert is convert.Convert for the large lists and maps that for expressions
// make of services. These are tuples and objects at first, and cty compares the type of each element with that
// of each other one to find one for all: ten thousand services would take a second. Where the type of the elements
// is given there is nothing to find, and a short list, such as each program's command, costs less as well.
func quickConvert(value cty.Value, ty cty.Type) (cty.Value, error) {
	plain, marks := value.Unmark()
	if !plain.IsKnown() || plain.IsNull() || !ty.IsCollectionType() {
		return convert.Convert(value, ty)
	}
	from := plain.Type()
	few := 64
	if ty.ElementType().IsPrimitiveType() {
		few = 0 // an empty one has no elements to make a list of
	}
	switch {
	case from.IsTupleType() && !ty.IsMapType() && len(from.TupleElementTypes()) > few,
		from.Equals(cty.List(cty.Number)) && ty.Equals(cty.List(cty.String)):
		elements := plain.AsValueSlice()
		for i, element := range elements {
			converted, err := convertElement(element, ty.ElementType())
			if err != nil {
				return value, cty.Path{cty.IndexStep{Key: cty.NumberIntVal(int64(i))}}.NewError(err)
			}
			elements[i] = converted
		}
		if ty.IsListType() && cty.CanListVal(elements) {
			return cty.ListVal(elements).WithMarks(marks), nil
		}
		if ty.IsSetType() && cty.CanSetVal(elements) {
			return cty.SetVal(elements).WithMarks(marks), nil
		}
	case from.IsObjectType() && ty.IsMapType() && len(from.AttributeTypes()) > few:
		elements := plain.AsValueMap()
		first, problem := "", error(nil) // the same one each time
		for name, element := range elements {
			converted, err := convertElement(element, ty.ElementType())
			if err != nil && (problem == nil || name < first) {
				first, problem = name, err
			}
			elements[name] = converted
		}
		if problem != nil {
			return value, cty.GetAttrPath(first).NewError(problem)
		}
		if cty.CanMapVal(elements) {
			return cty.MapVal(elements).WithMarks(marks), nil
		}
	}
	return convert.Convert(value, ty)
}

// misfit says why value does not convert, and which of its elements that is.
func misfit(value cty.Value, err error) string {
	var at cty.PathError
	if !errors.As(err, &at) || len(at.Path) != 1 || value.IsMarked() {
		return err.Error()
	}
	switch step := at.Path[0].(type) {
	case cty.GetAttrStep:
		return fmt.Sprintf("element %q: %v", shorten(step.Name), err)
	case cty.IndexStep:
		if step.Key.Type() == cty.Number {
			i, _ := step.Key.AsBigFloat().Int64()
			return fmt.Sprintf("element [%d]: %v", i, err)
		}
	}
	return err.Error()
}

func convertElement(element cty.Value, ty cty.Type) (cty.Value, error) {
	if ty == cty.String {
		element = narrow(element)
	}
	return convert.Convert(element, ty)
}

// narrow gives a whole number the precision that it needs, for what writes it as a text: of one that was read, from a
// plan or what a program exported, Go looks for the shortest among texts of 154 digits, which takes 25 µs. Of less precision
// than a whole number needs, as pow gives it, the shortest text is another one. It is no value to go on calculating with: a
// quotient has the precision of what is divided.
func narrow(value cty.Value) cty.Value {
	if value.IsMarked() || value.Type() != cty.Number || !value.IsKnown() || value.IsNull() {
		return value
	}
	number := value.AsBigFloat()
	if n, accuracy := number.Int64(); number.Prec() > 64 && accuracy == big.Exact && n != 0 { // there is -0
		return cty.NumberIntVal(n)
	}
	return value
}

// quickArguments makes a function convert its arguments by quickConvert, which hcl
// would do before it calls it. It is discreet, as one without collections is then.
func quickArguments(f function.Function) function.Function {
	params, varParam := f.Params(), f.VarParam()
	collections := varParam != nil && varParam.Type.IsCollectionType()
	for _, p := range params {
		collections = collections || p.Type.IsCollectionType()
	}
	if !collections {
		return discreet(f)
	}
	anything := &function.Spec{Description: f.Description()}
	for _, p := range params {
		p.Type = cty.DynamicPseudoType
		anything.Params = append(anything.Params, p)
	}
	if varParam != nil {
		p := *varParam
		p.Type = cty.DynamicPseudoType
		anything.VarParam = &p
	}
	return wrapped(function.New(anything), func(args []cty.Value) (cty.Value, error) {
		converted := make([]cty.Value, len(args))
		for i, arg := range args {
			param := varParam
			if i < len(params) {
				param = &params[i]
			}
			var err error
			if converted[i], err = quickConvert(arg, param.Type); err != nil {
				return cty.NilVal, withoutSensitive(function.NewArgError(i, err), args)
			}
		}
		value, err := f.Call(converted)
		return value, withoutSensitive(err, converted)
	})
}
