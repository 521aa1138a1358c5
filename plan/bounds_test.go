package plan

import (
	"strings"
	"testing"
)

// What a few bytes of a plan can blow up is refused before it is made.
func TestValuesThatGrow(t *testing.T) {
	big := `"` + strings.Repeat("x", 4<<10) + `"`
	for name, x := range map[string]string{
		"template in a loop":      `[for i in range(1000) : "${local.big}${i}"]`,
		"template loop":           "\"%{ for i in range(1000) }${local.big}%{ endfor }\"",
		"separator":               `join(local.big, range(1000))`,
		"format of a list":        `formatlist("%s%s", range(1000), local.big)`,
		"each character":          `split("", local.big)`,
		"matches":                 `regexall(".", local.big)`,
		"replacement":             `replace(local.big, "x", local.big)`,
		"regular replacement":     `replace(local.big, "/(.*)/", "$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1")`,
		"indent":                  `indent(1000, replace(local.big, "x", "\n"))`,
		"width":                   `format("%0100000d", 1)`,
		"number as text":          `"${1e999999 * 1e999999}"`,
		"number from text":        `tonumber("1e999999999")`,
		"combinations":            `setproduct(range(1000), range(1000))`,
		"texts written out":       `"` + strings.Repeat("${local.big}", 20) + `"`,
		"lists written out":       `concat(` + strings.Repeat("local.big_list, ", 800) + `[])`,
		"document":                `jsondecode("[${join(",", local.big_list)}${local.big}]")`,
		"distinct":                `distinct(concat(local.big_list, local.big_list, local.big_list, local.big_list, local.big_list, local.big_list))`,
		"loops within each other": `length([for a in range(1000) : [for b in range(1000) : 1]])`,
	} {
		t.Run(name, func(t *testing.T) {
			src := "locals {\n  small = " + big + "\n  big = join(\"\", [for i in range(300) : local.small])\n  big_list = flatten([for i in range(3) : range(1000)])\n}\noutput \"x\" { value = " + x + " }\noutput \"y\" { value = [length(local.big), local.big_list] }\n"
			files := []SnapshotFile{{Dir: "/plans/main", Path: "plan.hcl", Mode: 0o644, Content: []byte(src)}}
			_, diags := Load("/plans/main", testOptions(files))
			if !diags.HasErrors() {
				t.Error("no error")
			}
			for _, d := range diags {
				t.Logf("%s: %s", d.Summary, shorten(d.Detail))
			}
		})
	}
}
