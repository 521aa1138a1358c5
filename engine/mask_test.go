package engine

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"unicode/utf16"
)

// masking returns a masker of these secrets.
func masking(secrets ...string) *masker {
	return newMasker(func(n int) []string { return secrets[n:] })
}

// inPieces masks a text that is written in pieces.
func inPieces(t *testing.T, m *masker, text string, next func(rest int) int) string {
	t.Helper()
	var out bytes.Buffer
	w := &maskWriter{w: &out, masker: m}
	for rest := text; rest != ""; {
		n := next(len(rest))
		if _, err := w.Write([]byte(rest[:n])); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestMask(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 5) // of which "base64" makes two lines
	pem := "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
	encoded := base64.StdEncoding.EncodeToString([]byte(long + "\n"))
	for _, c := range []struct{ name, secret, text, want string }{
		{"as it is", "hunter22", "it is hunter22.", "it is (sensitive)."},
		{"twice", "hunter22", "hunter22hunter22", "(sensitive)(sensitive)"},
		{"escaped for HTML", "a&b<c>secret", `{"p":"a\u0026b\u003cc\u003esecret"}`, `{"p":"(sensitive)"}`},
		{"JSON in ASCII", `passwörd"quoted`, `passw\u00f6rd\"quoted`, "(sensitive)"},
		{"JSON in capitals", `passwörd"quoted`, `passw\u00F6rd\u0022quoted`, "(sensitive)"},
		{"JSON with slashes escaped", "a/b/c/d", `"a\/b\/c\/d"`, `"(sensitive)"`},
		{"two escapes for one character", "🔑 key of it", `\ud83d\udd11 key of it`, "(sensitive)"},
		{"bytes in hex", "passwörd", `passw\xc3\xb6rd`, "(sensitive)"},
		{"for a shell", "pass word$", `pass\ word\$`, "(sensitive)"},
		{"percent", `passwörd"quoted`, "passw%C3%B6rd%22quoted", "(sensitive)"},
		{"percent in small letters", `passwörd"quoted`, "passw%c3%b6rd%22quoted", "(sensitive)"},
		{"percent where needless", "hunter22", "%68unter22&x", "(sensitive)&x"},
		{"form", "pass word+", "p=pass+word%2B&q", "p=(sensitive)&q"},
		{"percent with space", "pass word+", "p=pass%20word%2b&q", "p=(sensitive)&q"},
		{"base64 in lines", long, encoded[:76] + "\n" + encoded[76:], "(sensitive)YK"},
		{"base64 in indented lines", long, " " + encoded[:76] + "\r\n \t" + encoded[76:], " (sensitive)YK"},
		{"base64 in lines in JSON", long, encoded[:76] + `\n` + encoded[76:], "(sensitive)YK"},
		{"base64 in a URL", "?>~~?>~~?>~~", "x=Pz5%2Bfj8%2bfn4/Pn5%2b", "x=(sensitive)"},
		{"CRLF", pem, strings.ReplaceAll(pem, "\n", "\r\n"), "(sensitive)"},
		{"from CRLF", strings.ReplaceAll(pem, "\n", "\r\n"), pem, "(sensitive)"},
		{"no escapes", "hunter22", `100% \ hunter2 %zz \u12 \ud83d end\`, `100% \ hunter2 %zz \u12 \ud83d end\`},
	} {
		m := masking(c.secret)
		if got := m.text(c.text); got != c.want {
			t.Errorf("%s: %q becomes %q, want %q", c.name, c.text, got, c.want)
		}
		if got := inPieces(t, m, c.text, func(int) int { return 1 }); got != c.want {
			t.Errorf("%s: %q becomes %q byte by byte, want %q", c.name, c.text, got, c.want)
		}
	}
}

// Secrets that overlap leave nothing of each other.
func TestMaskOverlapping(t *testing.T) {
	m := masking("abcdef", "defghi", "abcdefghijkl", "aaaa")
	for text, want := range map[string]string{
		"abcdefghi":                      "(sensitive)",
		"abcdefghijk":                    "(sensitive)jk",
		"abcdefghijkl":                   "(sensitive)",
		"xx" + string(make([]byte, 300)): "xx" + string(make([]byte, 300)),
		strings.Repeat("a", 1000):        "(sensitive)",
	} {
		for _, piece := range []int{1, 7, 1000} {
			if got := inPieces(t, m, text, func(rest int) int { return min(piece, rest) }); got != want {
				t.Errorf("%.20q in pieces of %d becomes %.50q, want %.50q", text, piece, got, want)
			}
		}
	}
}

// What cannot be the beginning of a secret is shown at once: logs are followed.
func TestMaskHoldsBackLittle(t *testing.T) {
	m := masking("hunter22", strings.Repeat("0123456789abcdef", 5))
	var out bytes.Buffer
	w := &maskWriter{w: &out, masker: m}
	for _, line := range []string{"server is up\n", "100%\n", "C:\\temp\n", "loading\n", "the 12345\n", "hunter2\n"} {
		out.Reset()
		if _, err := w.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		if out.String() != line {
			t.Errorf("of %q, %q is shown at once", line, out.String())
		}
	}
}

// encoders write a secret as programs do.
var encoders = map[string]func(random *rand.Rand, secret string) string{
	"as it is":      func(_ *rand.Rand, s string) string { return s },
	"CRLF":          func(_ *rand.Rand, s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
	"JSON":          func(_ *rand.Rand, s string) string { return inJSON(s) },
	"JSON in JSON":  func(_ *rand.Rand, s string) string { return inJSON(`"` + inJSON(s) + `"`) },
	"JSON in a URL": func(_ *rand.Rand, s string) string { return url.QueryEscape(`"` + inJSON(s) + `"`) },
	"JSON in ASCII": func(random *rand.Rand, s string) string {
		format := []string{`\u%04x`, `\u%04X`}[random.IntN(2)]
		var b strings.Builder
		for _, r := range s {
			switch high, low := utf16.EncodeRune(r); {
			case r == '"' || r == '\\' || r == '/' && random.IntN(2) == 0:
				b.WriteString(`\` + string(r))
			case r > 0xffff:
				fmt.Fprintf(&b, format+format, high, low)
			case r < ' ' || r > '~' || random.IntN(10) == 0:
				fmt.Fprintf(&b, format, r)
			default:
				b.WriteRune(r)
			}
		}
		return b.String()
	},
	"query": func(_ *rand.Rand, s string) string { return url.QueryEscape(s) },
	"path":  func(_ *rand.Rand, s string) string { return url.PathEscape(s) },
	"percent": func(random *rand.Rand, s string) string {
		format := []string{"%%%02x", "%%%02X"}[random.IntN(2)]
		var b strings.Builder
		for _, c := range []byte(s) {
			if c > '~' || strings.IndexByte("% \"\r\n+&<>", c) >= 0 || random.IntN(4) == 0 {
				fmt.Fprintf(&b, format, c)
			} else {
				b.WriteByte(c)
			}
		}
		return b.String()
	},
	"base64": func(random *rand.Rand, s string) string { return inSomeBase64(random, s) },
	"base64 in lines": func(random *rand.Rand, s string) string {
		return inLines(inSomeBase64(random, s), []int{20, 64, 76}[random.IntN(3)], []string{"\n", "\r\n", "\n    ", "\n\t"}[random.IntN(4)])
	},
	"base64 in lines in JSON": func(random *rand.Rand, s string) string { return inJSON(inLines(inSomeBase64(random, s), 64, "\n")) },
	"base64 in lines in a URL": func(random *rand.Rand, s string) string {
		return url.QueryEscape(inLines(inSomeBase64(random, s), 76, "\r\n"))
	},
}

func inJSON(s string) string {
	encoded, _ := json.Marshal(s)
	return string(encoded[1 : len(encoded)-1])
}

// inSomeBase64 has other text before and after.
func inSomeBase64(random *rand.Rand, s string) string {
	encoding := []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding}[random.IntN(3)]
	return encoding.EncodeToString([]byte(strings.Repeat(".", random.IntN(100)) + s + strings.Repeat(".", random.IntN(100))))
}

func inLines(s string, width int, end string) string {
	var lines []string
	for ; len(s) > width; s = s[width:] {
		lines = append(lines, s[:width])
	}
	return strings.Join(append(lines, s), end)
}

// readings are a text with all that is done to secrets undone, in the ways in which launch does not do it.
func readings(text string) []string {
	all := []string{text}
	if u, err := url.QueryUnescape(text); err == nil {
		all = append(all, u)
	}
	var u string
	if json.Unmarshal([]byte(`"`+text+`"`), &u) == nil {
		all = append(all, u)
	}
	for _, t := range all {
		t = strings.NewReplacer("\r", "", "\n", "", "\t", "", " ", "", "-", "+", "_", "/", maskedAs, "!").Replace(t)
		for part := range strings.FieldsFuncSeq(t, func(r rune) bool {
			return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", r)
		}) {
			for from := range min(4, len(part)) {
				p := part[from:]
				decoded, _ := base64.RawStdEncoding.DecodeString(p[:len(p)/4*4])
				all = append(all, string(decoded))
			}
		}
	}
	return all
}

func randomSecret(random *rand.Rand) string {
	letters := []rune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=-_&<>\"'\\%$ \n\tößé€🔑")
	var b strings.Builder
	for n := 8 + random.IntN(200); b.Len() < n; {
		b.WriteRune(letters[random.IntN(len(letters))])
	}
	return "s" + b.String() + "t" // no space at the ends, which would be none in a value
}

// However a secret is written, and wherever what writes it pauses, nothing of it is kept, and the rest is.
func TestMaskEveryEncoding(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		var secrets []string
		for range 1 + random.IntN(5) {
			secrets = append(secrets, randomSecret(random))
		}
		m := masking(secrets...)
		secret := secrets[0]
		for name, encode := range encoders {
			encoded := encode(random, secret)
			text := "begin: " + encoded + " .\nend"
			got := inPieces(t, m, text, func(rest int) int { return min(rest, 1+random.IntN(100)) })
			if !strings.HasPrefix(got, "begin: ") || !strings.HasSuffix(got, " .\nend") || !strings.Contains(got, maskedAs) {
				t.Errorf("seed %d, %s: %q becomes %q", seed, name, text, got)
			}
			for _, plain := range readings(got) {
				for i := 0; i+8 <= len(secret); i++ {
					if part := secret[i : i+8]; strings.Contains(plain, part) {
						t.Fatalf("seed %d, %s: of %q, %q is left in %q", seed, name, secret, part, got)
					}
				}
			}
			if whole := m.text(text); whole != got {
				t.Errorf("seed %d, %s: %q becomes %q as a whole, %q in pieces", seed, name, text, whole, got)
			}
		}
	}
}

// What was masked before some of its secrets were known is masked again.
func TestMaskAgain(t *testing.T) {
	m := masking("hunter22")
	once := m.text("token is t0k-hunter22-3n!")
	m.add([]string{"t0k-hunter22-3n"})
	if got, want := m.text(once), "token is (sensitive)!"; got != want {
		t.Errorf("%q becomes %q, want %q", once, got, want)
	}
}

// FuzzMask: whatever the text and the secret, it is not in what is left, in whichever pieces the text comes.
func FuzzMask(f *testing.F) {
	f.Add("hunter22", "it is hunter22, or %68unter22", uint16(3))
	f.Add("a\r\nb&c", `a\r\nb\u0026c`, uint16(1))
	f.Add("aaaa", "aaaaaaaaaaaaaaaa\n    aaaa", uint16(5))
	f.Fuzz(func(t *testing.T, secret, text string, piece uint16) {
		if len(secret) < startLength || len(text) > 4<<10 { // a long one, byte by byte, takes its time
			t.Skip()
		}
		m := masking(secret)
		got := inPieces(t, m, text, func(rest int) int { return min(rest, 1+int(piece)) })
		plain := strings.ReplaceAll(got, maskedAs, "\x00")
		if strings.Contains(plain, secret) && !strings.Contains(secret, "\x00") {
			t.Errorf("%q is left in %q", secret, got)
		}
		if !strings.Contains(got, maskedAs) && got != text {
			t.Errorf("%q becomes %q", text, got)
		}
	})
}
