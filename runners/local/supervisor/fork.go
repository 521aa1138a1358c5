package supervisor

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/local/wire"
)

// fork starts the program's process. The relay, if any, must be finished when that has ended.
func (s *supervisor) fork(p *program, c *client, r *wire.Request) (*relay, error) {
	input, err := s.openInput(r.Program.Input)
	if err != nil {
		return nil, err
	}
	if input != s.null {
		defer input.Close()
	}
	output, relay, err := s.openOutput(p, c, r)
	if err != nil {
		return nil, fmt.Errorf("open the file for its output: %w", err)
	}
	defer output.Close()
	attr := &syscall.ProcAttr{
		Dir:   r.Program.Dir,
		Env:   c.environment(r.Program),
		Files: []uintptr{input.Fd(), output.Fd(), output.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
	if as := r.Program.As; as != nil {
		attr.Sys.Credential = &syscall.Credential{Uid: as.UID, Gid: as.GID, Groups: as.Groups}
	}
	if p.begun.Kind == runners.Check {
		endWithSupervisor(attr.Sys)
	}
	argv := wire.Unpack(r.Program.Argv)
	for wait := firstBusy; ; wait *= 2 {
		p.started = time.Now()
		p.pid, err = s.reaper.fork(p, r.Program.Path, argv, attr)
		if !errors.Is(err, syscall.ETXTBSY) || wait > lastBusy {
			break
		}
		time.Sleep(wait)
	}
	if err != nil {
		relay.finish()
		return nil, &execError{err}
	}
	return relay, nil
}

// An execError is the system's refusal to start a program. Launch, which knows
// what the program was to be, puts it into words.
type execError struct{ error }

func (e *execError) Unwrap() error { return e.error }

// A program that launch has just written may be open in a process that launch is
// forking at the same time, and be "busy" until that executes its own program.
const firstBusy, lastBusy = time.Millisecond, 200 * time.Millisecond

// openInput is the program's standard input: nothing, or data without a name.
func (s *supervisor) openInput(data []byte) (*os.File, error) {
	if len(data) == 0 {
		return s.null, nil
	}
	file, err := os.CreateTemp(".", "input-*") // 0600, in our folder
	if err != nil {
		return nil, err
	}
	os.Remove(file.Name())
	if _, err = file.Write(data); err == nil {
		_, err = file.Seek(0, 0)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}
