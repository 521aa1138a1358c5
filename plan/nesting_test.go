package plan

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// What looksShallow lets pass, the tokens must let pass too: it may be wrong only on the safe side.
func FuzzLooksShallow(f *testing.F) {
	seeds(f)
	f.Add([]byte("a = \"" + strings.Repeat("${\"", 200)))
	f.Add([]byte("a = (" + strings.Repeat("!\n", 20_000) + "true)"))
	f.Add([]byte("a = [ \"]]]]]]\", # ]]]]\n[[[ \"${ [ } ] }\""))
	f.Fuzz(func(t *testing.T, src []byte) {
		shallow, _ := looksShallow(src)
		if !shallow {
			return
		}
		tokens, diags := hclsyntax.LexConfig(src, "", hcl.InitialPos)
		if diags.HasErrors() {
			return
		}
		if diags := checkTokens(tokens); diags.HasErrors() {
			t.Errorf("looks shallow, and %v", diags)
		}
	})
}

// A large file is parsed in parts, and its mistakes are where they are.
func TestLargeFileInParts(t *testing.T) {
	src := manyBlocks(3000) + "output \"x\" { value = local.nothing }\n"
	p, diags := Load("/plans/main", testOptions([]SnapshotFile{{Dir: "/plans/main", Path: "plan.hcl", Mode: 0o644, Content: []byte(src)}}))
	if p == nil || len(diags) != 1 || diags[0].Summary != "Reference to an undeclared local" {
		t.Fatal(diags)
	}
	at := diags[0].Subject
	if got := src[at.Start.Byte:at.End.Byte]; got != "local.nothing" || at.Start.Line != strings.Count(src, "\n") {
		t.Errorf("the mistake is at %v: %q", at, got)
	}
}
