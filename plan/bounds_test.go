package plan

import (
	"fmt"
	"strings"
	"testing"
)

// What a few bytes of a plan can blow up is refused before it is made.
func TestValuesThatGrow(t *testing.T) {
	big := `"` + strings.Repeat("x", 4<<10) + `"`
	bomb, err := base64Gzip(strings.Repeat("x", maxTexts+1))
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]string{
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
		"document":                `jsondecode("[${join(",", local.big_list)}${local.big}]")`,
		"distinct":                `distinct(concat(local.big_list, local.big_list, local.big_list, local.big_list, local.big_list, local.big_list))`,
		"document in YAML":        `yamldecode(join("\n", [for i in local.big_list : "- ${local.small}"]))`,
		"brackets in YAML":        `yamldecode(join("", [for i in range(1001) : "[" ]))`,
		"lists in YAML":           `yamldecode("${join("", [for i in range(101) : "- "])}x")`,
		"YAML that nests":         `yamldecode(join("\n", [for i in range(101) : "${join("", [for j in range(i) : " "])}a:"]))`,
		"aliases of aliases":      `yamldecode("a0: &a0 x\n${join("", [for i in range(40) : "a${i + 1}: &a${i + 1} [*a${i}, *a${i}]\n"])}")`,
		"aliases merged":          `yamldecode("a: &a {${join(",", [for i in range(1000) : "k${i}: 1"])}}\nb: &b [${join(",", [for i in range(1000) : "*a"])}]\n${join("", [for i in range(900) : "- {<<: *b}\n"])}")`,
		"merged by escapes":       `yamldecode("a: &a {${join(",", [for i in range(1000) : "k${i}: 1"])}}\nb: &b [${join(",", [for i in range(1000) : "*a"])}]\n${join("", [for i in range(900) : "- {\"\\x3c<\": *b}\n"])}")`,
		"indented YAML":           `yamlencode([[[[[[[[[[[[[[[[[[[[replace(local.big, "x", " ")]]]]]]]]]]]]]]]]]]]])`,
		"gzip":                    `base64gunzip("` + bomb + `")`,
		"template as a text":      `templatestring(local.big, {})`,
		"transposed":              `transpose({ (local.big) = local.big_list })`,
		"format of a date":        `formatdate(local.big, "2026-01-31T09:30:00Z")`,
		"loops within each other": `length([for a in range(1000) : [for b in range(1000) : 1]])`,
	}
	src := "locals {\n  small = " + big + "\n  big = join(\"\", [for i in range(300) : local.small])\n  big_list = flatten([for i in range(3) : range(1000)])\n}\n"
	first := strings.Count(src, "\n") + 1
	for _, name := range keys(cases) {
		src += "output \"x" + strings.ReplaceAll(name, " ", "_") + "\" { value = " + cases[name] + " }\n"
	}
	files := []SnapshotFile{{Dir: "/plans/main", Path: "plan.hcl", Mode: 0o644, Content: []byte(src)}}
	_, diags := Load("/plans/main", testOptions(files))
	refused := map[int]bool{} // by line
	for _, d := range diags {
		refused[d.Subject.Start.Line] = true
	}
	for i, name := range keys(cases) {
		if !refused[first+i] {
			t.Errorf("%s is not refused", name)
		}
	}
}

// Constants are bounded as well, wherever they stand: nothing in them counts for an evaluation with variables.
func TestConstantsThatGrow(t *testing.T) {
	long := "[for a in [" + strings.Repeat("1,", 999) + "1] : [for b in [" + strings.Repeat("1,", 999) + "1] : 1]]"
	for name, src := range map[string]string{
		"default of a variable": `variable "x" { default = ` + long + ` }`,
		"default of an export":  "level \"one\" {\n service \"s\" {\n boot { command = [\"x\"] }\n export \"e\" {\n type = any\n default = " + long + "\n}\n}\n}",
		"description":           `description = ` + long,
	} {
		files := []SnapshotFile{{Dir: "/plans/main", Path: "plan.hcl", Mode: 0o644, Content: []byte(src)}}
		if _, diags := Load("/plans/main", testOptions(files)); !diags.HasErrors() {
			t.Errorf("%s: a million steps are not refused", name)
		}
	}
	if _, diags := ParseVarFile("x.vars", []byte("x = "+long)); !diags.HasErrors() {
		t.Error("variable file: a million steps are not refused")
	}
	p := load(t, `variable "x" { type = list(list(number)) }`, nil)
	if diags := p.CheckGiven(map[string]Given{"x": {Raw: long}}); !diags.HasErrors() {
		t.Error("variable: a million steps are not refused")
	}
}

// A mistake is told once, however many ways lead from it to where a value is needed.
func TestMistakesDoNotGrow(t *testing.T) {
	src := "locals {\n  a0 = 1 + \"x\"\n"
	for i := range 60 {
		src += fmt.Sprintf("  a%d = [local.a%d, local.a%d, local.b%d]\n  b%d = local.a%d\n", i+1, i, i, i, i, i)
	}
	src += "}\noutput \"x\" { value = local.a60 }\n"
	files := []SnapshotFile{{Dir: "/plans/main", Path: "plan.hcl", Mode: 0o644, Content: []byte(src)}}
	_, diags := Load("/plans/main", testOptions(files))
	if len(diags) != 1 {
		t.Errorf("%d diagnostics for one mistake", len(diags))
	}
}

// Plans that hold each other double with each step: they are refused before they take all memory.
func TestPlansThatMultiply(t *testing.T) {
	twice := func(next string) string {
		return fmt.Sprintf("level \"one\" {\n  plan = %[1]q\n}\nlevel \"two\" {\n  plan = %[1]q\n}\n", next)
	}
	more := map[string]string{}
	for i := 1; i < maxPlanDepth; i++ {
		more[fmt.Sprintf("p%d/plan.hcl", i)] = twice(fmt.Sprintf("../p%d", i+1))
	}
	more[fmt.Sprintf("p%d/plan.hcl", maxPlanDepth)] = "level \"a\" {\n  service \"s\" {\n    boot { command = [\"true\"] }\n  }\n}\n"
	_, diags := load(t, twice("../p1"), more).Expand(Inputs{RunName: "demo", RunID: "01ABC"})
	if len(diags) != 1 || diags[0].Summary != "Too many plans" {
		t.Errorf("2^%d plans: %v", maxPlanDepth, diags)
	}
}
