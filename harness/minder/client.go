package minder

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/launchplan/launch/harness/wire"
)

// helloTimeout is how long a minder may take to say what it has.
const helloTimeout = 10 * time.Second

// Client is the agent's connection to its minder.
type Client struct {
	Events <-chan Process // what changed; closed when the connection is lost

	conn net.Conn
	mu   sync.Mutex // guards enc: commands come from several goroutines
	enc  *json.Encoder
	done chan struct{}
	read sync.WaitGroup
}

// connectAttempts is how often a connection is tried: a minder that has nothing left may
// end just when it is connected to. It listens no more before it hangs up, so the second
// attempt reaches the next one; the third is for one that somebody ends meanwhile, or that
// takes longer to end than the next one waits.
const connectAttempts = 3

// Connect connects to the minder of the agent with this directory. Where none runs,
// it starts one by running argv with the directory as its last argument. The list
// has all processes that the minder knows.
func Connect(ctx context.Context, dir string, argv []string) (c *Client, all []Process, err error) {
	for range connectAttempts {
		var conn net.Conn
		if conn, err = dial(ctx, dir); err != nil {
			// One that runs already begins to listen just now, or ends: the next look shows which.
			if err := launch(ctx, dir, argv); err != nil && !errors.Is(err, ErrRuns) {
				return nil, nil, err
			}
			if conn, err = dial(ctx, dir); err != nil {
				err = fmt.Errorf("connect to the minder: %w", err)
				continue
			}
		}
		if c, all, err = greet(ctx, conn); err == nil || ctx.Err() != nil {
			return c, all, err
		}
	}
	return nil, nil, err
}

// greet waits for what the minder says first.
func greet(ctx context.Context, conn net.Conn) (*Client, []Process, error) {
	dec := json.NewDecoder(bufio.NewReaderSize(conn, 64<<10))
	var first event
	deadline := time.Now().Add(helloTimeout)
	if end, bounded := ctx.Deadline(); bounded && end.Before(deadline) {
		deadline = end
	}
	conn.SetReadDeadline(deadline)
	if err := dec.Decode(&first); err != nil || !first.First {
		conn.Close()
		return nil, nil, errors.Join(errors.New("the minder does not answer"), err)
	}
	conn.SetReadDeadline(time.Time{})
	events := make(chan Process, 256)
	c := &Client{Events: events, conn: conn, enc: json.NewEncoder(conn), done: make(chan struct{})}
	c.read.Go(func() {
		defer close(events)
		for {
			var e event
			if dec.Decode(&e) != nil {
				return
			}
			if e.Process == nil {
				continue
			}
			select {
			case events <- *e.Process:
			case <-c.done:
				return
			}
		}
	})
	return c, first.All, nil
}

// launch starts a minder and waits until it listens. It outlives this process.
func launch(ctx context.Context, dir string, argv []string) error {
	log, err := os.OpenFile(filepath.Join(dir, "minder.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	ready, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	cmd := exec.Command(argv[0], append(argv[1:len(argv):len(argv)], dir)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{tell}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	tell.Close()
	if err != nil {
		return fmt.Errorf("start the minder: %w", err)
	}
	go cmd.Wait() // only to take its status when it ends before this process
	stop := context.AfterFunc(ctx, func() { ready.Close() })
	defer stop()
	said, err := io.ReadAll(ready)
	answer := strings.TrimSpace(string(said))
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("hear from the minder: %w", err)
	case answer == ErrRuns.Error():
		return ErrRuns
	case answer != "ready":
		return fmt.Errorf("the minder did not start: %s", cmp.Or(answer, lastLine(log.Name()), "it ended without a word"))
	}
	return nil
}

// lastLine is what a minder that could say nothing else wrote last.
func lastLine(log string) string {
	data, err := os.ReadFile(log)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return lines[len(lines)-1]
}

// Serve is the minder's main: it minds the processes of dir and tells whoever
// started it, through the pipe, when it does.
func Serve(ctx context.Context, dir string, tell *os.File) error {
	say := func(what string) {
		io.WriteString(tell, what+"\n")
		tell.Close()
	}
	err := Run(ctx, dir, func() { say("ready") })
	if err != nil {
		say(err.Error())
	}
	return err
}

// Start runs a process; what comes of it is an event.
func (c *Client) Start(s *Start) error { return c.send(command{Start: s}) }

// Stop ends a process; its end is an event.
func (c *Client) Stop(s *Stop) error { return c.send(command{Stop: s}) }

// Forget drops what the minder knows of an ended process.
func (c *Client) Forget(t wire.Target) error { return c.send(command{Forget: &t}) }

func (c *Client) send(cmd command) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.enc.Encode(cmd)
}

// Close hangs up; the minder goes on as long as it has processes.
func (c *Client) Close() {
	close(c.done)
	c.conn.Close()
	c.read.Wait()
}
