package engine

import (
	"context"
	"io"
	"maps"
	"time"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
)

// Files of launch's own in a work directory.
const (
	attributesFile = ".launch-attributes.json"
	exportsFile    = ".launch-exports." // and the boot attempt's name, so that a retry does not read the last one's
)

// program turns what a plan says into what a host runs, with the environment that every program finds.
func (s *Session) program(svc *service, phase, name string, kind runners.Kind, p *plan.Program, out io.Writer) *runners.Program {
	dir := runners.DirName(svc.address())
	work := svc.host.WorkDir(dir, p.User)
	env := maps.Clone(p.Env)
	if env == nil {
		env = map[string]string{}
	}
	env["LAUNCH_RUN"] = s.run.Name
	env["LAUNCH_LEVEL"] = svc.spec.Level.Name
	env["LAUNCH_SERVICE"] = svc.spec.Name
	env["LAUNCH_INDEX"] = svc.spec.Index
	env["LAUNCH_PHASE"] = phase
	env["LAUNCH_ATTRIBUTES"] = work + "/" + attributesFile
	rp := &runners.Program{
		ID:      runners.ID{Service: dir, Name: name},
		Kind:    kind,
		Argv:    p.Argv,
		Env:     env,
		Dir:     p.Dir,
		User:    p.User,
		Timeout: p.Timeout,
		Stop:    runners.Stop{Signal: plan.StopSignal, Grace: plan.StopTimeout},
		Output:  out,
	}
	if p.Payload != nil {
		rp.Payload = &runners.Payload{
			Hash: p.Payload.Hash, Entry: p.Payload.Entry, Interpreter: p.Payload.Interpreter,
			Files: hostFiles(p.Payload.Files),
		}
	}
	return rp
}

func hostFiles(files []plan.File) []runners.File {
	if len(files) == 0 {
		return nil
	}
	out := make([]runners.File, len(files))
	for i, f := range files {
		out[i] = runners.File{Path: f.Path, Mode: f.Mode, Content: f.Content}
	}
	return out
}

// pause waits, or returns false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
