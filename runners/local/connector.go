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
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/local/supervisor"
	"github.com/launchplan/launch/runners/local/wire"
)

const (
	// connectPatience is how long a supervisor may take to answer: it reads its
	// records first, and one that is leaving has to be gone before the next can come.
	connectPatience = 20 * time.Second
	// Between attempts, while another supervisor comes or goes.
	firstRetry, longestRetry = time.Millisecond, 50 * time.Millisecond
)

// A connector gives the connection to the run's supervisor, which it starts where there is none.
type connector struct {
	dir     string
	argv    []string
	environ []string
	turn    string // see runners.Env

	mu      sync.Mutex
	current *connection
	closed  bool
}

func newConnector(dir string, argv, environ []string, turn string) *connector {
	return &connector{dir: dir, argv: argv, environ: environ, turn: turn}
}

var errClosed = errors.New("the runner was closed")

// connect returns the living connection, or makes one.
func (c *connector) connect(ctx context.Context) (*connection, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	if c.current != nil {
		if c.current.alive() {
			return c.current, nil
		}
		c.current.close()
		c.current = nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	conn, err := c.find(ctx)
	if err != nil {
		return nil, &runners.UnreachableError{Host: "the supervisor of this run", Err: err}
	}
	c.current = conn
	return conn, nil
}

// running returns the connection to a supervisor that is there; it starts none.
func (c *connector) running() *connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	if c.current == nil || !c.current.alive() {
		conn, err := c.dial(nil)
		if err != nil {
			return nil
		}
		if c.current != nil {
			c.current.close()
		}
		c.current = conn
	}
	return c.current
}

// find connects to the supervisor and starts one where none answers, until ctx ends.
func (c *connector) find(ctx context.Context) (*connection, error) {
	pause := firstRetry
	for {
		conn, unanswered := c.dial(nil)
		if unanswered == nil {
			return conn, nil
		}
		child, busy, err := c.spawn(ctx)
		if err != nil {
			return nil, err
		}
		if busy {
			child.Wait()
		} else if conn, unanswered = c.dial(child); unanswered == nil {
			return conn, nil
		} else {
			child.Release()
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("it does not answer (its log is %s): %w", filepath.Join(c.dir, supervisor.Log), unanswered)
		case <-time.After(pause):
			pause = min(2*pause, longestRetry)
		}
	}
}

// spawn starts a supervisor in a session of its own and returns when it can be
// connected to, or says that there is another.
func (c *connector) spawn(ctx context.Context) (child *os.Process, busy bool, err error) {
	if err := os.Mkdir(c.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, false, err
	}
	ready, said, err := os.Pipe()
	if err != nil {
		return nil, false, err
	}
	defer ready.Close()
	defer said.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, false, err
	}
	defer null.Close()
	log, err := os.OpenFile(filepath.Join(c.dir, supervisor.Log), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, false, err
	}
	defer log.Close()
	child, err = os.StartProcess(c.argv[0], append(c.argv[:len(c.argv):len(c.argv)], c.dir), &os.ProcAttr{
		Dir:   c.dir,
		Env:   c.environ,
		Files: []*os.File{null, null, log, said},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, false, fmt.Errorf("start the supervisor: %w", err)
	}
	said.Close()
	stop := context.AfterFunc(ctx, func() { ready.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	word, err := io.ReadAll(io.LimitReader(ready, 4<<10))
	switch {
	case string(word) == supervisor.Ready:
		return child, false, nil
	case string(word) == supervisor.Busy:
		return child, true, nil
	case err == nil && len(word) > 0:
		err = errors.New(string(word))
	case err == nil:
		err = fmt.Errorf("it ended before it was ready; its log is %s", filepath.Join(c.dir, supervisor.Log))
	}
	child.Kill()
	child.Wait()
	return nil, false, err
}

// dial connects to the supervisor that listens, which is child where that is not nil.
func (c *connector) dial(child *os.Process) (*connection, error) {
	path, done, err := shortPath(c.dir, supervisor.Socket)
	if err != nil {
		return nil, err
	}
	defer done()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := supervisor.PeerIsUs(conn); err != nil {
		conn.Close()
		return nil, err
	}
	return newConnection(conn, child, wire.Hello{Version: wire.Version, Environ: wire.Pack(c.environ), Turn: c.turn})
}

// close says goodbye and waits until the supervisor has taken note: where it
// leaves, it has left.
func (c *connector) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.current != nil {
		c.current.bye()
		c.current = nil
	}
	return nil
}

// withoutVariables drops LAUNCH_VAR_name: those are for launch, and may be secret.
func withoutVariables(environ []string) []string {
	kept := make([]string, 0, len(environ))
	for _, v := range environ {
		if !strings.HasPrefix(v, "LAUNCH_VAR_") && !strings.ContainsRune(v, 0) {
			kept = append(kept, v)
		}
	}
	return kept
}
