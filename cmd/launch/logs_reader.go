package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/state"
)

// followEvery is how often followed logs are looked at for more.
const followEvery = 200 * time.Millisecond

// A logReader shows what programs of services wrote: the files that launch keeps of their phases, with the ends of
// processes that have ended, and what their processes have on their hosts.
type logReader struct {
	eng      engine.Options
	run      state.Run
	given    map[string]plan.Given
	phase    string // "": all
	tail     int    // how many lines of each service, of those that are there; allLines
	services []string
	byDir    map[string]string // a service's name in those of files -> its address
	lines    *logLines
	shown    map[string]*shownFile // by path
	followed map[string]string     // the process of a service that is shown, or was
}

func newLogReader(eng engine.Options, run state.Run, given map[string]plan.Given, phase string, tail int, services []string, lines *logLines) *logReader {
	r := &logReader{
		eng: eng, run: run, given: given, phase: phase, tail: tail, services: services, lines: lines,
		byDir: map[string]string{}, shown: map[string]*shownFile{}, followed: map[string]string{},
	}
	for _, service := range services {
		r.byDir[runners.DirName(service)] = service
	}
	return r
}

// show shows what there is, one service after the other. Where more is to be followed, processes are left to that.
// Those that cannot be read keep nothing else from being shown.
func (r *logReader) show(ctx context.Context, follow bool) error {
	files, err := r.files()
	if err != nil {
		return err
	}
	var processes *engine.Processes
	if !follow && r.wantsProcesses() {
		if processes, err = engine.LookAtProcesses(ctx, r.eng, r.run, r.given); err != nil {
			return err
		}
		defer processes.Close()
	}
	var errs []error
	for _, service := range r.services {
		last := r.last()
		live := processes != nil && processes.Of(service) != ""
		titled := last == nil && (r.phase == "" && len(files[service]) > 1 || live && keepsProcess(files[service]))
		for _, f := range files[service] {
			if titled {
				r.lines.title(strings.TrimSuffix(filepath.Base(f.path), ".log"))
			}
			if err := r.more(service, f.path, last); err != nil {
				return err
			}
		}
		if !follow {
			errs = append(errs, r.flush())
		}
		if live {
			if titled {
				r.lines.title(runners.DirName(service) + "." + engine.ProcessLog + ", since its last start")
			}
			errs = append(errs, r.process(ctx, processes, service, false, last))
		}
		errs = append(errs, last.release(r.lines, service))
		if ctx.Err() != nil {
			return engine.ErrInterrupted
		}
	}
	return errors.Join(errs...)
}

// follow shows what is added, until nobody drives the run any more and the processes have ended, or the operator interrupts.
func (r *logReader) follow(ctx context.Context, stderr io.Writer) error {
	following := &followedProcesses{reader: r, stderr: stderr}
	defer following.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for last := false; ; {
		files, err := r.files()
		if err != nil {
			return err
		}
		for service, ofService := range files {
			for _, f := range ofService {
				if f.phase == engine.ProcessLog {
					continue // it was followed on its host
				}
				if err := r.more(service, f.path, nil); err != nil {
					return err
				}
			}
		}
		processes, began, err := r.newProcesses(ctx)
		if err != nil {
			return err
		}
		if len(began) > 0 {
			following.follow(ctx, processes, began)
		} else if last && following.left.Load() == 0 {
			break
		}
		locked, err := r.eng.DB.Locked(r.run.ID)
		if err != nil {
			return err
		}
		last = locked == nil // once more, for what was written before it let go
		select {
		case <-ctx.Done():
			return engine.ErrInterrupted
		case <-time.After(followEvery):
		}
	}
	following.Wait()
	return errors.Join(following.failed, r.flush())
}

// followedProcesses are read while more begin.
type followedProcesses struct {
	sync.WaitGroup
	reader *logReader
	stderr io.Writer
	left   atomic.Int32

	mu     sync.Mutex
	failed error // one that could not be read, told already; guarded by mu
}

// follow reads processes until they end.
func (f *followedProcesses) follow(ctx context.Context, processes *engine.Processes, services []string) {
	f.left.Add(int32(len(services)))
	f.Go(func() {
		defer processes.Close()
		var all sync.WaitGroup
		for _, service := range services {
			all.Go(func() {
				defer f.left.Add(-1)
				if err := f.reader.process(ctx, processes, service, true, f.reader.last()); err != nil && ctx.Err() == nil {
					f.mu.Lock()
					defer f.mu.Unlock()
					report(f.stderr, err) // now: the others may go on for ever
					f.failed = toldError{err}
				}
			})
		}
		all.Wait()
	})
}

// newProcesses looks for processes that are not followed yet.
func (r *logReader) newProcesses(ctx context.Context) (processes *engine.Processes, services []string, err error) {
	if !r.wantsProcesses() {
		return nil, nil, nil
	}
	isNew := false
	err = r.eng.DB.EachService(ctx, r.run.ID, func(row state.Service) error {
		if _, wanted := r.byDir[runners.DirName(row.Address)]; wanted && !isNew {
			name := engine.ProcessOf(row)
			isNew = name != "" && r.followed[row.Address] != name
		}
		return nil
	})
	if err != nil || !isNew {
		return nil, nil, err
	}
	if processes, err = engine.LookAtProcesses(ctx, r.eng, r.run, r.given); err != nil {
		return nil, nil, err
	}
	for _, service := range r.services {
		if name := processes.Of(service); name != "" && r.followed[service] != name {
			r.followed[service] = name
			services = append(services, service)
		}
	}
	if len(services) == 0 {
		return nil, nil, processes.Close()
	}
	return processes, services, nil
}

func (r *logReader) wantsProcesses() bool { return r.phase == "" || r.phase == engine.ProcessLog }

// process shows what a process wrote: of what is there last holds back all but the last lines. Followed, it is the only
// source of those, and they are shown before more is waited for.
func (r *logReader) process(ctx context.Context, processes *engine.Processes, service string, follow bool, last *lastLines) error {
	w := r.lines.of(service, last)
	if !follow {
		err := processes.Copy(ctx, service, false, w, func() {})
		return errors.Join(err, w.Flush())
	}
	var failed error
	release := func() { failed = errors.Join(failed, last.release(r.lines, service)) }
	err := processes.Copy(ctx, service, true, w, release)
	err = errors.Join(err, w.Flush())
	release()
	return errors.Join(err, failed)
}

// last holds back what is more of a service than was asked for; nil where all of it was.
func (r *logReader) last() *lastLines {
	if r.tail == allLines {
		return nil
	}
	return &lastLines{n: r.tail}
}

// more shows what was added to a file since it was shown.
func (r *logReader) more(service, path string, last *lastLines) error {
	f, err := os.Open(path)
	if err != nil {
		return nil // begun anew by another attempt
	}
	defer f.Close()
	shown := r.shown[path]
	if shown == nil {
		shown = &shownFile{w: r.lines.of(service, last)}
		r.shown[path] = shown
	}
	if _, err := f.Seek(shown.offset, io.SeekStart); err != nil {
		return err
	}
	n, err := io.Copy(shown.w, f)
	shown.offset += n
	return err
}

// flush shows the ends of files that are no whole lines.
func (r *logReader) flush() error {
	var errs []error
	for _, f := range r.shown {
		errs = append(errs, f.w.Flush())
	}
	return errors.Join(errs...)
}

// A shownFile is a log as far as it has been shown.
type shownFile struct {
	w      *logWriter
	offset int64
}

type logFile struct {
	path  string
	phase string
	at    time.Time
}

// files finds the logs of the services' phases, oldest first.
func (r *logReader) files() (map[string][]logFile, error) {
	dir := engine.LogDir(r.eng.Dir, r.run.ID)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	found := map[string][]logFile{}
	for _, e := range entries {
		service, phase, ok := r.parse(e.Name())
		if !ok || !strings.HasPrefix(phase, r.phase) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // removed meanwhile
		}
		found[service] = append(found[service], logFile{filepath.Join(dir, e.Name()), phase, info.ModTime()})
	}
	for _, files := range found {
		slices.SortFunc(files, func(a, b logFile) int { return a.at.Compare(b.at) })
	}
	return found, nil
}

// keepsProcess says whether what an ended process wrote is among the files.
func keepsProcess(files []logFile) bool {
	return slices.ContainsFunc(files, func(f logFile) bool { return f.phase == engine.ProcessLog })
}

// parse takes SERVICE.PHASE.log apart.
func (r *logReader) parse(name string) (service, phase string, ok bool) {
	name, ok = strings.CutSuffix(name, ".log")
	at := strings.LastIndexByte(name, '.')
	if !ok || at < 0 {
		return "", "", false
	}
	service, ok = r.byDir[name[:at]]
	return service, name[at+1:], ok
}
