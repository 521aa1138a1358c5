package ec2

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// parts reads joined user data as cloud-init does.
func parts(t *testing.T, data []byte) []string {
	t.Helper()
	data, err := unpacked(data)
	if err != nil {
		t.Fatal(err)
	}
	if !isMIME(data) {
		return []string{string(data)}
	}
	m, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	_, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for r := multipart.NewReader(m.Body, parameters["boundary"]); ; {
		p, err := r.NextPart()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := strings.Cut(p.Header.Get("Content-Type"), ";")
		out = append(out, kind+": "+string(body))
	}
}

func TestUserDataIsJoined(t *testing.T) {
	const own = "#cloud-config\n{\"ssh_keys\":{\"ed25519_private\":\"PRIVATE\",\"ed25519_public\":\"ssh-ed25519 AAAA\"}}\n"
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write([]byte("#!/bin/sh\necho zipped\n"))
	z.Close()
	for name, c := range map[string]struct {
		user string
		want []string
	}{
		"nothing":      {"", []string{own}},
		"cloud-config": {"#cloud-config\npackages: [jq]\n", []string{"text/cloud-config: #cloud-config\npackages: [jq]\n", "text/cloud-config: " + own}},
		"script":       {"#!/bin/sh\necho hi\n", []string{"text/x-shellscript: #!/bin/sh\necho hi\n", "text/cloud-config: " + own}},
		"compressed":   {zipped.String(), []string{"text/x-shellscript: #!/bin/sh\necho zipped\n", "text/cloud-config: " + own}},
		"our boundary": {"#!/bin/sh\n# --" + boundary + "--\n", []string{"text/x-shellscript: #!/bin/sh\n# --" + boundary + "--\n", "text/cloud-config: " + own}},
		"multipart": {
			"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"b\"\n\n--b\nContent-Type: text/x-shellscript\n\n#!/bin/sh\necho 1\n--b\nContent-Type: text/cloud-config\n\n#cloud-config\nssh_keys: {}\n--b--\n",
			[]string{"text/x-shellscript: #!/bin/sh\necho 1", "text/cloud-config: #cloud-config\nssh_keys: {}", "text/cloud-config: " + own},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := joinUserData([]byte(c.user), []byte("PRIVATE"), "ssh-ed25519 AAAA")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, parts(t, got)); diff != "" {
				t.Errorf("parts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUserDataThatDoesNotFit(t *testing.T) {
	long := "#!/bin/sh\n" + strings.Repeat("echo the same again\n", 2000)
	got, err := joinUserData([]byte(long), []byte("PRIVATE"), "ssh-ed25519 AAAA")
	if err != nil || len(got) > maxUserData {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if p := parts(t, got); len(p) != 2 || p[0] != "text/x-shellscript: "+long {
		t.Errorf("%d parts", len(p))
	}
	noise := make([]byte, maxUserData)
	rand.Read(noise)
	if _, err := joinUserData(append([]byte("#!/bin/sh\n"), noise...), []byte("PRIVATE"), "ssh-ed25519 AAAA"); err == nil || !strings.Contains(err.Error(), "EC2 takes 16384") {
		t.Errorf("noise: %v", err)
	}
}

func FuzzJoinUserData(f *testing.F) {
	f.Add([]byte("#cloud-config\n"))
	f.Add([]byte("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"b\"\n\n--b\n\n#!\n--b--\n"))
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Fuzz(func(t *testing.T, user []byte) {
		data, err := joinUserData(user, []byte("PRIVATE"), "ssh-ed25519 AAAA")
		if err != nil {
			return
		}
		if len(data) > maxUserData {
			t.Errorf("%d bytes", len(data))
		}
		plain, err := unpacked(data)
		if err != nil || !bytes.Contains(plain, []byte("PRIVATE")) {
			t.Errorf("the host key is not in it: %v", err)
		}
	})
}

func TestServicesAreSharedOutInTags(t *testing.T) {
	many := make([]string, 0, 120)
	for _, w := range wants(100) {
		many = append(many, w.Service)
	}
	many = append(many, "db", `dispatch.core.shard["a b~c%"]`, "web[7]", "web[9]", "web[10]", "x[007]")
	values, ok := shareOut(many)
	if diff := cmp.Diff([]string{`web[0]~100 db dispatch.core.shard["a%20b%7Ec%25"] web[7] web[9]~2 x[007]`}, values); diff != "" || !ok {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	got, err := readShared(sharedTags(values))
	if diff := cmp.Diff(many, got); diff != "" || err != nil {
		t.Errorf("read back (-want +got):\n%s%v", diff, err)
	}
	if _, ok := shareOut([]string{strings.Repeat("x", 300)}); ok {
		t.Error("an address of 300 characters fits into a tag")
	}
}

func FuzzReadShared(f *testing.F) {
	f.Add("web[0]~100 db", "x")
	f.Add("a~9999999999999999999", "%zz")
	f.Fuzz(func(t *testing.T, one, two string) {
		got, err := readShared(map[string]string{tagShared: one, tagShared + ".2": two})
		if err == nil && len(got) > maxShared {
			t.Errorf("%d services", len(got))
		}
	})
}

func TestHostKeysOnTheConsole(t *testing.T) {
	k, err := makeKey(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	block := func(line string) string {
		return "-----BEGIN SSH HOST KEY KEYS-----\r\n" + line + "\r\n-----END SSH HOST KEY KEYS-----\r\n"
	}
	for name, c := range map[string]struct {
		text string
		want int
	}{
		"nothing yet":   {"[ 0.000] Booting Linux\n", 0},
		"cut off":       {"-----BEGIN SSH HOST KEY KEYS-----\n" + k.public() + " root@ip\n", 0},
		"one":           {block(k.public() + " root@ip"), 1},
		"with a prefix": {block("[   12.3] cloud-init[812]: " + k.public() + " root@ip"), 1},
		"garbage":       {block("ssh-ed25519 AAAA\x00\xff"), 0},
		"the last boot": {block("ssh-ed25519 old") + block(k.public()), 1},
	} {
		keys := keysOnConsole(c.text)
		if len(keys) != c.want || len(keys) == 1 && !bytes.Equal(keys[0].Marshal(), k.signer.PublicKey().Marshal()) {
			t.Errorf("%s: %d keys, want %d", name, len(keys), c.want)
		}
	}
}

func FuzzKeysOnConsole(f *testing.F) {
	f.Add("-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 AAAA\n-----END SSH HOST KEY KEYS-----")
	f.Fuzz(func(t *testing.T, text string) { keysOnConsole(text) })
}
