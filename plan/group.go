package plan

import (
	"reflect"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// A group is a service block in a scope, with its instances once it is laid out.
type group struct {
	scope    *scope
	block    *serviceBlock
	laid     bool
	disabled bool
	services []*Service
	values   []cty.Value // each.value of every instance, with for_each
	cell     cell        // the value of service.NAME
	shared   map[*expression]*cell
}

// value is what service.NAME is for others: an object, a list or map of objects, or null. mu is held.
func (g *group) value(reader *cell) cty.Value {
	value, _ := g.cell.read(reader, func() (cty.Value, hcl.Diagnostics) {
		if !g.laid {
			return g.unlaidValue(), nil
		}
		if g.disabled {
			return cty.NullVal(cty.DynamicPseudoType), nil
		}
		return g.laidValue(), nil
	})
	return value
}

// unlaidValue is the value as far as it is known without variables.
func (g *group) unlaidValue() cty.Value {
	object := g.object(nil)
	b := g.block
	var value cty.Value
	switch {
	case b.count != nil:
		value = cty.UnknownVal(cty.List(object.Type())).RefineNotNull()
	case b.forEach != nil:
		value = cty.UnknownVal(cty.Map(object.Type())).RefineNotNull()
	default:
		value = object
	}
	if object.Type().HasDynamicTypes() && (b.count != nil || b.forEach != nil) {
		value = cty.DynamicVal // its instances may have different types
	}
	if b.enabled != nil || b.level.enabled != nil {
		value = cty.UnknownVal(value.Type()) // it may be null
	}
	return value
}

func (g *group) laidValue() cty.Value {
	switch {
	case g.block.count != nil:
		list := make([]cty.Value, len(g.services))
		for i, s := range g.services {
			list[i] = g.object(s)
		}
		if len(list) > 0 && cty.CanListVal(list) {
			return cty.ListVal(list)
		}
		return cty.TupleVal(list)
	case g.block.forEach != nil:
		byKey := make(map[string]cty.Value, len(g.services))
		for _, s := range g.services {
			byKey[s.Index] = g.object(s)
		}
		if len(byKey) > 0 && cty.CanMapVal(byKey) {
			return cty.MapVal(byKey)
		}
		return cty.ObjectVal(byKey)
	default:
		return g.object(g.services[0])
	}
}

// object is one instance as others see it. A nil service is any of them.
func (g *group) object(s *Service) cty.Value {
	names := g.block.members()
	values := make(map[string]cty.Value, len(names))
	for _, name := range names {
		values[name], _ = g.member(s, selfAll, &g.cell, name)
	}
	return cty.ObjectVal(values)
}

// member is one attribute of an instance, as far as it may be seen from where an expression stands. mu is held.
func (g *group) member(s *Service, self selfScope, reader *cell, name string) (cty.Value, bool) {
	if self >= selfAttributes {
		if a := g.block.attribute(name); a != nil {
			in := instance{block: g.block, service: s, self: selfFacts}
			if value, ok := g.sharedValue(a.value, in, reader); ok {
				return value, true
			}
			value, diags := g.scope.evaluate(a.value, in, reader)
			return value, !diags.HasErrors()
		}
	}
	if self >= selfAll {
		if e := g.block.export(name); e != nil {
			return e.value(s), true
		}
	}
	return g.fact(s, name), true
}

// fact is what every service has.
func (g *group) fact(s *Service, name string) cty.Value {
	if name == "name" {
		return cty.StringVal(g.block.name)
	}
	if s == nil || s.known == nil {
		return unknownString()
	}
	k := s.known
	if name == "work_dir" {
		if k.WorkDir == "" {
			return unknownString()
		}
		return cty.StringVal(k.WorkDir)
	}
	if k.Address == "" {
		return unknownString() // the host is not known: neither is any of its names
	}
	switch name {
	case "address":
		return cty.StringVal(k.Address)
	case "private_address":
		return cty.StringVal(k.PrivateAddress)
	case "public_address":
		return cty.StringVal(k.PublicAddress)
	default:
		return cty.StringVal(k.InstanceID)
	}
}

// value is the export's value, unknown until the boot program of s has ended.
func (e *exportDecl) value(s *Service) cty.Value {
	value := cty.UnknownVal(e.typ)
	if s != nil && s.known != nil && s.known.Exports != nil {
		var ok bool
		if value, ok = s.known.Exports[e.name]; !ok {
			value = cty.NullVal(e.typ)
			if e.hasDefault {
				value = e.defValue
			}
		}
	}
	if e.sensitive {
		value = value.Mark(sensitiveMark)
	}
	return value
}

// instanceValue is count.index, each.key or each.value.
func (g *group) instanceValue(root, name string, s *Service) cty.Value {
	switch {
	case s == nil && root == "count":
		return cty.UnknownVal(cty.Number).RefineNotNull()
	case s == nil && name == "key":
		return unknownString()
	case s == nil:
		return cty.DynamicVal
	case root == "count":
		return cty.NumberIntVal(int64(s.instance))
	case name == "key":
		return cty.StringVal(s.Index)
	default:
		return g.values[s.instance]
	}
}

// hosts is the group as `on` sees it: its services themselves.
func (g *group) hosts() cty.Value {
	ty := serviceCapsuleType
	switch {
	case !g.laid && g.block.count != nil:
		return cty.UnknownVal(cty.List(ty))
	case !g.laid && g.block.forEach != nil:
		return cty.UnknownVal(cty.Map(ty))
	case !g.laid:
		return cty.UnknownVal(ty)
	case g.disabled:
		return cty.NullVal(cty.DynamicPseudoType)
	case g.block.count != nil:
		list := make([]cty.Value, len(g.services))
		for i, s := range g.services {
			list[i] = cty.CapsuleVal(ty, s)
		}
		return cty.TupleVal(list)
	case g.block.forEach != nil:
		byKey := make(map[string]cty.Value, len(g.services))
		for _, s := range g.services {
			byKey[s.Index] = cty.CapsuleVal(ty, s)
		}
		return cty.ObjectVal(byKey)
	default:
		return cty.CapsuleVal(ty, g.services[0])
	}
}

// The types of what `on` and `runner` refer to. Capsule types are told apart by identity.
var (
	serviceCapsuleType = cty.Capsule("service", reflect.TypeFor[Service]())
	runnerCapsuleType  = cty.Capsule("runner", reflect.TypeFor[runnerBlock]())
	meterCapsuleType   = cty.Capsule("meter", reflect.TypeFor[meter]())
)
