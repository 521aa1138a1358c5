package ec2

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"strings"
)

// maxUserData is EC2's limit, before base64.
const maxUserData = 16 << 10

// maxUnpacked bounds what compressed user data becomes.
const maxUnpacked = 1 << 20

// boundary of the parts that launch puts together. It is fixed, so that the same
// plan makes the same request: a client token is good for one request only.
const boundary = "launch-user-data-5f2b6e5ac7"

// joinUserData adds the instance's SSH host key to the user's own user data, of
// whatever kind cloud-init takes: nothing, cloud-config, a script, a MIME message
// of several parts, any of them compressed. The user's part is handed on as it
// is. launch's comes last: cloud-init lets a later part replace the same keys of
// an earlier one and leaves the others alone.
func joinUserData(user []byte, hostKeyPEM []byte, hostKeyPublic string) ([]byte, error) {
	own, err := hostKeyConfig(hostKeyPEM, hostKeyPublic)
	if err != nil {
		return nil, err
	}
	joined := own
	if len(bytes.TrimSpace(user)) > 0 {
		if joined, err = joinParts(user, own); err != nil {
			return nil, err
		}
	}
	return fit(joined)
}

// hostKeyConfig is a cloud-config with the host key. JSON is YAML.
func hostKeyConfig(private []byte, public string) ([]byte, error) {
	body, err := json.Marshal(map[string]any{
		"ssh_keys": map[string]string{"ed25519_private": string(private), "ed25519_public": public},
	})
	if err != nil {
		return nil, err
	}
	return append([]byte("#cloud-config\n"), append(body, '\n')...), nil
}

func joinParts(user, own []byte) ([]byte, error) {
	user, err := unpacked(user)
	if err != nil {
		return nil, err
	}
	parts, err := partsOf(user)
	if err != nil {
		return nil, err
	}
	parts = append(parts, part{textproto.MIMEHeader{
		"Content-Type":        {`text/cloud-config; charset="utf-8"`},
		"Content-Disposition": {`attachment; filename="launch-host-key.cfg"`},
	}, own})
	separator := boundary
	for bytes.Contains(user, []byte(separator)) {
		separator += "x"
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "Content-Type: multipart/mixed; boundary=%q\nMIME-Version: 1.0\n\n", separator)
	w := multipart.NewWriter(&out)
	if err := w.SetBoundary(separator); err != nil {
		return nil, err
	}
	for _, p := range parts {
		pw, err := w.CreatePart(p.header)
		if err != nil {
			return nil, err
		}
		pw.Write(p.body) // to a buffer, which takes everything
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

type part struct {
	header textproto.MIMEHeader
	body   []byte
}

// partsOf takes user data apart: several parts of a MIME message, else one.
func partsOf(user []byte) ([]part, error) {
	if isMIME(user) {
		return mimeParts(user)
	}
	kind := kindOfPart(user)
	if kind == "" {
		return nil, fmt.Errorf("user_data begins with %.20q, which cloud-init does not know: it must be a #cloud-config, a script that begins with #!, or a MIME message", clean(string(user[:min(len(user), 20)])))
	}
	header := textproto.MIMEHeader{"Content-Type": {kind}}
	if bytes.ContainsAny(user, "\r\x00") || !isText(user) {
		header.Set("Content-Transfer-Encoding", "base64")
		user = []byte(base64.StdEncoding.EncodeToString(user))
	}
	return []part{{header, user}}, nil
}

// kindOfPart is cloud-init's MIME type for what a part begins with.
func kindOfPart(user []byte) string {
	for _, k := range []struct{ prefix, kind string }{
		{"#cloud-config-archive", "text/cloud-config-archive"},
		{"#cloud-config-jsonp", "text/cloud-config-jsonp"},
		{"#cloud-config", "text/cloud-config"},
		{"#!", "text/x-shellscript"},
		{"#include-once", "text/x-include-once-url"},
		{"#include", "text/x-include-url"},
		{"#cloud-boothook", "text/cloud-boothook"},
		{"#part-handler", "text/part-handler"},
		{"## template: jinja", "text/jinja2"},
	} {
		if bytes.HasPrefix(user, []byte(k.prefix)) {
			return k.kind + `; charset="utf-8"`
		}
	}
	return ""
}

func isText(b []byte) bool { return strings.ToValidUTF8(string(b), "") == string(b) }

func isMIME(user []byte) bool {
	head := strings.ToLower(string(user[:min(len(user), 64)]))
	return strings.HasPrefix(head, "content-type:") || strings.HasPrefix(head, "mime-version:")
}

// maxParts bounds the parts of the user's message: cloud-init takes a handful.
const maxParts = 100

func mimeParts(user []byte) ([]part, error) {
	bad := func(err error) ([]part, error) {
		return nil, fmt.Errorf("user_data looks like a MIME message but cannot be read as one: %w", err)
	}
	head, body, ok := cutHeader(user)
	if !ok {
		return bad(io.ErrUnexpectedEOF)
	}
	header, err := readHeader(head)
	if err != nil {
		return bad(err)
	}
	kind, parameters, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		return bad(err)
	}
	if !strings.HasPrefix(kind, "multipart/") {
		header.Del("MIME-Version")
		return []part{{header, body}}, nil
	}
	var parts []part
	for m := multipart.NewReader(bytes.NewReader(body), parameters["boundary"]); len(parts) < maxParts; {
		p, err := m.NextRawPart()
		if err == io.EOF {
			return parts, nil
		}
		if err != nil {
			return bad(err)
		}
		content, err := io.ReadAll(io.LimitReader(p, maxUnpacked))
		if err != nil {
			return bad(err)
		}
		parts = append(parts, part{p.Header, content})
	}
	return bad(fmt.Errorf("more than %d parts", maxParts))
}

func cutHeader(message []byte) (head, body []byte, ok bool) {
	for _, end := range []string{"\n\n", "\r\n\r\n"} {
		if head, body, ok = bytes.Cut(message, []byte(end)); ok {
			return append(head, end...), body, true
		}
	}
	return nil, nil, false
}

func readHeader(head []byte) (textproto.MIMEHeader, error) {
	return textproto.NewReader(bufio.NewReader(bytes.NewReader(head))).ReadMIMEHeader()
}

func unpacked(user []byte) ([]byte, error) {
	if !bytes.HasPrefix(user, []byte{0x1f, 0x8b}) {
		return user, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(user))
	if err != nil {
		return nil, fmt.Errorf("user_data looks compressed but is not: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(z, maxUnpacked+1))
	if err != nil {
		return nil, fmt.Errorf("unpack user_data: %w", err)
	}
	if len(plain) > maxUnpacked {
		return nil, fmt.Errorf("user_data is larger than %d bytes unpacked", maxUnpacked)
	}
	return plain, nil
}

// fit compresses user data that would be too long; cloud-init unpacks it.
func fit(data []byte) ([]byte, error) {
	if len(data) <= maxUserData {
		return data, nil
	}
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	z.Write(data) // to a buffer, which takes everything
	if err := z.Close(); err != nil {
		return nil, err
	}
	if out.Len() > maxUserData {
		return nil, fmt.Errorf("user_data with the host key has %d bytes, compressed %d; EC2 takes %d", len(data), out.Len(), maxUserData)
	}
	return out.Bytes(), nil
}
