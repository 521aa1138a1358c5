package plan

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
)

const (
	maxArchive  = MaxSnapshot // unpacked
	maxScripts  = 1024        // payloads of scripts that are kept for the next service
	entryScript = "run.sh"
)

// A Payload is what is sent to the host for a program. Archives are unpacked already.
type Payload struct {
	Hash        string
	Files       []File
	Entry       string
	Interpreter []string // ["/bin/sh", "-e"] for a script
}

// A File for a host. Path is relative and clean.
type File struct {
	Path    string
	Mode    uint32
	Content []byte
}

// A payloadCache makes payloads once: a thousand services with the same program share one.
type payloadCache struct {
	mu       sync.Mutex
	programs map[programKey]*madePayload
	scripts  map[string]*Payload
}

type programKey struct {
	files *planFiles
	name  string
}

type madePayload struct {
	payload *Payload
	err     error
}

func newPayloadCache() *payloadCache {
	return &payloadCache{programs: map[programKey]*madePayload{}, scripts: map[string]*Payload{}}
}

// script is the payload of an inline script.
func (c *payloadCache) script(text string) *Payload {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.scripts[text]; p != nil {
		return p
	}
	p := &Payload{
		Files:       []File{{Path: "script.sh", Mode: 0o600, Content: []byte(text)}},
		Entry:       "script.sh",
		Interpreter: []string{"/bin/sh", "-e"},
	}
	p.Hash = p.hash()
	if len(c.scripts) == maxScripts {
		clear(c.scripts) // every service has a script of its own: keeping them helps nobody
	}
	c.scripts[text] = p
	return p
}

// program is the payload of a file, directory or archive of the plan.
func (c *payloadCache) program(files *planFiles, name string, at hcl.Range) (*Payload, *hcl.Diagnostic) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := programKey{files, name}
	made := c.programs[key]
	if made == nil {
		made = &madePayload{}
		made.payload, made.err = makePayload(files, name)
		if made.err == nil {
			made.payload.Hash = made.payload.hash()
		}
		c.programs[key] = made
	}
	if made.err != nil {
		return nil, failure(at, "Program cannot be used", "The program %q of the plan in %s cannot be used: %v.", shorten(name), files.dir, made.err)
	}
	return made.payload, nil
}

func makePayload(files *planFiles, name string) (*Payload, error) {
	info, err := files.stat(name)
	if err != nil {
		return nil, err
	}
	switch {
	case info.IsDir():
		return directoryPayload(files, name)
	case strings.HasSuffix(name, ".tar.gz") || strings.HasSuffix(name, ".tgz"):
		return archivePayload(files, name)
	}
	file, err := files.file(name)
	if err != nil {
		return nil, err
	}
	if file.mode&0o100 == 0 {
		return nil, fmt.Errorf("it is not executable: run \"chmod +x %s\", or name its interpreter with command = [...] and send it with a file block", path.Base(name))
	}
	base := path.Base(name)
	return &Payload{Files: []File{{Path: base, Mode: 0o700, Content: file.content}}, Entry: base}, nil
}

func directoryPayload(files *planFiles, name string) (*Payload, error) {
	sent, err := directoryFiles(files, name)
	if err != nil {
		return nil, err
	}
	p := &Payload{Files: sent, Entry: entryScript}
	return p, p.checkEntry()
}

// directoryFiles reads all files below a directory of the plan.
func directoryFiles(files *planFiles, name string) ([]File, error) {
	names, err := files.walk(name)
	if err != nil {
		return nil, err
	}
	var sent []File
	for _, rel := range names {
		file, err := files.file(path.Join(name, rel))
		if err != nil {
			return nil, fmt.Errorf("%s in it: %w", rel, err)
		}
		sent = append(sent, File{Path: rel, Mode: privateMode(uint32(file.mode)), Content: file.content})
	}
	return sent, nil
}

// privateMode keeps of a file's mode what its owner may do.
func privateMode(mode uint32) uint32 {
	return 0o600 | mode&0o100
}

func (p *Payload) checkEntry() error {
	for _, file := range p.Files {
		if file.Path == p.Entry {
			if file.Mode&0o100 == 0 {
				return fmt.Errorf("its %s is not executable: run \"chmod +x\" on it", p.Entry)
			}
			return nil
		}
	}
	return fmt.Errorf("it has no %s, which is what is run", p.Entry)
}

// archivePayload unpacks a .tar.gz. Its run.sh is at the top, or in the one folder at the top.
func archivePayload(files *planFiles, name string) (*Payload, error) {
	file, err := files.file(name)
	if err != nil {
		return nil, err
	}
	sent, err := unpack(file.content)
	if err != nil {
		return nil, err
	}
	p := &Payload{Files: sent, Entry: entryScript}
	if err := p.checkEntry(); err == nil {
		return p, nil
	}
	top := ""
	for _, file := range sent {
		first, _, inFolder := strings.Cut(file.Path, "/")
		if !inFolder || top != "" && first != top {
			return nil, errors.New("it has no run.sh at its top")
		}
		top = first
	}
	p.Entry = path.Join(top, entryScript)
	return p, p.checkEntry()
}

func unpack(packed []byte) ([]File, error) {
	zipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("it is not a gzip archive: %w", err)
	}
	archive := tar.NewReader(io.LimitReader(zipped, maxArchive+maxArchive/4))
	var files []File
	size := int64(0)
	seen := map[string]int{}
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("it is not a tar archive: %w", err)
		}
		name := path.Clean(strings.TrimPrefix(header.Name, "./"))
		switch header.Typeflag {
		case tar.TypeDir, tar.TypeXGlobalHeader:
			continue
		case tar.TypeReg:
		default:
			return nil, fmt.Errorf("%q in it is neither file nor directory", shorten(header.Name))
		}
		if !isCleanPath(name) {
			return nil, fmt.Errorf("%q in it leads out of the archive", shorten(header.Name))
		}
		if size += header.Size; size > maxArchive {
			return nil, fmt.Errorf("unpacked it is larger than %d MiB", maxArchive>>20)
		}
		if len(files) == maxDirEntries {
			return nil, fmt.Errorf("it holds more than %d files", maxDirEntries)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return nil, fmt.Errorf("it is damaged: %w", err)
		}
		unpacked := File{Path: name, Mode: privateMode(uint32(header.Mode)), Content: content}
		if i, twice := seen[name]; twice {
			files[i] = unpacked // as tar does: the later one counts
			continue
		}
		seen[name] = len(files)
		files = append(files, unpacked)
	}
}

// hash identifies the payload by all that it holds.
func (p *Payload) hash() string {
	h := sha256.New()
	for _, file := range p.Files {
		fmt.Fprintf(h, "%d %s %o %d\n", len(file.Path), file.Path, file.Mode, len(file.Content))
		h.Write(file.Content)
	}
	fmt.Fprintf(h, "%q %q", p.Entry, p.Interpreter)
	return hex.EncodeToString(h.Sum(nil))
}
