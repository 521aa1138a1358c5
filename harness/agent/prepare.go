package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/launchplan/launch/harness/broker"
	"github.com/launchplan/launch/harness/minder"
	"github.com/launchplan/launch/harness/wire"
)

// Directories in an agent's directory.
const (
	processesDir = "processes"
	filesDir     = "files"
)

// fetchTimeout bounds the fetching of one file of a definition.
const fetchTimeout = 2 * time.Minute

type preparation struct {
	target wire.Target
	start  *minder.Start
	logAt  int64 // where its output begins, behind that of earlier rounds
	err    error
}

// prepareNext prepares queued processes, some at a time, beside the agent's loop.
func (a *Agent) prepareNext(ctx context.Context, work *sync.WaitGroup) {
	for len(a.queue) > 0 && a.busy < preparingAtOnce {
		next := a.queue[0]
		a.queue = a.queue[1:]
		a.busy++
		work.Go(func() {
			p := preparation{target: next.Target}
			if p.start, p.err = a.prepare(ctx, next); p.err == nil {
				if info, err := os.Stat(p.start.Log); err == nil {
					p.logAt = info.Size()
				}
			}
			select {
			case a.prepared <- p:
			case <-ctx.Done():
			}
		})
	}
}

func (a *Agent) finishPreparation(ctx context.Context, p preparation) error {
	a.changed = a.changed || p.err != nil
	actions := a.table.Prepared(p.target, p.err)
	if len(actions) > 0 { // else it was terminated meanwhile, and nobody would forget its start
		a.starts[p.target] = p
	}
	return a.act(ctx, actions)
}

// prepare places what a process needs in its directory. It reads only what does not
// change while the agent runs.
func (a *Agent) prepare(ctx context.Context, as *wire.Assignment) (*minder.Start, error) {
	dir := filepath.Join(a.Dir, processesDir, as.ID)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make its directory: %w", err)
	}
	config := filepath.Join(dir, wire.ConfigFile)
	content := as.Config
	if len(content) == 0 {
		content = []byte("{}")
	}
	if err := os.WriteFile(config, content, 0o600); err != nil {
		return nil, fmt.Errorf("write its configuration: %w", err)
	}
	for _, f := range as.Files {
		if err := a.files.place(ctx, f, dir); err != nil {
			return nil, err
		}
	}
	env := make([]string, 0, len(as.Env)+8)
	for k, v := range as.Env {
		env = append(env, k+"="+v)
	}
	env = append(env,
		"PROCESS_CONFIG="+config, "EPU_UPID="+as.ID, "EPU_DEFINITION="+as.Definition,
		"EPU_AGENT="+a.Name, "EPU_NODE="+a.Node, "EPU_ENGINE="+a.Engine, "EPU_SLOT_DIR="+dir)
	work := dir
	if as.Dir != "" {
		work = as.Dir
	}
	return &minder.Start{Target: as.Target, Argv: as.Argv, Env: env, Dir: work, Log: filepath.Join(dir, wire.LogFile)}, nil
}

// errBadFile is a file that is not what its definition says; fetching it again
// brings the same.
var errBadFile = errors.New("it is not the file that the definition names")

func isPermanent(err error) bool { return errors.Is(err, errBadFile) }

// files are the files of definitions that the agent has fetched, by their hash.
type files struct {
	dir  string
	conn *nats.Conn

	mu      sync.Mutex // one fetch at a time: several processes want the same files
	buckets *broker.Buckets
}

// place copies a file, which it fetches where the agent has not got it, into a
// process's directory.
func (f *files) place(ctx context.Context, file wire.File, dir string) error {
	cached, err := f.fetch(ctx, file)
	if err != nil {
		return fmt.Errorf("fetch file %s: %w", file.Path, err)
	}
	mode := fs.FileMode(0o600)
	if file.Executable {
		mode = 0o700
	}
	root, err := os.OpenRoot(dir) // the process itself may have left links in it
	if err != nil {
		return err
	}
	defer root.Close()
	if parent := filepath.Dir(file.Path); parent != "." {
		if err := root.MkdirAll(parent, 0o700); err != nil {
			return fmt.Errorf("place file %s: %w", file.Path, err)
		}
	}
	if err := copyInto(root, file.Path, cached, mode); err != nil {
		return fmt.Errorf("place file %s: %w", file.Path, err)
	}
	return nil
}

// copyInto replaces the file as a whole: a program may still be running from the old one.
func copyInto(root *os.Root, path, from string, mode fs.FileMode) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	next := path + ".next"
	if err := root.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	target, err := root.OpenFile(next, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	if err = errors.Join(err, target.Close()); err != nil {
		return err
	}
	return root.Rename(next, path)
}

// fetch returns the agent's copy of a file; its content has the hash that it is named by.
func (f *files) fetch(ctx context.Context, file wire.File) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path := filepath.Join(f.dir, file.SHA256)
	if hash, err := hashFile(path); err == nil && hash == file.SHA256 {
		return path, nil
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	if f.buckets == nil {
		b, err := broker.Open(ctx, f.conn)
		if err != nil {
			return "", err
		}
		f.buckets = b
	}
	object, err := f.buckets.Files.Get(ctx, file.SHA256)
	if err != nil {
		return "", err
	}
	defer object.Close()
	next, err := os.CreateTemp(f.dir, ".fetch-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(next.Name())
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(next, sum), io.LimitReader(object, file.Size+1))
	if err = errors.Join(err, next.Close()); err != nil {
		return "", err
	}
	if n != file.Size || hex.EncodeToString(sum.Sum(nil)) != file.SHA256 {
		return "", errBadFile
	}
	return path, os.Rename(next.Name(), path)
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// keptDirs is of how many ended processes the directories stay, for their output.
const keptDirs = 1000

// endedDirs are the directories of processes that have ended, oldest first.
type endedDirs struct {
	root string
	ids  []string
}

// load finds what earlier incarnations left.
func (e *endedDirs) load(root string, live func(id string) bool) {
	e.root = root
	entries, err := os.ReadDir(root)
	if err != nil {
		return // made a moment ago; the next incarnation may have better luck
	}
	type dir struct {
		id  string
		mod time.Time
	}
	var dirs []dir
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && !live(entry.Name()) {
			dirs = append(dirs, dir{entry.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(dirs, func(a, b dir) int { return a.mod.Compare(b.mod) })
	for _, d := range dirs {
		e.add(d.id, live)
	}
}

func (e *endedDirs) add(id string, live func(id string) bool) {
	// Once each: one that dies time and again must not push out the others.
	e.ids = append(slices.DeleteFunc(e.ids, func(known string) bool { return known == id }), id)
	if len(e.ids) <= keptDirs {
		return
	}
	oldest := e.ids[0]
	e.ids = e.ids[1:]
	if !live(oldest) {
		os.RemoveAll(filepath.Join(e.root, oldest))
	}
}
