package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/local/wire"
)

// errDead is what is told to those who waited for an answer of a supervisor that died.
var errDead = errors.New("the supervisor of this run was killed")

// errOtherVersion is told at once: it does not pass.
var errOtherVersion = errors.New("it was started by another version of launch")

// A connection asks the supervisor and takes its answers.
type connection struct {
	conn   *net.UnixConn
	writer *wire.Writer
	known  int         // programs that the supervisor knew when we came
	pid    int         // of the supervisor
	child  *os.Process // the supervisor, where we started it
	ended  chan struct{}

	mu    sync.Mutex
	seq   uint64
	calls map[uint64]*call
	dead  bool
}

// A call is a question under way.
type call struct {
	conn    *connection
	seq     uint64
	replies chan wire.Reply // closed where the supervisor died
	mu      sync.Mutex
	output  io.Writer // of a check; nil: not wanted, or no longer
}

// helloPatience bounds the greeting: a supervisor that is leaving does not answer.
const helloPatience = 10 * time.Second

func newConnection(ctx context.Context, conn *net.UnixConn, child *os.Process, hello wire.Hello) (*connection, error) {
	c := &connection{
		conn:   conn,
		writer: wire.NewWriter(conn),
		child:  child,
		ended:  make(chan struct{}),
		calls:  map[uint64]*call{},
	}
	conn.SetDeadline(time.Now().Add(helloPatience))
	giveUp := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	reader := wire.NewReader(conn)
	var theirs wire.Hello
	err := c.writer.Send(hello)
	if err == nil {
		err = reader.Read(&theirs)
	}
	if err == nil && theirs.Version != wire.Version {
		err = fmt.Errorf("%w (it speaks version %d, this is %d): go on with that one, or terminate the run with it", errOtherVersion, theirs.Version, wire.Version)
	}
	if !giveUp() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	c.known, c.pid = theirs.Known, theirs.PID
	go c.read(reader) // until the connection ends; close waits for that
	return c, nil
}

func (c *connection) read(reader *wire.Reader) {
	defer close(c.ended)
	for {
		var reply wire.Reply
		if err := reader.Read(&reply); err != nil {
			break
		}
		c.mu.Lock()
		call := c.calls[reply.Seq]
		c.mu.Unlock()
		switch {
		case call == nil: // no longer wanted
		case reply.Output != nil:
			call.write(reply.Output)
		default:
			select {
			case call.replies <- reply:
			default: // more than a call can have
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
	for _, call := range c.calls {
		close(call.replies)
	}
	clear(c.calls)
}

func (c *connection) alive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.dead
}

// ask sends a request. The caller takes the answers, and ends the call.
func (c *connection) ask(r wire.Request, output io.Writer) (*call, error) {
	c.mu.Lock()
	if c.dead {
		c.mu.Unlock()
		return nil, errDead
	}
	c.seq++
	r.Seq = c.seq
	call := &call{conn: c, seq: r.Seq, replies: make(chan wire.Reply, 4), output: output}
	c.calls[r.Seq] = call
	c.mu.Unlock()
	if err := c.writer.Send(r); err != nil {
		call.end()
		c.conn.Close() // so that nobody waits for the answer of half a request
		<-c.ended
		return nil, errDead
	}
	return call, nil
}

// next returns the call's next answer.
func (c *call) next(ctx context.Context) (wire.Reply, error) {
	select {
	case reply, ok := <-c.replies:
		if !ok {
			return wire.Reply{}, errDead
		}
		return reply, nil
	case <-ctx.Done():
		return wire.Reply{}, context.Cause(ctx)
	}
}

// end takes no more answers: after it, nothing is written to the call's output.
func (c *call) end() {
	c.conn.mu.Lock()
	delete(c.conn.calls, c.seq)
	c.conn.mu.Unlock()
	c.mu.Lock()
	c.output = nil
	c.mu.Unlock()
}

// drop ends the call and tells the supervisor that it did.
func (c *call) drop() {
	c.end()
	c.conn.writer.Send(wire.Request{Seq: c.seq, Op: wire.Drop})
}

func (c *call) write(data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.output != nil {
		c.output.Write(data)
	}
}

// once asks a question that has one answer.
func (c *connection) once(ctx context.Context, r wire.Request) (wire.Reply, error) {
	call, err := c.ask(r, nil)
	if err != nil {
		return wire.Reply{}, err
	}
	defer call.end()
	return call.next(ctx)
}

// look tells how a program stands.
func (c *connection) look(ctx context.Context, id runners.ID) (runners.State, error) {
	reply, err := c.once(ctx, wire.Request{Op: wire.Look, ID: id})
	switch {
	case err != nil:
		return runners.State{}, err
	case reply.State == nil:
		return runners.State{}, errors.New(reply.Err)
	}
	return *reply.State, nil
}

// bye ends the connection. A supervisor that nothing keeps is gone when bye returns.
func (c *connection) bye() {
	ctx, cancel := context.WithTimeout(context.Background(), helloPatience)
	defer cancel()
	_, err := c.once(ctx, wire.Request{Op: wire.Bye}) // it answers only where it stays
	leaves := errors.Is(err, errDead)
	c.conn.Close()
	<-c.ended
	for pause := firstRetry; leaves && c.child != nil && pause < helloPatience; pause *= 2 {
		if pid, _ := syscall.Wait4(c.child.Pid, nil, syscall.WNOHANG, nil); pid != 0 {
			break // its connection ends a moment before it does
		}
		time.Sleep(pause)
	}
	c.release()
}

// close lets go, and returns when nobody reads any more.
func (c *connection) close() {
	c.conn.Close()
	<-c.ended
	if c.child != nil {
		syscall.Wait4(c.child.Pid, nil, syscall.WNOHANG, nil) // a supervisor that was killed
	}
	c.release()
}

// release lets the system have the supervisor that we started, where it goes on.
func (c *connection) release() {
	if c.child != nil {
		c.child.Release()
		c.child = nil
	}
}
