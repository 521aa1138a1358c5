package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/launchplan/launch/harness/deploy"
	"github.com/launchplan/launch/internal/proc"
)

// Marks in the environment of everything that a harness starts, by which it is
// found again whatever the state files say.
const (
	StateMark  = "EPU_HARNESS_STATE"  // the state directory
	NodeMark   = "EPU_HARNESS_NODE"   // the node, for its agents, their minders and processes
	DaemonMark = "EPU_HARNESS_DAEMON" // the daemon, for itself alone: it does not hand it on
	readyFD    = "EPU_READY_FD"
)

// notice is what a daemon says to whoever started it, once.
type notice struct {
	Ready bool   `json:"ready"`
	URL   string `json:"url,omitempty"`
	Error string `json:"error,omitempty"`
}

// Tell says to whoever started this daemon that it answers (at a URL, for a broker),
// or why it does not. A daemon that was started by hand tells nobody.
func Tell(url string, failure error) {
	fd, err := strconv.Atoi(os.Getenv(readyFD))
	if err != nil || fd < 3 {
		return
	}
	os.Unsetenv(readyFD)
	n := notice{Ready: failure == nil, URL: url}
	if failure != nil {
		n.Error = failure.Error()
	}
	f := os.NewFile(uintptr(fd), "ready")
	defer f.Close()
	json.NewEncoder(f).Encode(n) // the starter may be gone
}

// A spawned daemon has been started and not yet told that it answers.
type spawned struct {
	Daemon
	notice *os.File
	log    string
	logEnd int64
}

// spawn starts a daemon in a session of its own, its output appended to its log.
func (h *Harness) spawn(r *Record, d Daemon) (*spawned, error) {
	program := h.Program
	if program == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		program = self
	}
	logPath := h.LogPath(d.Name)
	if err := os.MkdirAll(filepath.Dir(logPath), 0o700); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	end, _ := log.Seek(0, io.SeekEnd)
	ready, tell, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer tell.Close()
	cmd := exec.Command(program, h.args(r, d)...)
	cmd.Dir = h.Dir
	cmd.Env = append(os.Environ(), StateMark+"="+h.Dir, DaemonMark+"="+d.Name, readyFD+"=3")
	if d.Node != "" {
		cmd.Env = append(cmd.Env, NodeMark+"="+d.Node)
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{tell}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		ready.Close()
		return nil, fmt.Errorf("start %v: %w", d, err)
	}
	go cmd.Wait() // only to take its status should it end while this command runs
	d.Proc = proc.Identify(cmd.Process.Pid)
	if err := h.save(d); err != nil {
		ready.Close()
		d.Proc.Signal(syscall.SIGKILL)
		return nil, fmt.Errorf("record %v: %w", d, err)
	}
	return &spawned{Daemon: d, notice: ready, log: logPath, logEnd: end}, nil
}

// errNotYet is a daemon that was still starting when nobody waited for it any more.
var errNotYet = errors.New("does not answer yet")

// answers waits until the daemon says that it answers.
func (s *spawned) answers(ctx context.Context) (url string, err error) {
	defer s.notice.Close()
	stop := context.AfterFunc(ctx, func() { s.notice.Close() })
	defer stop()
	data, err := io.ReadAll(io.LimitReader(s.notice, 64<<10))
	var n notice
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("%v %w; its log is %s", s.Daemon, errNotYet, s.log)
	case err == nil && json.Unmarshal(data, &n) == nil && n.Ready:
		return n.URL, nil
	case n.Error != "":
		return "", fmt.Errorf("%v: %s", s.Daemon, n.Error)
	}
	return "", fmt.Errorf("%v ended at once%s (its log is %s)", s.Daemon, s.lastWords(), s.log)
}

// lastWords is the end of what the daemon has written to its log.
func (s *spawned) lastWords() string {
	data, err := os.ReadFile(s.log)
	if err != nil || int64(len(data)) <= s.logEnd {
		return ""
	}
	said := bytes.TrimSpace(data[s.logEnd:])
	if i := bytes.LastIndexByte(said, '\n'); i >= 0 {
		said = said[i+1:]
	}
	return ": " + string(said[:min(len(said), 300)])
}

// args are the command line of a daemon. Nothing in it is secret.
func (h *Harness) args(r *Record, d Daemon) []string {
	if d.Kind == "broker" {
		return []string{"broker", "--listen", r.Listen, "--store", h.storePath(), "--credentials", r.Credentials}
	}
	args := []string{d.Kind, "--name", d.Name, "--url", r.URL}
	if r.Credentials != "" {
		args = append(args, "--credentials", r.Credentials)
	}
	if b := r.Deployment.Broker; b != nil {
		for flag, value := range map[string]string{"--tls-ca": b.CA, "--tls-cert": b.Cert, "--tls-key": b.Key} {
			if value != "" {
				args = append(args, flag, value)
			}
		}
	}
	if d.Kind == "dispatcher" {
		return append(args, dispatcherArgs(r.Deployment, d.Name)...)
	}
	return append(args, h.agentArgs(r.Deployment, d)...)
}

func dispatcherArgs(dep *deploy.Deployment, name string) []string {
	var args []string
	for _, d := range dep.Dispatchers {
		if d.Name != name {
			continue
		}
		if d.MinStartInterval > 0 {
			args = append(args, "--min-start-interval", d.MinStartInterval.Std().String())
		}
		if d.Replicas > 0 {
			args = append(args, "--replicas", strconv.Itoa(d.Replicas))
		}
	}
	return args
}

func (h *Harness) agentArgs(dep *deploy.Deployment, d Daemon) []string {
	args := []string{"--node", d.Node, "--dir", h.agentPath(d.Name)}
	for _, n := range dep.Nodes {
		for _, a := range n.Agents {
			if a.Name != d.Name {
				continue
			}
			args = append(args, "--engine", a.Engine)
			if a.Slots > 0 {
				args = append(args, "--slots", strconv.Itoa(a.Slots))
			}
			for _, k := range slices.Sorted(maps.Keys(a.Properties)) {
				args = append(args, "--property", k+"="+a.Properties[k])
			}
		}
	}
	return args
}

// errorsOf joins errors of daemons, one line each.
func errorsOf(errs []error) error {
	var lines []string
	for _, err := range errs {
		if err != nil {
			lines = append(lines, err.Error())
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return errors.New(strings.Join(lines, "; "))
}
