package plan

import (
	"fmt"
	"time"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// timeFunctions calculate with times in the form of RFC 3339. None of them asks for the present one, which would be another
// whenever a run goes on.
func timeFunctions() map[string]function.Function {
	return map[string]function.Function{
		"formatdate": guarded(stdlib.FormatDateFunc, func(args []cty.Value) error {
			const most = 1000 // from 64 KiB on, cty would leave out the rest
			if len(args[0].AsString()) > most {
				return function.NewArgErrorf(0, "a format must have at most %d characters", most)
			}
			_, err := timeArgument(args, 1)
			return err
		}),
		"timeadd": guarded(stdlib.TimeAddFunc, func(args []cty.Value) error {
			if written := args[1].AsString(); !isDuration(written) {
				return function.NewArgErrorf(1, "%q is not a duration, such as 90s, 10m, -1h30m", shorten(written))
			}
			_, err := timeArgument(args, 0)
			return err
		}),
		"timecmp": function.New(&function.Spec{
			Params: []function.Parameter{{Name: "a", Type: cty.String}, {Name: "b", Type: cty.String}},
			Type:   function.StaticReturnType(cty.Number),
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				a, err := timeArgument(args, 0)
				if err != nil {
					return cty.NilVal, err
				}
				b, err := timeArgument(args, 1)
				if err != nil {
					return cty.NilVal, err
				}
				return cty.NumberIntVal(int64(a.Compare(b))), nil
			},
		}),
	}
}

func timeArgument(args []cty.Value, i int) (time.Time, error) {
	written := args[i].AsString()
	t, err := time.Parse(time.RFC3339, written)
	if err != nil {
		return t, function.NewArgError(i, fmt.Errorf("%q is not a time, such as 2026-01-31T09:30:00Z or 2026-01-31T10:30:00+01:00", shorten(written)))
	}
	return t, nil
}

func isDuration(written string) bool {
	_, err := time.ParseDuration(written)
	return err == nil
}
