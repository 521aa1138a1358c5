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
