package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFileSet(t *testing.T) {
	tree := expand(t, `
output "direct" { value = fileset("d", "*") }
output "below" { value = fileset("d", "**") }
output "scripts" { value = fileset("d", "**/*.sh") }
output "between" { value = fileset(".", "d/**/e/*.sh") }
output "top" { value = fileset("d", "*/*.sh") }
`, nil, map[string]string{"main/d/a.sh": "", "main/d/b.txt": "", "main/d/e/c.sh": "", "main/d/f/e/d.sh": ""})
	want := map[string]string{
		"direct":  `["a.sh","b.txt"]`,
		"below":   `["a.sh","b.txt","e/c.sh","f/e/d.sh"]`,
		"scripts": `["a.sh","e/c.sh","f/e/d.sh"]`,
		"between": `["d/e/c.sh","d/f/e/d.sh"]`,
		"top":     `["e/c.sh"]`,
	}
	if diff := cmp.Diff(want, outputs(t, tree)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// A shell takes the line ends of Windows for a part of each line's last word.
func TestScriptLineEnds(t *testing.T) {
	main := "level \"one\" {\n  service \"s\" {\n    boot {\n      script = <<-EOT\n        echo hi\n        exit 0\n      EOT\n    }\n  }\n}\n"
	tree := expand(t, strings.ReplaceAll(main, "\n", "\r\n"), nil, nil)
	prepared, diags := tree.Services[0].Prepare()
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if got, want := string(prepared.Boot.Payload.Files[0].Content), "echo hi\nexit 0\n"; got != want {
		t.Errorf("script %q, want %q", got, want)
	}
}
