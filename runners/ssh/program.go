package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/launchplan/launch/runners"
)

// A form is what a name that a host is told may be made of, and how long it may be. A count in the pattern
// itself would be compiled into as many copies of it, at each start of launch.
type form struct {
	pattern *regexp.Regexp
	most    int
}

var (
	programName = form{regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`), 101}
	serviceName = form{regexp.MustCompile(`^[A-Za-z0-9_@-][A-Za-z0-9._@-]*$`), 151}
	signalName  = form{regexp.MustCompile(`^[A-Z][A-Z0-9+-]+$`), 13}
	envName     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	payloadHash = form{regexp.MustCompile(`^[A-Za-z0-9]+$`), 128}
)

func (f form) fits(name string) bool { return len(name) <= f.most && f.pattern.MatchString(name) }

func checkID(id runners.ID) error {
	if !serviceName.fits(id.Service) || !programName.fits(id.Name) {
		return fmt.Errorf("%q is not the ID of a program", id.String())
	}
	return nil
}

// signalOf is the stop signal as a shell's kill names it.
func signalOf(stop runners.Stop) (string, error) {
	signal := strings.TrimPrefix(orElse(stop.Signal, "SIGTERM"), "SIG")
	if !signalName.fits(signal) {
		return "", fmt.Errorf("%q is not a signal", stop.Signal)
	}
	return signal, nil
}

// A placing is a payload on its way to the host: whoever comes second waits for the first.
type placing struct {
	turn chan struct{} // held by the one who sends it
	here bool          // the host has it
}

func (m *machine) placing(user, hash string) *placing {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := user + "/" + hash
	if m.payloads[key] == nil {
		m.payloads[key] = &placing{turn: make(chan struct{}, 1)}
	}
	return m.payloads[key]
}

// start sends and starts p, in one request, unless the host knows a program of
// its ID: then found is true. The link is the one on which its end will be told.
func (m *machine) start(ctx context.Context, p *runners.Program) (l *link, found bool, err error) {
	fail := func(err error) error { return &runners.StartError{Program: title(p), Err: err} }
	if err := checkID(p.ID); err != nil {
		return nil, false, fail(err)
	}
	user := m.other(p.User)
	m.setUser(p.ID, user)
	if user != "" {
		if err := m.enlist(ctx, p.ID, user); err != nil {
			return nil, false, err
		}
	}
	send, placed, err := m.beginPlacing(ctx, user, p.Payload)
	if err != nil {
		return nil, false, err
	}
	defer func() { placed(err == nil) }()
	for {
		pieces, err := m.startPieces(p, user, send)
		if err != nil {
			return nil, false, fail(err)
		}
		ans, err := m.do(ctx, user, func() request { return request{pieces: pieces, once: true} })
		switch reason := printable(string(ans.data)); {
		case err != nil && hopeless(err):
			if user != "" {
				err = errors.Join(err, m.delist(ctx, p.ID, user))
			}
			return nil, false, fail(err)
		case err != nil:
			return nil, false, err
		case ans.is("found"), ans.is("started"):
			return ans.link, ans.is("found"), nil
		case ans.is("died"):
			return nil, false, fail(fmt.Errorf("the shell that was to start it on %s ended: is the host out of memory, or are there as many processes as user %s may have (ulimit -u)?",
				m.end, orElse(user, m.end.User)))
		case reason == "unpacked" && !send:
			send = true // somebody cleaned up there
		default:
			return nil, false, fail(errors.New(reason))
		}
	}
}

// beginPlacing waits while somebody else sends a payload to the host, and says whether its content is to be sent. end, which
// has to be called, lets the next one go on, and is told whether the host has it then.
func (m *machine) beginPlacing(ctx context.Context, user string, p *runners.Payload) (send bool, end func(here bool), err error) {
	if p == nil || !payloadHash.fits(p.Hash) { // startPieces refuses such a hash
		return false, func(bool) {}, nil
	}
	placing := m.placing(user, p.Hash)
	select {
	case placing.turn <- struct{}{}:
	case <-ctx.Done():
		return false, nil, context.Cause(ctx)
	}
	end = func(here bool) {
		placing.here = placing.here || here
		<-placing.turn
	}
	if send = !placing.here; send && size(p) > askFirst {
		if send, err = m.lacks(ctx, user, p.Hash); err != nil {
			end(false)
			return false, nil, err
		}
	}
	return send, end, nil
}

// title is what messages call a program.
func title(p *runners.Program) string {
	switch {
	case p.Payload != nil:
		return p.Payload.Entry
	case len(p.Argv) > 0:
		return p.Argv[0]
	}
	return p.ID.String()
}

// enlist records, where the user that logs in finds it, that the program is another user's.
func (m *machine) enlist(ctx context.Context, id runners.ID, user string) error {
	if !userName.fits(user) {
		return &runners.StartError{Program: id.String(), Err: fmt.Errorf("%q cannot be a user's name", user)}
	}
	ans, err := m.do(ctx, "", func() request { return ask("as", m.records(id.Service, ""), id.Name, user) })
	if err != nil {
		return err
	}
	if !ans.is("ok") {
		return &runners.StartError{Program: id.String(), Err: errors.New(printable(string(ans.data)))}
	}
	return nil
}

// delist takes that back where launch cannot become the user, who so has nothing there.
func (m *machine) delist(ctx context.Context, id runners.ID, user string) error {
	m.setUser(id, "")
	_, err := m.do(ctx, "", func() request { return ask("not_as", m.records(id.Service, ""), id.Name, user) })
	return err
}

// askFirst is the size from which on a payload is not sent on suspicion that the
// host lacks it: a question costs a round trip.
const askFirst = 64 << 10

func (m *machine) lacks(ctx context.Context, user, hash string) (bool, error) {
	ans, err := m.do(ctx, user, func() request { return ask("knows", m.payloadDir(user, hash)) })
	return !ans.is("yes"), err
}

func (m *machine) payloadDir(user, hash string) string {
	return path.Join(m.root(user), ".payloads", hash)
}

// startPieces is the request that starts p.
func (m *machine) startPieces(p *runners.Program, user string, send bool) ([]piece, error) {
	argv, head, via := words(p.Argv), "head", ""
	dir := m.workDir(p.ID.Service, user)
	folders := append([]string{dir, m.records(p.ID.Service, user)}, parents(dir, p.Files)...)
	env := ""
	b := builder{}
	b.line("begin", m.prefix(p.ID, user), p.ID.String())
	if p.Payload != nil {
		if !payloadHash.fits(p.Payload.Hash) {
			return nil, fmt.Errorf("%q is not a payload's hash", p.Payload.Hash)
		}
		if err := b.payload(p.Payload, m.payloadDir(user, p.Payload.Hash), folders, send); err != nil {
			return nil, err
		}
		env = `export LAUNCH_PROGRAM_DIR="$P"; `
		argv, head = slices.Concat(words(p.Payload.Interpreter), []string{`"$P"/` + quote(p.Payload.Entry)}, argv), ""
		if len(p.Payload.Interpreter) == 0 {
			var err error
			if via, err = interpreter(p.Payload); err != nil {
				return nil, err
			}
		}
	} else {
		if len(argv) == 0 || p.Argv[0] == "" {
			return nil, errors.New("it names no program")
		}
		b.line("need", folders...)
	}
	if err := b.files("", dir, p.Files); err != nil {
		return nil, err
	}
	if err := b.settings(p, dir, head, via); err != nil {
		return nil, err
	}
	if err := b.environment(env, p.Env); err != nil {
		return nil, err
	}
	b.add("go " + strings.Join(argv, " "))
	if b.nul {
		return nil, errors.New("an argument, a path or a value contains a NUL byte")
	}
	return b.pieces, nil
}

// A builder puts a request together.
type builder struct {
	pieces []piece
	nul    bool
}

// longLine is the length from which on a line is sent as data: a shell reads lines byte by byte.
const longLine = 8 << 10

func (b *builder) add(l string) {
	b.nul = b.nul || strings.ContainsRune(l, 0)
	if len(l) < longLine {
		b.pieces = append(b.pieces, piece{line: l})
		return
	}
	b.pieces = append(b.pieces, piece{line: fmt.Sprintf(`eval "$(take %d)"`, len(l)), data: []byte(l)})
}

func (b *builder) line(word string, args ...string) {
	b.add(line(append([]string{word}, args...)...))
}

// parents are the folders below dir that files are in.
func parents(dir string, files []runners.File) []string {
	folders := make(map[string]bool)
	for _, f := range files {
		if in := path.Dir(f.Path); in != "." {
			folders[dir+"/"+in] = true
		}
	}
	return slices.Sorted(maps.Keys(folders))
}

func words(argv []string) []string {
	quoted := make([]string, len(argv))
	for i, a := range argv {
		quoted[i] = quote(a)
	}
	return quoted
}

// files places files below dir; with kind "p" below the payload's folder, from where dir is ".".
func (b *builder) files(kind, dir string, files []runners.File) error {
	modes := make(map[uint32][]string)
	for _, f := range files {
		if !fs.ValidPath(f.Path) || f.Path == "." {
			return fmt.Errorf("%q is not the path of a file below a folder", f.Path)
		}
		name := dir + "/" + f.Path // never begins with a dash
		b.line(kind+"put", strconv.Itoa(len(f.Content)), name)
		b.pieces[len(b.pieces)-1].data = f.Content
		if mode := f.Mode & 0o777; mode != 0o600 {
			modes[mode] = append(modes[mode], name)
		}
	}
	for _, mode := range slices.Sorted(maps.Keys(modes)) {
		b.line(kind+"mode", append([]string{strconv.FormatUint(uint64(mode), 8)}, modes[mode]...)...)
	}
	return nil
}

// payload sends p, or says that it should be there; the other folders that the program needs are made on the way, by the
// process that makes the payload's.
func (b *builder) payload(p *runners.Payload, dir string, folders []string, send bool) error {
	if !send {
		b.line("packs", dir)
		b.line("need", folders...)
		return nil
	}
	b.line("pack", append([]string{dir}, folders...)...)
	if inner := parents(".", p.Files); len(inner) > 0 {
		b.line("pneed", inner...)
	}
	if err := b.files("p", ".", p.Files); err != nil {
		return err
	}
	b.line("packed", dir)
	return nil
}

// settings are the variables of what starts the program, whose work directory is dir.
func (b *builder) settings(p *runners.Program, dir, head, via string) error {
	signal, err := signalOf(p.Stop)
	if err != nil {
		return err
	}
	kind := "lasting"
	if p.Kind == runners.Check {
		kind = "check"
	}
	collect := ""
	if p.Collect != "" {
		collect = path.Join(dir, p.Collect)
	}
	if path.IsAbs(p.Dir) {
		dir = p.Dir
	} else {
		dir = path.Join(dir, p.Dir)
	}
	b.add(fmt.Sprintf("kind=%s dir=%s collect=%s timeout=%s signal=%s grace=%s stamp=%d head=%s via=%s",
		kind, quote(dir), quote(collect), inCenti(p.Timeout), signal, inCenti(p.Stop.Grace), time.Now().UnixMilli(), head, quote(via)))
	return nil
}

// environment defines what the program's process does last before it becomes the program.
func (b *builder) environment(first string, env map[string]string) error {
	var set strings.Builder
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !envName.MatchString(name) {
			return fmt.Errorf("%q cannot be the name of an environment variable", name)
		}
		set.WriteString(" " + name + "=" + quote(env[name]))
	}
	if set.Len() > 0 {
		first += "export" + set.String() + "; "
	}
	b.add("environment() { " + first + ":; }")
	return nil
}

func size(p *runners.Payload) int {
	n := 0
	for _, f := range p.Files {
		n += len(f.Content)
	}
	return n
}

// interpreter returns what the entry's #! line names; empty for a binary.
func interpreter(p *runners.Payload) (string, error) {
	at := slices.IndexFunc(p.Files, func(f runners.File) bool { return f.Path == p.Entry })
	if at < 0 {
		return "", fmt.Errorf("%s is not among the program's files", p.Entry)
	}
	content := p.Files[at].Content
	switch {
	case bytes.HasPrefix(content, []byte("#!")):
		first, _, _ := bytes.Cut(content[2:min(len(content), 256)], []byte("\n"))
		fields := strings.Fields(string(first))
		if len(fields) > 0 {
			return fields[0], nil
		}
	case bytes.HasPrefix(content, []byte("\x7fELF")):
		return "", nil
	}
	return "", fmt.Errorf("%s is neither a binary nor a script that begins with #! and an interpreter", p.Entry)
}
