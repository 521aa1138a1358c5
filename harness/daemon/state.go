// Package daemon runs a harness on this machine: broker, dispatchers and agents as
// daemons whose whereabouts are kept in a state directory.
package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/launchplan/launch/harness/broker"
	"github.com/launchplan/launch/harness/deploy"
	"github.com/launchplan/launch/harness/flock"
	"github.com/launchplan/launch/harness/minder"
	"github.com/launchplan/launch/internal/proc"
)

// A Harness is what runs, or ran, in one state directory.
type Harness struct {
	Dir     string // absolute, without symbolic links: processes are marked with it
	Program string // epuharness; empty: the running program
}

// Record is what the state directory says of the deployment.
type Record struct {
	URL         string             `json:"url"` // carries no credentials
	Credentials string             `json:"credentials"`
	Listen      string             `json:"listen"` // of the embedded broker, kept when it is started again
	Deployment  *deploy.Deployment `json:"deployment"`
	Announced   bool               `json:"announced"` // the dispatchers were told of all of it
}

// A Daemon is one of the harness's programs.
type Daemon struct {
	Kind string        `json:"kind"` // broker, dispatcher or agent
	Name string        `json:"name"`
	Node string        `json:"node,omitempty"`
	Proc proc.Identity `json:"proc"`
}

func (d Daemon) String() string {
	if d.Kind == "broker" {
		return "the broker"
	}
	return d.Kind + " " + d.Name
}

// Open returns the harness of a state directory, which need not exist.
func Open(dir string) (*Harness, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	return &Harness{Dir: dir}, nil
}

func (h *Harness) recordPath() string           { return filepath.Join(h.Dir, "harness.json") }
func (h *Harness) credentialsPath() string      { return filepath.Join(h.Dir, "credentials.json") }
func (h *Harness) storePath() string            { return filepath.Join(h.Dir, "broker") }
func (h *Harness) daemonsPath() string          { return filepath.Join(h.Dir, "daemons") }
func (h *Harness) agentPath(a string) string    { return filepath.Join(h.Dir, "agents", a) }
func (h *Harness) LogPath(daemon string) string { return filepath.Join(h.Dir, "logs", daemon+".log") }

// ErrNone says that the state directory knows no harness.
var ErrNone = errors.New("no harness")

// Record reads what the state directory says of the deployment.
func (h *Harness) Record() (*Record, error) {
	data, err := os.ReadFile(h.recordPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w runs in %s; start one with: epuharness start", ErrNone, h.Dir)
	}
	if err != nil {
		return nil, err
	}
	var r Record
	if err := json.Unmarshal(data, &r); err != nil || r.Deployment == nil {
		return nil, fmt.Errorf("the record %s is damaged; end what is left of the harness with: epuharness kill", h.recordPath())
	}
	return &r, nil
}

func (h *Harness) saveRecord(r *Record) error { return writeJSON(h.recordPath(), r) }

// Address is how clients of this harness reach its broker.
func (r *Record) Address(name string) broker.Address {
	a := broker.Address{URL: r.URL, Credentials: r.Credentials, Name: name}
	if b := r.Deployment.Broker; b != nil {
		a.TLS = broker.TLS{CA: b.CA, Cert: b.Cert, Key: b.Key}
	}
	return a
}

// daemons are those of the deployment, in the order in which they start.
func (r *Record) daemons() []Daemon {
	var list []Daemon
	if r.Deployment.Broker == nil {
		list = append(list, Daemon{Kind: "broker", Name: "broker"})
	}
	for _, d := range r.Deployment.Dispatchers {
		list = append(list, Daemon{Kind: "dispatcher", Name: d.Name})
	}
	for _, n := range r.Deployment.Nodes {
		for _, a := range n.Agents {
			list = append(list, Daemon{Kind: "agent", Name: a.Name, Node: n.Name})
		}
	}
	return list
}

// find returns the daemons that a name means: one, or all of a node.
func (r *Record) find(name string) []Daemon {
	var list []Daemon
	for _, d := range r.daemons() {
		if d.Name == name || d.Node == name {
			list = append(list, d)
		}
	}
	return list
}

func (r *Record) isNode(name string) bool {
	for _, n := range r.Deployment.Nodes {
		if n.Name == name {
			return true
		}
	}
	return false
}

func (h *Harness) daemonPath(name string) string { return filepath.Join(h.daemonsPath(), name+".json") }

func (h *Harness) save(d Daemon) error { return writeJSON(h.daemonPath(d.Name), d) }

// saved returns the daemon with its process; the identity is empty where there is none.
func (h *Harness) saved(d Daemon) Daemon {
	d.Proc = h.load(d.Name).Proc
	return d
}

// load returns a daemon as it was recorded. Where that is lost, a living one is found by
// its marks: it must not be taken for dead, and started twice.
func (h *Harness) load(name string) Daemon {
	var d Daemon
	data, err := os.ReadFile(h.daemonPath(name))
	if err == nil && json.Unmarshal(data, &d) == nil && d.Proc.PID != 0 {
		return d
	}
	d = Daemon{Kind: "daemon", Name: name}
	for found := range proc.WithVariables(StateMark+"="+h.Dir, DaemonMark+"="+name) {
		d.Proc = found.Identity()
		break
	}
	return d
}

// alive returns the daemons on record that live.
func (h *Harness) alive() []Daemon {
	entries, err := os.ReadDir(h.daemonsPath())
	if err != nil {
		return nil
	}
	var list []Daemon
	for _, e := range entries {
		name, isRecord := strings.CutSuffix(e.Name(), ".json")
		if !isRecord {
			continue
		}
		if d := h.load(name); d.Proc.Alive() {
			list = append(list, d)
		}
	}
	return list
}

// frozen are those programs of a daemon that a signal has stopped: itself, and an agent's minder.
func (h *Harness) frozen(d Daemon) []proc.Identity {
	programs := []proc.Identity{d.Proc}
	if id, ok := minder.Identity(h.agentPath(d.Name)); ok && d.Kind == "agent" {
		programs = append(programs, id)
	}
	return slices.DeleteFunc(programs, func(id proc.Identity) bool { return !id.Frozen() })
}

// lockWait is how long a command waits for another to be done with the harness.
const lockWait = 5 * time.Second

// lock keeps two commands from changing one harness at once.
func (h *Harness) lock() (unlock func(), err error) {
	if err := os.MkdirAll(h.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	if real, err := filepath.EvalSymlinks(h.Dir); err == nil {
		h.Dir = real
	}
	f, err := flock.Take(context.Background(), filepath.Join(h.Dir, "lock"), lockWait)
	if errors.Is(err, flock.ErrHeld) {
		return nil, fmt.Errorf("another epuharness command works on %s: %w", h.Dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("lock the state directory: %w", err)
	}
	return func() { f.Close() }, nil
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	next := path + ".next"
	if err := os.WriteFile(next, append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}
