package plan

import (
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// checkVersion checks requires_launch = ">= 0.2, < 1".
func (l *loader) checkVersion(attr *hcl.Attribute) hcl.Diagnostics {
	constraint, diags := constantString(attr)
	if diags.HasErrors() {
		return diags
	}
	for _, part := range strings.Split(constraint, ",") {
		part = strings.TrimSpace(part)
		operator := strings.TrimRight(part[:len(part)-len(strings.TrimLeft(part, "<>=!~"))], " ")
		wanted, ok := parseVersion(strings.TrimSpace(strings.TrimLeft(part, "<>=!~")))
		if !ok || !strings.Contains(" = == != > >= < <= ~> ", " "+operator+" ") && operator != "" {
			return hcl.Diagnostics{failure(attr.Expr.Range(), "Invalid version constraint",
				"%q is not a constraint on versions. Write it as \">= 0.2\" or \">= 0.2, < 1.0\".", shorten(constraint))}
		}
		have, ok := parseVersion(l.opts.Version)
		ok = ok && !l.opts.Kept && have.given > 1 // a commit that stands for a version may be all digits
		if ok && !satisfies(have, operator, wanted) {
			return hcl.Diagnostics{failure(attr.Expr.Range(), "Plan for another version of launch",
				"The plan needs launch %s, and this is launch %s.", constraint, l.opts.Version)}
		}
	}
	return nil
}

type version struct {
	numbers [3]int
	given   int // how many of them were written
}

// parseVersion reads 1.2.3; what follows a - or + does not count.
func parseVersion(text string) (version, bool) {
	text = strings.TrimPrefix(text, "v")
	if i := strings.IndexAny(text, "-+"); i >= 0 {
		text = text[:i]
	}
	parts := strings.Split(text, ".")
	if len(parts) > 3 {
		return version{}, false
	}
	v := version{given: len(parts)}
	for i, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return version{}, false
		}
		v.numbers[i] = n
	}
	return v, true
}

func satisfies(have version, operator string, wanted version) bool {
	order := 0
	for i := range have.numbers {
		if order == 0 {
			order = have.numbers[i] - wanted.numbers[i]
		}
	}
	switch operator {
	case ">=":
		return order >= 0
	case ">":
		return order > 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case "!=":
		return order != 0
	case "~>": // the last number given may grow
		last := max(wanted.given-2, 0)
		for i := range last + 1 {
			if have.numbers[i] != wanted.numbers[i] {
				return false
			}
		}
		return order >= 0
	default:
		return order == 0
	}
}
