package plan

import (
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"strconv"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// networkFunctions calculate with address ranges.
func networkFunctions() map[string]function.Function {
	two := []function.Parameter{{Name: "prefix", Type: cty.String}, {Name: "number", Type: cty.Number}}
	return map[string]function.Function{
		"cidrhost": function.New(&function.Spec{
			Params: two,
			Type:   function.StaticReturnType(cty.String),
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				prefix, err := netip.ParsePrefix(args[0].AsString())
				if err != nil {
					return cty.NilVal, function.NewArgErrorf(0, "not a range of addresses, such as 10.0.0.0/16")
				}
				n, err := wholeArgument(args, 1)
				if err != nil {
					return cty.NilVal, err
				}
				address, err := hostInPrefix(prefix, n)
				if err != nil {
					return cty.NilVal, function.NewArgError(1, err)
				}
				return cty.StringVal(address.String()), nil
			},
		}),
		"cidrnetmask": textFunc(func(s string) (string, error) {
			prefix, err := netip.ParsePrefix(s)
			if err != nil || !prefix.Addr().Is4() {
				return "", errors.New("not a range of IPv4 addresses, such as 10.0.0.0/16")
			}
			var mask [4]byte
			for i := range prefix.Bits() {
				mask[i/8] |= 0x80 >> (i % 8)
			}
			return netip.AddrFrom4(mask).String(), nil
		}),
		"cidrsubnet": function.New(&function.Spec{
			Params: []function.Parameter{{Name: "prefix", Type: cty.String}, {Name: "newbits", Type: cty.Number}, {Name: "netnum", Type: cty.Number}},
			Type:   function.StaticReturnType(cty.String),
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				prefix, err := netip.ParsePrefix(args[0].AsString())
				if err != nil {
					return cty.NilVal, function.NewArgErrorf(0, "not a range of addresses, such as 10.0.0.0/16")
				}
				bits, err := wholeArgument(args, 1)
				if err != nil {
					return cty.NilVal, err
				}
				number, err := wholeArgument(args, 2)
				if err != nil {
					return cty.NilVal, err
				}
				subnet, err := subnetOf(prefix, bits, number)
				if err != nil {
					return cty.NilVal, err
				}
				return cty.StringVal(subnet), nil
			},
		}),
		"cidrsubnets": function.New(&function.Spec{
			Params:   []function.Parameter{{Name: "prefix", Type: cty.String}},
			VarParam: &function.Parameter{Name: "newbits", Type: cty.Number},
			Type:     function.StaticReturnType(cty.List(cty.String)),
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				return subnetsOf(args)
			},
		}),
		"cidrcontains": function.New(&function.Spec{
			Params: []function.Parameter{{Name: "prefix", Type: cty.String}, {Name: "address", Type: cty.String}},
			Type:   function.StaticReturnType(cty.Bool),
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				return prefixContains(args)
			},
		}),
	}
}

func wholeArgument(args []cty.Value, i int) (int64, error) {
	n, accuracy := args[i].AsBigFloat().Int64()
	if accuracy != big.Exact {
		return 0, function.NewArgErrorf(i, "not a whole number below 2^63")
	}
	return n, nil
}

// hostInPrefix is the nth address of a range; negative numbers count from its end.
func hostInPrefix(prefix netip.Prefix, n int64) (netip.Addr, error) {
	bytes := prefix.Masked().Addr().AsSlice()
	room := len(bytes)*8 - prefix.Bits()
	if room < 63 && (n >= 1<<room || n < -(1<<room)) {
		return netip.Addr{}, fmt.Errorf("%s has no address number %d", prefix, n)
	}
	if n < 0 {
		for i := range room {
			bytes[len(bytes)-1-i/8] |= 1 << (i % 8)
		}
		n++
	}
	for i := len(bytes) - 1; i >= 0 && n != 0; i-- {
		n += int64(bytes[i])
		bytes[i] = byte(n)
		n >>= 8
	}
	address, _ := netip.AddrFromSlice(bytes)
	return address, nil
}

func subnetOf(prefix netip.Prefix, bits, number int64) (string, error) {
	bytes := prefix.Masked().Addr().AsSlice()
	length := int64(prefix.Bits()) + bits
	if bits < 0 || length > int64(len(bytes)*8) || bits > 62 {
		return "", fmt.Errorf("%s cannot be extended by %d bits", prefix, bits)
	}
	if number < 0 || number >= 1<<bits {
		return "", fmt.Errorf("%d bits hold no network number %d", bits, number)
	}
	for i := range bits {
		if number>>(bits-1-i)&1 == 1 {
			bit := int64(prefix.Bits()) + i
			bytes[bit/8] |= 0x80 >> (bit % 8)
		}
	}
	address, _ := netip.AddrFromSlice(bytes)
	return address.String() + "/" + strconv.FormatInt(length, 10), nil
}

// subnetsOf are ranges of a prefix one after the other, each at the next place where one of its length can begin.
func subnetsOf(args []cty.Value) (cty.Value, error) {
	prefix, err := netip.ParsePrefix(args[0].AsString())
	if err != nil {
		return cty.NilVal, function.NewArgErrorf(0, "not a range of addresses, such as 10.0.0.0/16")
	}
	subnets := make([]cty.Value, 0, len(args)-1)
	next := prefix.Masked().Addr()
	for i := 1; i < len(args); i++ {
		bits, err := wholeArgument(args, i)
		if err != nil {
			return cty.NilVal, err
		}
		const most = 32 // as in Terraform
		if bits < 1 || bits > most || int64(prefix.Bits())+bits > int64(prefix.Addr().BitLen()) {
			return cty.NilVal, function.NewArgErrorf(i, "%s cannot be extended by %d bits", prefix, bits)
		}
		subnet := netip.PrefixFrom(next, prefix.Bits()+int(bits)).Masked()
		if subnet.Addr() != next && next.IsValid() {
			next = after(subnet)
			subnet = netip.PrefixFrom(next, subnet.Bits())
		}
		if !prefix.Contains(next) {
			return cty.NilVal, function.NewArgErrorf(i, "%s has no room left for a range that is %d bits longer", prefix, bits)
		}
		subnets = append(subnets, cty.StringVal(subnet.String()))
		next = after(subnet)
	}
	if len(subnets) == 0 {
		return cty.ListValEmpty(cty.String), nil
	}
	return cty.ListVal(subnets), nil
}

// after is the first address that comes after a range. It is not valid where there is none.
func after(prefix netip.Prefix) netip.Addr {
	last, _ := hostInPrefix(prefix, -1)
	return last.Next()
}

// prefixContains says whether an address, or all of a range, is in a range.
func prefixContains(args []cty.Value) (cty.Value, error) {
	prefix, err := netip.ParsePrefix(args[0].AsString())
	if err != nil {
		return cty.NilVal, function.NewArgErrorf(0, "not a range of addresses, such as 10.0.0.0/16")
	}
	inner, err := netip.ParsePrefix(args[1].AsString())
	if err != nil {
		address, err := netip.ParseAddr(args[1].AsString())
		if err != nil || address.Zone() != "" {
			return cty.NilVal, function.NewArgErrorf(1, "neither an address nor a range of addresses")
		}
		address = address.Unmap()
		inner = netip.PrefixFrom(address, address.BitLen())
	}
	if prefix.Addr().Is4() != inner.Addr().Is4() {
		return cty.NilVal, errors.New("one of them is of IPv4 and the other one of IPv6")
	}
	return cty.BoolVal(inner.Bits() >= prefix.Bits() && prefix.Contains(inner.Masked().Addr())), nil
}
