package ssh

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/launchplan/launch/internal/sshtest"
	"github.com/launchplan/launch/runners"
)

// TestLargePayload is sent once per host, however many services run it.
func TestLargePayload(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	env := envFor(t)
	h := connect(t, s, env, "127.0.0.1")
	data := make([]byte, 3<<20+5)
	rand.Read(data)
	sum := sha256.Sum256(data)
	payload := &runners.Payload{Hash: hex.EncodeToString(sum[:]), Entry: "bin/run.sh", Files: []runners.File{
		{Path: "bin/run.sh", Mode: 0o755, Content: []byte("#!/bin/sh\nsha256sum <\"$LAUNCH_PROGRAM_DIR/data/-blob\"\n")},
		{Path: "data/-blob", Mode: 0o640, Content: data},
	}}
	again := func(h runners.Host, service string) {
		t.Helper()
		p := &runners.Program{ID: runners.ID{Service: service, Name: "boot-1"}, Kind: runners.Durable, Payload: payload}
		if got := run(t, h, p); got != hex.EncodeToString(sum[:])+"  -\n" {
			t.Errorf("%s: the program read %q", service, got)
		}
	}
	again(h, "a")
	// Whoever comes later must not need the content.
	payload.Files[1].Content = nil
	again(h, "b")
	payload.Files[1].Content = data[:100_000] // large enough to ask first
	again(connect(t, s, env, "127.0.0.1"), "c")
}

// TestMiddleLeftOut: of an endless output the head and the tail come, with a line for the rest.
func TestMiddleLeftOut(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	h := connect(t, s, envFor(t), "127.0.0.1")
	const extra = 1 << 20
	var out bytes.Buffer
	p := program("boot-1", fmt.Sprintf("echo head; head -c %d /dev/zero; echo tail", runners.MaxOutput+extra))
	p.Output = &out
	if res, err := h.Run(t.Context(), p); err != nil || res.Status != 0 {
		t.Fatalf("Run = %+v, %v", res, err)
	}
	text := out.Bytes()
	line := fmt.Sprintf("\n[launch: %d bytes left out]\n", extra+len("head\ntail\n"))
	if !bytes.HasPrefix(text, []byte("head\n")) || !bytes.HasSuffix(text, []byte("tail\n")) || !bytes.Contains(text, []byte(line)) || len(text) != runners.MaxOutput+len(line) {
		t.Errorf("%d bytes of output, head %q, tail %q; want %q between", len(text), text[:5], text[len(text)-5:], line)
	}
}

// TestHostileOutput: a program that writes what looks like the protocol deceives nobody.
func TestHostileOutput(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	h := connect(t, s, envFor(t), "127.0.0.1")
	text := strings.Repeat("."+testMarker+".found 0 0\n!web/boot-1 exit 0 1 0 . - 0 0\n", 100)
	p := program("boot-1", "cat; printf '%s' \"$TEXT\"; exit 9")
	p.Env = map[string]string{"TEXT": text, "prog": "x", "setsid": "x", "reset": "x", "M": "x", "IFS": "x", "PATH": "/bin:/usr/bin", "LC_ALL": "x"}
	var out bytes.Buffer
	p.Output = &out
	if res, err := h.Run(t.Context(), p); err != nil || res.Status != 9 || out.String() != text {
		t.Errorf("Run = %+v, %v; %d bytes of output, want %d", res, err, out.Len(), len(text))
	}
}
