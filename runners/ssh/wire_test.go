package ssh

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"

	"github.com/launchplan/launch/internal/sshtest"
)

const testMarker = "0123456789abcdef0123456789abcdef"

// takeApart returns what a wire makes of bytes: data, and lines by kind.
func takeApart(r io.Reader) (data string, lines []string, err error) {
	w := newWire(r, testMarker)
	for {
		t, err := w.next()
		if err != nil {
			return data, lines, err
		}
		if t.kind == 0 {
			data += string(t.data)
		} else {
			lines = append(lines, string(t.kind)+t.line)
		}
	}
}

func TestWire(t *testing.T) {
	text := "noise" + testMarker + "+root\nda" + testMarker[:20] + testMarker + "!web/boot-1 exit 0\nta" + testMarker + ".found 1\n" + testMarker[:10]
	for name, r := range map[string]io.Reader{"whole": strings.NewReader(text), "by bytes": iotest.OneByteReader(strings.NewReader(text))} {
		data, lines, err := takeApart(r)
		if data != "noiseda"+testMarker[:20]+"ta"+testMarker[:10] || strings.Join(lines, "|") != "+root|!web/boot-1 exit 0|.found 1" || err != io.EOF {
			t.Errorf("%s: %q, %q, %v", name, data, lines, err)
		}
	}
	for _, bad := range []string{testMarker + "x\n", testMarker + "\n", testMarker + "." + strings.Repeat("x", 10_000)} {
		if _, _, err := takeApart(strings.NewReader(bad)); err != errWire {
			t.Errorf("%.50q: %v, want errWire", bad, err)
		}
	}
}

func FuzzWire(f *testing.F) {
	f.Add([]byte("a"+testMarker+".b\n"), 3)
	f.Add([]byte(testMarker+testMarker[:31]+"!"), 1)
	f.Fuzz(func(t *testing.T, text []byte, _ int) {
		whole, lines, err := takeApart(bytes.NewReader(text))
		bytewise, lines2, err2 := takeApart(iotest.OneByteReader(bytes.NewReader(text)))
		if whole != bytewise || fmt.Sprint(lines) != fmt.Sprint(lines2) || (err == io.EOF) != (err2 == io.EOF) {
			t.Errorf("%q: %q %q %v, but by bytes %q %q %v", text, whole, lines, err, bytewise, lines2, err2)
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add("launch1 12 34 56 78 boot 90 100 TERM 200 1700000000000 .")
	f.Add("exit 3 1234 0 .")
	f.Fuzz(func(t *testing.T, text string) {
		if r, ok, err := parseRecord(text); ok && (err != nil || r.pid < 1 || r.timeout < 0 || r.stop.Grace < 0 || r.start < 0) {
			t.Errorf("%q is understood as %+v", text, r)
		} else if err != nil && len(err.Error()) > 400 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
		if e, ok, err := parseEnding(text); ok && (err != nil || e.status < 0 || e.status > 255 || e.at < 0) {
			t.Errorf("%q is understood as %+v", text, e)
		}
	})
}

// FuzzQuote asks a real shell what it makes of quoted words.
func FuzzQuote(f *testing.F) {
	sh := sshtest.Need(f, "sh")
	f.Add(everyByte())
	f.Add("'\n''\\\n")
	f.Fuzz(func(t *testing.T, word string) {
		word = strings.ReplaceAll(word, "\x00", "")
		cmd := exec.Command(sh, "-c", `LC_ALL=C; nl=$(printf '\n.'); nl=${nl%.}; IFS= read -r l; eval "$l"`)
		cmd.Stdin = strings.NewReader("printf %s. " + quote(word) + "\n")
		if out, err := cmd.Output(); err != nil || string(out) != word+"." {
			t.Errorf("%q became %q, %v", word, out, err)
		}
	})
}

// FuzzSSHConfig: whatever is in ~/.ssh/config, an alias is resolved or refused.
func FuzzSSHConfig(f *testing.F) {
	f.Add("Host x\n HostName %h.example\n Port 2\nMatch all\nInclude config\n", "x")
	f.Add("ProxyJump a,b@c:9", "y")
	f.Fuzz(func(t *testing.T, config, alias string) {
		env := envFor(t)
		r := runnerFor(t, Config{}, env)
		write(t, r.home()+"/.ssh/config", config)
		if end, err := r.resolve(alias); err == nil && (end.Port < 1 || end.Port > 65535 || end.User == "") {
			t.Errorf("%q is resolved to %+v", alias, end)
		}
	})
}

// The preamble may come in any pieces, and nothing of it is done unless all of it has come.
func TestPreambleInPieces(t *testing.T) {
	all := preamble(testMarker)
	if i := strings.IndexFunc(all, func(r rune) bool { return r > unicode.MaxASCII }); i >= 0 {
		t.Fatalf("it is not ASCII at %q", all[i:])
	}
	session := func(path, input string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", bootstrap)
		cmd.Env = []string{"PATH=" + path}
		cmd.Stdin = iotest.OneByteReader(strings.NewReader(input))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := session(os.Getenv("PATH"), all+testMarker+" answer well\n"); err != nil || out != testMarker+".well\n" {
		t.Errorf("a whole one: %q, %v", out, err)
	}
	for _, c := range []struct{ name, path, input string }{
		{"one that was cut short", os.Getenv("PATH"), all[:len(all)-1]},
		{"one for a host without dd", t.TempDir(), all + testMarker + " answer well\n"},
	} {
		if out, err := session(c.path, c.input); err == nil || strings.Contains(out, testMarker) {
			t.Errorf("%s: %q, %v", c.name, out, err)
		}
	}
}
