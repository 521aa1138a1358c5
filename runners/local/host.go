package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/local/records"
	"github.com/launchplan/launch/runners/local/supervisor"
	"github.com/launchplan/launch/runners/local/wire"
)

// A host is this machine.
type host struct {
	runner *runner
}

// Facts tells the address at which services of this machine find each other.
func (h *host) Facts() runners.Facts {
	return runners.Facts{Address: "127.0.0.1", PrivateAddress: "127.0.0.1"}
}

// WorkDir lies in the run's folder, or where user can reach it.
func (h *host) WorkDir(service, user string) string {
	return filepath.Join(h.workRoot(user), runners.DirName(service))
}

func (h *host) outputFile(id runners.ID) string {
	return filepath.Join(h.runner.supervisor.dir, supervisor.OutputFile(id))
}

// neverStarted tells that this run has no program, and needs no supervisor to say so.
func (h *host) neverStarted() bool {
	_, err := os.Lstat(filepath.Join(h.runner.supervisor.dir, supervisor.Records))
	return errors.Is(err, fs.ErrNotExist)
}

// Look tells how the program stands. It needs no supervisor: the records say as
// much of a run that has none.
func (h *host) Look(ctx context.Context, id runners.ID) (runners.State, error) {
	if conn := h.runner.supervisor.running(ctx); conn != nil {
		if state, err := conn.look(ctx, id); !errors.Is(err, errDead) {
			return state, err
		}
	}
	return h.runner.ledger.standing(filepath.Join(h.runner.supervisor.dir, supervisor.Records), id)
}

// A ledger is what the records say, read again only when they have changed:
// a status looks at every service of a run.
type ledger struct {
	mu       sync.Mutex
	read     os.FileInfo // nil: not yet
	programs map[runners.ID]*records.Program
}

// standing tells from the records at path how the program stands.
func (l *ledger) standing(path string, id runners.ID) (runners.State, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return runners.State{Phase: runners.NotStarted}, nil
	}
	if err != nil {
		return runners.State{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.read == nil || !os.SameFile(l.read, info) || l.read.Size() != info.Size() || l.read.ModTime() != info.ModTime() {
		all, err := records.Load(path)
		if err != nil {
			return runners.State{}, err
		}
		l.read, l.programs = info, make(map[runners.ID]*records.Program, len(all))
		for _, p := range all {
			l.programs[p.ID] = p
		}
	}
	p := l.programs[id]
	if p == nil {
		return runners.State{Phase: runners.NotStarted}, nil
	}
	state, _ := supervisor.Standing(p)
	return state, nil
}

// Output returns a part of what the program wrote.
func (h *host) Output(_ context.Context, id runners.ID, offset int64, max int) ([]byte, error) {
	file, err := openOutput(h.outputFile(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the output of %s: %w", id, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the output of %s: %w", id, err)
	}
	if offset < 0 {
		if offset += info.Size(); offset < 0 {
			offset = 0
		}
	}
	if offset >= info.Size() || max <= 0 {
		return nil, nil
	}
	end := info.Size()
	if end > runners.MaxOutput {
		tail := end - supervisor.KeepTail
		switch {
		case offset < supervisor.KeepHead:
			end = supervisor.KeepHead
		case offset < tail:
			return nil, &runners.LeftOutError{Next: tail}
		}
	}
	data := make([]byte, min(int64(max), end-offset))
	n, err := file.ReadAt(data, offset)
	if err == io.EOF {
		err = nil
	}
	if offset >= supervisor.KeepHead { // it may have grown and been trimmed since
		if next, serr := unix.Seek(int(file.Fd()), offset, unix.SEEK_DATA); serr == nil && next > offset {
			return nil, &runners.LeftOutError{Next: next}
		}
	}
	return data[:n], err
}

// Discard removes the file with the program's output. Daemons of the program may still write to it, unseen.
func (h *host) Discard(_ context.Context, id runners.ID) error {
	if err := os.Remove(h.outputFile(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// ReadFile returns a file of the service's work directory.
func (h *host) ReadFile(ctx context.Context, service, user, name string, max int) ([]byte, error) {
	data, err := h.files(user).read(ctx, h.WorkDir(service, user), name, max)
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", name, service, err)
	}
	return data, nil
}

// collect reads what the program left for launch.
func (h *host) collect(ctx context.Context, p *runners.Program) (data []byte, problem string) {
	if p.Collect == "" {
		return nil, ""
	}
	dir := filepath.Join(h.workRoot(p.User), p.ID.Service)
	data, err := h.files(p.User).read(context.WithoutCancel(ctx), dir, p.Collect, runners.MaxCollect)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ""
	case err != nil:
		return nil, err.Error()
	}
	return data, ""
}

// Dial connects from here.
func (h *host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, network, address)
}

// Reboot is never done to the machine that launch runs on.
func (h *host) Reboot(context.Context) error {
	return fmt.Errorf("reboot this machine: %w", errors.ErrUnsupported)
}

// Close lets go of nothing: the connection is the runner's.
func (h *host) Close() error { return nil }

// Remove ends the service's programs and removes what they have here.
func (h *host) Remove(ctx context.Context, service string) error {
	name := ""
	if service != "" {
		name = runners.DirName(service)
	}
	if !h.neverStarted() {
		_, err := retry(func() (struct{}, error) {
			return struct{}{}, h.ask(ctx, wire.Request{Op: wire.Remove, ID: runners.ID{Service: name}})
		})
		if err != nil {
			return fmt.Errorf("end the programs of %s: %w", orTheRun(service), err)
		}
	}
	h.runner.forget(name)
	return h.removeFiles(ctx, name)
}

func orTheRun(service string) string {
	if service == "" {
		return "the run"
	}
	return service
}

// forget drops what is known of the service's programs, or of all.
func (r *runner) forget(service string) {
	r.mine.Range(func(key, _ any) bool {
		if service == "" || key.(runners.ID).Service == service {
			r.mine.Delete(key)
		}
		return true
	})
}
