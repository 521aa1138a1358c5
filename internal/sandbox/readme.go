package sandbox

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// CheckReadme runs every command of a README, and compares what they print with what the README says,
// or, with update, writes it there.
func (s *Sandbox) CheckReadme(t *testing.T, path string, update bool) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := s.replay(t, string(text))
	if update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := gocmp.Diff(comparable(string(text)), comparable(got)); diff != "" {
		t.Errorf("the commands in %s print something else (-README +now); where that is right, run its test with -update\n%s", path, diff)
	}
}

// replay runs the commands of a README, the lines in its console blocks that begin with "$ ", and
// returns the README with what they print now. A block that begins with "```hcl file=PATH" is written
// to that file first.
func (s *Sandbox) replay(t *testing.T, readme string) string {
	var out, content strings.Builder
	inConsole, file := false, ""
	for line := range strings.Lines(readme) {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case strings.HasPrefix(line, "```"):
			if file != "" {
				s.write(t, file, content.String())
			}
			inConsole = strings.TrimSpace(line) == "```console"
			_, file, _ = strings.Cut(strings.TrimSpace(line), " file=")
			content.Reset()
			out.WriteString(line)
		case file != "":
			content.WriteString(line)
			out.WriteString(line)
		case inConsole && isCommand:
			out.WriteString(line)
			printed, _ := s.Run(t, command)
			printed = strings.NewReplacer(s.Root, "~/launch", s.Home, "~").Replace(printed)
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

func (s *Sandbox) write(t *testing.T, file, content string) {
	t.Helper()
	path := filepath.Join(s.Dir, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
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
	{regexp.MustCompile(`(?m)(checked, with )\w+`), "$1"},
	{regexp.MustCompile(`\.[0-9a-f]{8}\b`), ".TAG"},
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
