// Package examples has plans to learn from. Every command in their READMEs is run by a test, and
// must print what the README says.
package examples

import (
	"cmp"
	"encoding/json"
	"flag"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/launchplan/launch/internal/sandbox"
)

var update = flag.Bool("update", false, "write what the commands print into the READMEs")

func TestReadmes(t *testing.T) {
	readmes, err := filepath.Glob("[0-9]*/README.md")
	if err != nil || len(readmes) == 0 {
		t.Fatalf("no READMEs: %v", err)
	}
	plans, _ := filepath.Glob("[0-9]*/plan.hcl")
	if len(plans) != len(readmes) {
		t.Errorf("%d examples have a plan, %d a README", len(plans), len(readmes))
	}
	for _, readme := range readmes {
		t.Run(filepath.Dir(readme), func(t *testing.T) {
			box := sandbox.New(t)
			usePorts(t, box)
			text, err := os.ReadFile(readme)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(t, box, string(text))
			if *update {
				if err := os.WriteFile(readme, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := gocmp.Diff(comparable(string(text)), comparable(got)); diff != "" {
				t.Errorf("the commands print something else (-README +now); where that is right: go test ./examples -update\n%s", diff)
			}
		})
	}
}

// usePorts makes examples that listen use ports that are free now. The READMEs show the plans' own.
func usePorts(t *testing.T, box *sandbox.Sandbox) {
	if *update {
		return
	}
	ports := map[string]int{}
	for _, name := range []string{"registry", "store_0", "store_1", "web_0", "web_1", "counter"} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close() // when all have been chosen, so that they differ
		ports[name] = ln.Addr().(*net.TCPAddr).Port
	}
	data, err := json.Marshal(ports)
	if err != nil {
		t.Fatal(err)
	}
	box.Set("LAUNCH_VAR_ports", string(data))
	box.Set("LAUNCH_VAR_listen", "127.0.0.1:"+strconv.Itoa(ports["registry"]))
}

// replay runs the commands of a README, the lines in its console blocks that begin with "$ ", and
// returns the README with what they print now.
func replay(t *testing.T, box *sandbox.Sandbox, readme string) string {
	var out strings.Builder
	inConsole := false
	for line := range strings.Lines(readme) {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case strings.HasPrefix(line, "```"):
			inConsole = strings.TrimSpace(line) == "```console"
			out.WriteString(line)
		case inConsole && isCommand:
			out.WriteString(line)
			printed, _ := box.Run(t, command)
			printed = strings.NewReplacer(box.Root, "~/launch", box.Home, "~").Replace(printed)
			if printed != "" && !strings.HasSuffix(printed, "\n") {
				printed += "\n"
			}
			out.WriteString(printed)
		case !inConsole:
			out.WriteString(line)
		}
	}
	return out.String()
}

// What differs from one run to the next.
var varying = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?`), "DATE"},
	{regexp.MustCompile(`\b\d+(\.\d+)?(ms|s|m\d+s)\b`), "TIME"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDRESS"},
	{regexp.MustCompile(`\b01[0-9A-HJKMNP-TV-Z]{24}\b`), "RUN"},
	{regexp.MustCompile(`(?m)(checked, with |id )\w+`), "$1"},
	{regexp.MustCompile(`[ \t]+`), " "},
}

// comparable is a README without what differs from one run to the next. The order of lines within a
// command's output is among that, since services of a level come up together.
func comparable(readme string) []string {
	for _, v := range varying {
		readme = v.what.ReplaceAllString(readme, v.as)
	}
	var lines []string
	from := 0
	for line := range strings.Lines(readme) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "```") || strings.HasPrefix(line, "$ ") {
			slices.SortFunc(lines[from:], cmp.Compare[string])
			lines = append(lines, line)
			from = len(lines)
			continue
		}
		lines = append(lines, line)
	}
	return lines
}
