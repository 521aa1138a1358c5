package plan

import (
	"strings"
	"unicode"

	"github.com/zclconf/go-cty/cty"
)

// shape evaluates what the layout depends on. It must be known ahead, and no secret. Load reports of it what no
// variable could mend.
func (e *evaluation) shape(x *expression, ty cty.Type, what string) (cty.Value, bool) {
	value, ok := e.anyValue(x, ty)
	switch {
	case !ok:
	case value.ContainsMarked():
		e.fail(x.Range(), "Sensitive value in the open", "%q shapes the plan, which everybody may see, so it cannot depend on a sensitive value.", what)
	case !value.IsKnown():
		if !e.check || x.settled {
			e.shapeUnknown(x, what)
		}
	case value.IsNull() && what != "runner":
		e.fail(x.Range(), "Null value", "%q must not be null.", what)
	default:
		return value, true
	}
	return value, false
}

func (e *evaluation) shapeUnknown(x *expression, what string) {
	e.fail(x.Range(), "Value not known ahead", "%q must be known before anything is started, and depends on %s.", what, e.scope.reason(x, e.in))
}

// count is how many instances there are.
func (e *evaluation) count(x *expression) (int, bool) {
	value, ok := e.shape(x, cty.Number, "count")
	if !ok {
		return 0, false
	}
	return e.wholeNumber(x, value, "count", 0, MaxServices)
}

// eachKeys takes for_each apart: a map or object, or a set of texts.
func (e *evaluation) eachKeys(x *expression) (keys []string, elements []cty.Value, ok bool) {
	before := len(e.diags)
	value, known := e.shape(x, cty.DynamicPseudoType, "for_each")
	ty := value.Type()
	isSet := ty.IsSetType() && (ty.ElementType() == cty.String || ty.ElementType() == cty.DynamicPseudoType)
	switch {
	case x == nil || len(e.diags) > before:
		return nil, nil, false
	case !isSet && !ty.IsMapType() && !ty.IsObjectType() && ty != cty.DynamicPseudoType:
		e.fail(x.Range(), "Map or set expected", "\"for_each\" takes a map or a set of texts, and this is %s. For a list of texts write toset([...]).", typeName(ty))
		return nil, nil, false
	case known && isSet && !value.IsWhollyKnown():
		if !e.check || x.settled {
			e.shapeUnknown(x, "for_each")
		}
		return nil, nil, false
	case !known:
		return nil, nil, false
	case value.LengthInt() > MaxServices:
		e.fail(x.Range(), "Too many services", "\"for_each\" has more than %d elements.", MaxServices)
		return nil, nil, false
	}
	for it := value.ElementIterator(); it.Next(); {
		key, element := it.Element()
		if isSet {
			key = element
		}
		if key.IsNull() {
			e.fail(x.Range(), "Invalid key", "An element of \"for_each\" is null, and each one becomes part of a service's address.")
			return nil, nil, false
		}
		if !validKey(key.AsString()) {
			e.fail(x.Range(), "Invalid key", "%q cannot be a key of \"for_each\": it becomes part of a service's address, so it must be a text of 1 to %d characters without brackets, quotes, spaces or control characters.",
				shorten(key.AsString()), maxName)
			return nil, nil, false
		}
		keys = append(keys, key.AsString())
		elements = append(elements, element)
	}
	return keys, elements, true
}

func validKey(key string) bool {
	return key != "" && len(key) <= maxName && !strings.ContainsFunc(key, func(r rune) bool {
		return !unicode.IsPrint(r) || unicode.IsSpace(r) || strings.ContainsRune("[]\"'", r)
	})
}
