package plan

import (
	"fmt"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// wrapped is f as call calls it, with whatever arguments there are: unknown and sensitive ones are left to f. cty asks a
// function for the type of its result before it calls it, and so each one within another once more, which is half of the
// work where the type depends on the values. Here the type is that of the result, and f is asked once.
func wrapped(f function.Function, call func(args []cty.Value) (cty.Value, error)) function.Function {
	open := func(p function.Parameter) function.Parameter {
		p.AllowUnknown, p.AllowDynamicType, p.AllowMarked = true, true, true
		return p
	}
	spec := &function.Spec{
		Description: f.Description(),
		Type:        function.StaticReturnType(cty.DynamicPseudoType),
		Impl:        func(args []cty.Value, _ cty.Type) (cty.Value, error) { return call(args) },
	}
	for _, p := range f.Params() {
		spec.Params = append(spec.Params, open(p))
	}
	if f.VarParam() != nil {
		p := open(*f.VarParam())
		spec.VarParam = &p
	}
	return function.New(spec)
}

// discreet makes a function tell of its mistakes without the sensitive ones of its arguments: many quote what they were
// given, which can be made of a secret and so be none that is known.
func discreet(f function.Function) function.Function {
	return wrapped(f, func(args []cty.Value) (cty.Value, error) {
		value, err := f.Call(args)
		return value, withoutSensitive(err, args)
	})
}

// guarded looks at the arguments, where all of them are known, before a function is called.
func guarded(f function.Function, look func(args []cty.Value) error) function.Function {
	return wrapped(f, func(args []cty.Value) (cty.Value, error) {
		plain := make([]cty.Value, len(args))
		for i, arg := range args {
			if plain[i], _ = arg.UnmarkDeep(); !arg.IsWhollyKnown() {
				return f.Call(args)
			}
		}
		if err := look(plain); err != nil {
			return cty.NilVal, err
		}
		return f.Call(args)
	})
}

// bounded refuses arguments and results that are too large, numbers beyond all measure among them.
func bounded(f function.Function) function.Function {
	return wrapped(f, func(args []cty.Value) (cty.Value, error) {
		var total size
		for _, arg := range args {
			measured, err := measure(arg)
			if err != nil {
				return cty.NilVal, fmt.Errorf("an argument %w", err)
			}
			total.texts += measured.texts
			total.elements += measured.elements
			if err := total.check(); err != nil {
				return cty.NilVal, fmt.Errorf("together what it is given %w", err)
			}
		}
		result, err := f.Call(args)
		if err != nil {
			return result, err
		}
		if err := checkSize(result); err != nil {
			return cty.NilVal, fmt.Errorf("the result %w", err)
		}
		return result, nil
	})
}
