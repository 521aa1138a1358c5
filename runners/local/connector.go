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
	"strconv"
	"strings"
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

	busy    chan struct{} // holds a token while somebody connects; guards what follows
	current *connection
	failed  time.Time // when nobody answered last
	failure error     // what was told then
	closed  bool
}

func newConnector(dir string, argv, environ []string, turn string) *connector {
	return &connector{dir: dir, argv: argv, environ: environ, turn: turn, busy: make(chan struct{}, 1)}
}

var errClosed = errors.New("the runner was closed")

// connect returns the living connection, or makes one. Those who come while that is
// tried in vain are told so with the first: a frozen supervisor must not cost each of them the whole patience.
func (c *connector) connect(ctx context.Context) (*connection, error) {
	asked := time.Now()
	if err := c.lock(ctx); err != nil {
		return nil, err
	}
	defer c.unlock()
	switch {
	case c.closed:
		return nil, errClosed
	case c.current != nil && c.current.alive():
		return c.current, nil
	case c.failed.After(asked):
		return nil, c.failure
	}
	patient, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	conn, err := c.find(patient)
	if err != nil {
		err = &runners.UnreachableError{Host: "the supervisor of this run", Err: err}
		if ctx.Err() == nil { // else it was given up for the one who asked
			c.failed, c.failure = time.Now(), err
		}
		return nil, err
	}
	c.use(conn)
	return conn, nil
}

// running returns the connection to a supervisor that is there and answers; it starts
// none. One that did not answer a moment ago is not asked again.
func (c *connector) running(ctx context.Context) *connection {
	if c.lock(ctx) != nil {
		return nil
	}
	defer c.unlock()
	switch {
	case c.closed:
		return nil
	case c.current != nil && c.current.alive():
		return c.current
	case time.Since(c.failed) < helloPatience:
		return nil
	}
	conn, err := c.dial(ctx, nil)
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
			c.failed, c.failure = time.Now(), &runners.UnreachableError{Host: "the supervisor of this run", Err: err}
		}
		return nil
	}
	c.use(conn)
	return conn
}

// use has conn in the place of the one before.
func (c *connector) use(conn *connection) {
	if c.current != nil {
		c.current.close()
	}
	c.current = conn
}

// lock waits until nobody else connects.
func (c *connector) lock(ctx context.Context) error {
	select {
	case c.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *connector) unlock() { <-c.busy }

// find connects to the supervisor and starts one where none answers, until ctx ends.
func (c *connector) find(ctx context.Context) (*connection, error) {
	pause := firstRetry
	for {
		conn, unanswered := c.dial(ctx, nil)
		if unanswered == nil {
			return conn, nil
		}
		if ctx.Err() != nil || errors.Is(unanswered, errOtherVersion) {
			return nil, c.unanswered(unanswered)
		}
		child, busy, err := c.spawn(ctx)
		if err != nil {
			return nil, err
		}
		if busy {
			child.Wait()
		} else if conn, unanswered = c.dial(ctx, child); unanswered == nil {
			return conn, nil
		} else {
			child.Release()
		}
		select {
		case <-ctx.Done():
			return nil, c.unanswered(unanswered)
		case <-time.After(pause):
			pause = min(2*pause, longestRetry)
		}
	}
}

func (c *connector) unanswered(err error) error {
	if errors.Is(err, errOtherVersion) {
		return err
	}
	return fmt.Errorf("it does not answer (its log is %s): %w", filepath.Join(c.dir, supervisor.Log), err)
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
	inheritNothing()
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

// inheritNothing has the supervisor, and so all programs, not inherit what launch has: the
// lock of a script, or a pipe whose other side waits for its end, would be held for as long as they run.
func inheritNothing() {
	open, err := os.ReadDir("/dev/fd")
	if err != nil {
		return
	}
	for _, entry := range open {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd) // ours are so already
		}
	}
}

// dial connects to the supervisor that listens, which is child where that is not nil.
func (c *connector) dial(ctx context.Context, child *os.Process) (*connection, error) {
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
	return newConnection(ctx, conn, child, wire.Hello{Version: wire.Version, Environ: wire.Pack(c.environ), Turn: c.turn})
}

// close says goodbye and waits until the supervisor has taken note: where it
// leaves, it has left.
func (c *connector) close() error {
	c.busy <- struct{}{}
	defer c.unlock()
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
