package ec2test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/textproto"
	"strconv"
	"strings"
)

// userData is what a machine makes of an instance's user data, as cloud-init
// would: host key and keys, files, then programs.
type userData struct {
	hostKey    []byte // ssh_keys.ed25519_private
	authorized []string
	files      []userFile
	programs   []userProgram
}

type userFile struct {
	path    string
	content []byte
	mode    fs.FileMode
}

type userProgram struct {
	name   string
	argv   []string
	script []byte // instead of argv: a file with its own interpreter line
}

// maxUnpacked bounds compressed user data, which must not become a bomb.
const maxUnpacked = 1 << 20

// readUserData understands cloud-config, scripts, MIME multipart of both, and
// any of them compressed. What it could read comes with the error.
func readUserData(raw []byte) (userData, error) {
	if bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return userData{}, err
		}
		if raw, err = io.ReadAll(io.LimitReader(z, maxUnpacked)); err != nil {
			return userData{}, err
		}
	}
	parts, err := userParts(raw)
	config := map[string]any{}
	var scripts []userProgram
	for n, part := range parts {
		switch {
		case bytes.HasPrefix(part, []byte("#cloud-config")):
			// A later part replaces the keys of an earlier one.
			value, err1 := parseYAML(part)
			m, ok := value.(map[string]any)
			if err1 != nil || !ok && value != nil {
				err = errors.Join(err, fmt.Errorf("part %d is no cloud-config: %w", n+1, errors.Join(err1)))
				continue
			}
			for k, v := range m {
				config[k] = v
			}
		case bytes.HasPrefix(part, []byte("#!")):
			scripts = append(scripts, userProgram{name: fmt.Sprintf("part-%03d", n+1), script: part})
		case len(bytes.TrimSpace(part)) > 0:
			err = errors.Join(err, fmt.Errorf("part %d begins with %.20q: ignored", n+1, part))
		}
	}
	data, err1 := fromConfig(config)
	data.programs = append(data.programs, scripts...)
	return data, errors.Join(err, err1)
}

// userParts takes a MIME multipart message apart; anything else is one part.
func userParts(raw []byte) ([][]byte, error) {
	r := bufio.NewReader(bytes.NewReader(raw))
	head, err := r.Peek(min(len(raw), 64))
	lower := strings.ToLower(string(head))
	if err != nil || !strings.HasPrefix(lower, "content-type:") && !strings.HasPrefix(lower, "mime-version:") {
		return [][]byte{raw}, nil
	}
	header, err := textproto.NewReader(r).ReadMIMEHeader()
	if err != nil {
		return nil, err
	}
	kind, parameters, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || !strings.HasPrefix(kind, "multipart/") {
		return nil, fmt.Errorf("user data of type %q", header.Get("Content-Type"))
	}
	var out [][]byte
	for m := multipart.NewReader(r, parameters["boundary"]); ; {
		part, err := m.NextPart()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		var body io.Reader = part
		if strings.EqualFold(part.Header.Get("Content-Transfer-Encoding"), "base64") {
			body = base64.NewDecoder(base64.StdEncoding, part)
		}
		content, err := io.ReadAll(body)
		if err != nil {
			return out, err
		}
		out = append(out, content)
	}
}

// fromConfig takes what matters here out of a cloud-config.
func fromConfig(config map[string]any) (userData, error) {
	var data userData
	if keys, ok := config["ssh_keys"].(map[string]any); ok {
		if private, ok := keys["ed25519_private"].(string); ok {
			data.hostKey = []byte(private)
		}
	}
	for _, k := range list(config["ssh_authorized_keys"]) {
		data.authorized = append(data.authorized, fmt.Sprint(k))
	}
	var errs []error
	for _, item := range list(config["write_files"]) {
		f, ok := item.(map[string]any)
		if !ok {
			errs = append(errs, errors.New("write_files: not a mapping"))
			continue
		}
		file := userFile{path: fmt.Sprint(f["path"]), content: []byte(text(f["content"])), mode: 0o644}
		if p := text(f["permissions"]); p != "" {
			mode, err := strconv.ParseUint(p, 8, 12)
			errs = append(errs, err)
			file.mode = fs.FileMode(mode)
		}
		if enc := text(f["encoding"]); enc == "b64" || enc == "base64" {
			var err error
			file.content, err = base64.StdEncoding.DecodeString(string(file.content))
			errs = append(errs, err)
		}
		data.files = append(data.files, file)
	}
	for _, item := range list(config["runcmd"]) {
		argv := []string{"/bin/sh", "-c", text(item)}
		if words, ok := item.([]any); ok && len(words) > 0 {
			argv = nil
			for _, w := range words {
				argv = append(argv, text(w))
			}
		}
		data.programs = append(data.programs, userProgram{name: "runcmd", argv: argv})
	}
	return data, errors.Join(errs...)
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func text(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}
