package local

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/local/wire"
)

// throughSudo handles the files of another user where launch does not run as root.
type throughSudo struct {
	user, root string
}

// sudoPatience bounds what sudo and the small commands below it may take.
const sudoPatience = time.Minute

// sudo runs a script as the user. Its arguments are no secrets; what may be one goes through input.
func (s throughSudo) sudo(ctx context.Context, input io.Reader, output io.Writer, script string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, sudoPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sudo", append([]string{"-n", "-u", s.user, "--", "/bin/sh", "-c", script, "sh"}, args...)...)
	var said bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = "/", input, output, &said
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("there is no sudo on this machine, and only root can run programs as %s without it", s.user)
	}
	text := strings.TrimSpace(said.String())
	switch {
	case strings.Contains(text, "password is required"):
		return fmt.Errorf("sudo asks for a password to become %s: allow it without one (NOPASSWD in sudoers)", s.user)
	case strings.Contains(text, "unknown user"):
		return fmt.Errorf("there is no user %q on this machine", s.user)
	case text != "":
		return fmt.Errorf("as %s: %s", s.user, firstOf(text))
	}
	return err
}

func firstOf(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.ToValidUTF8(line, "?")
}

// unpack makes the user's private root and unpacks what comes as input below it.
const unpack = `umask 077; mkdir -p -- "$1" && [ -O "$1" ] || { echo "$1 is not a folder of this user" >&2; exit 1; }
cd -- "$1" && mkdir -p -- "$2" && exec tar -xpf -`

func (s throughSudo) place(ctx context.Context, service string, files []runners.File) error {
	dir := path.Join("work", service)
	archive, err := pack(dir, files)
	if err != nil {
		return err
	}
	return s.sudo(ctx, archive, nil, unpack, s.root, dir)
}

func (s throughSudo) payload(ctx context.Context, payload *runners.Payload) error {
	dir := path.Join("payload", payload.Hash)
	archive, err := pack(dir, payload.Files)
	if err != nil {
		return err
	}
	return s.sudo(ctx, archive, nil, unpack, s.root, dir)
}

// pack makes a tar archive of files below dir.
func pack(dir string, files []runners.File) (io.Reader, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, file := range files {
		if !filepath.IsLocal(file.Path) {
			return nil, fmt.Errorf("%q is not a path below the folder", file.Path)
		}
		header := &tar.Header{Name: path.Join(dir, file.Path), Mode: int64(file.Mode & 0o777), Size: int64(len(file.Content)), Typeflag: tar.TypeReg}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(file.Content); err != nil {
			return nil, err
		}
	}
	return &archive, w.Close()
}

func (s throughSudo) read(ctx context.Context, dir, name string, max int) ([]byte, error) {
	if !filepath.IsLocal(name) {
		return nil, fmt.Errorf("%q is not a path below the work directory", name)
	}
	const script = `cd -- "$1" 2>/dev/null && [ -e "$2" ] || { echo none >&2; exit 1; }
[ -f "$2" ] || { echo "not a regular file" >&2; exit 1; }
exec head -c "$3" -- "$2"`
	var data bytes.Buffer
	err := s.sudo(ctx, nil, &data, script, dir, name, fmt.Sprint(max+1))
	switch {
	case err != nil && strings.HasSuffix(err.Error(), ": none"):
		return nil, &fs.PathError{Op: "open", Path: path.Join(dir, name), Err: fs.ErrNotExist}
	case err != nil:
		return nil, err
	case data.Len() > max:
		return nil, tooLong(name, max)
	}
	return data.Bytes(), nil
}

func (s throughSudo) remove(ctx context.Context, dir string) error {
	const script = `[ -e "$1" ] || exit 0; chmod -R u+rwX -- "$1" 2>/dev/null; exec rm -rf -- "$1"`
	return s.sudo(ctx, nil, nil, script, filepath.Join(s.root, dir))
}

// asUser is what runs as the other user: it takes its environment from its
// standard input, where no other process can read it, then becomes the program.
const asUser = `eval "$(cat)"; cd -- "$1" || exit 126; shift; exec "$@" </dev/null`

var shellName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// becomeThroughSudo wraps w in a call of sudo.
func becomeThroughSudo(w *wire.Program, p *runners.Program, t target) error {
	sudo, err := exec.LookPath("sudo")
	if err != nil {
		return fmt.Errorf("there is no sudo on this machine, and only root can run programs as %s without it", p.User)
	}
	var env strings.Builder
	for _, v := range append(wire.Unpack(w.Env), w.Marker) {
		name, value, _ := strings.Cut(v, "=")
		if !shellName.MatchString(name) {
			return fmt.Errorf("the environment variable %q cannot be handed to another user: its name is none that a shell takes", name)
		}
		fmt.Fprintf(&env, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	argv := append([]string{"sudo", "-n", "-u", p.User, "--", "/bin/sh", "-c", asUser, "sh", t.dir}, t.argv...)
	w.Path, w.Argv, w.Env, w.Dir = sudo, wire.Pack(argv), nil, "/"
	w.Input, w.User = []byte(env.String()), p.User
	return nil
}

// noUser is the placer of a user that does not exist.
type noUser struct{ err error }

func (n noUser) place(context.Context, string, []runners.File) error       { return n.err }
func (n noUser) payload(context.Context, *runners.Payload) error           { return n.err }
func (n noUser) read(context.Context, string, string, int) ([]byte, error) { return nil, n.err }
func (n noUser) remove(context.Context, string) error                      { return n.err }
