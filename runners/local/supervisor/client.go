package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/local/records"
	"github.com/launchplan/launch/runners/local/wire"
)

// A client is a launch process that is connected.
type client struct {
	conn    *net.UnixConn
	number  int    // clients are numbered as they come
	turn    string // of its launch process; see runners.Env
	writer  *wire.Writer
	environ []string
	names   map[string]int  // where in environ each variable is
	gone    context.Context // ends with the connection

	mu    sync.Mutex
	drops map[uint64]context.CancelFunc // of the requests that are followed
}

// accept serves clients until the listener is closed.
func (s *supervisor) accept(ctx context.Context, listener *net.UnixListener) {
	for {
		conn, err := listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.log.Error("accept a client", "err", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(tick): // out of file descriptors, the next attempt fails as soon
			}
			continue
		}
		s.mu.Lock()
		s.accepted++
		number := s.accepted
		s.mu.Unlock()
		s.work.Go(func() { s.serve(ctx, conn, number) })
	}
}

// helloPatience is how long a client may take to say who it is.
const helloPatience = 5 * time.Second

// serve answers one client until it goes.
func (s *supervisor) serve(ctx context.Context, conn *net.UnixConn, number int) {
	gone, leave := context.WithCancel(ctx)
	defer leave()
	c := &client{conn: conn, number: number, writer: wire.NewWriter(conn), gone: gone, drops: map[uint64]context.CancelFunc{}}
	reader := wire.NewReader(conn)
	if !s.welcome(c, reader) {
		conn.Close()
		return
	}
	var bye uint64
	for {
		r := &wire.Request{}
		if err := reader.Read(r); err != nil {
			break
		}
		if r.Op == wire.Bye {
			bye = r.Seq
			break
		}
		s.handle(c, r)
	}
	leave()
	s.mu.Lock()
	delete(s.clients, c)
	s.mu.Unlock()
	if bye != 0 && s.leaveIfIdle() {
		s.keepOpen(c)
		return
	}
	if bye != 0 {
		c.done(bye, nil)
		conn.SetWriteDeadline(time.Now().Add(helloPatience))
		c.writer.Flush() // an answer that another goroutine is to write must not be lost: the client would take us for gone, and wait for that
	}
	conn.Close()
	s.leaveIfIdle()
}

// welcome hears who a client is and takes it in, unless it is not one of ours or we are about to leave.
func (s *supervisor) welcome(c *client, reader *wire.Reader) bool {
	if err := PeerIsUs(c.conn); err != nil {
		s.log.Error("refuse a client", "err", err)
		return false
	}
	var hello wire.Hello
	c.conn.SetReadDeadline(time.Now().Add(helloPatience))
	if err := reader.Read(&hello); err != nil || hello.Version != wire.Version {
		s.log.Error("refuse a client", "version", hello.Version, "err", err)
		c.writer.Send(wire.Hello{Version: wire.Version})
		return false
	}
	c.conn.SetReadDeadline(time.Time{})
	c.turn = hello.Turn
	c.inherit(wire.Unpack(hello.Environ))
	s.mu.Lock()
	if s.leaving {
		s.mu.Unlock()
		return false
	}
	s.lonely = false
	s.clients[c] = struct{}{}
	if c.turn != "" && c.number > s.turnOf {
		s.turn, s.turnOf = c.turn, c.number
	}
	known := len(s.programs)
	s.mu.Unlock()
	c.writer.Send(wire.Hello{Version: wire.Version, Known: known, PID: os.Getpid()})
	return true
}

// keepOpen leaves it to the end of our process to close the connection: that
// tells the client that we are gone.
func (s *supervisor) keepOpen(c *client) {
	s.mu.Lock()
	s.parted = append(s.parted, c)
	s.mu.Unlock()
}

// handle begins the answer to a request.
func (s *supervisor) handle(c *client, r *wire.Request) {
	if r.Op != wire.Drop && r.Op != wire.Remove && !validID(r.ID) {
		c.writer.Send(wire.Reply{Seq: r.Seq, Err: fmt.Sprintf("%q cannot name a program", r.ID)})
		return
	}
	switch r.Op {
	case wire.Start:
		if r.Program == nil || strings.ContainsRune(r.Program.Path, 0) {
			c.writer.Send(wire.Reply{Seq: r.Seq, Err: "a start without a program"})
			return
		}
		if p := s.start(c, r); p != nil {
			s.follow(c, r.Seq, p)
		} else {
			c.writer.Send(wire.Reply{Seq: r.Seq, Err: superseded})
		}
	case wire.Follow:
		if p := s.find(r.ID); p != nil {
			s.follow(c, r.Seq, p)
		} else {
			c.writer.Send(wire.Reply{Seq: r.Seq, Err: NotKnown})
		}
	case wire.Drop:
		c.mu.Lock()
		if drop := c.drops[r.Seq]; drop != nil {
			drop()
		}
		c.mu.Unlock()
	case wire.Look:
		state := runners.State{Phase: runners.NotStarted}
		if p := s.find(r.ID); p != nil {
			state = p.state()
		}
		c.writer.Send(wire.Reply{Seq: r.Seq, State: &state})
	case wire.Stop:
		s.work.Go(func() { c.done(r.Seq, s.inTurn(c, func() error { return s.stop(s.find(r.ID), r.Stop) })) })
	case wire.Remove:
		s.work.Go(func() { c.done(r.Seq, s.inTurn(c, func() error { return s.remove(r.ID.Service) })) })
	default:
		c.writer.Send(wire.Reply{Seq: r.Seq, Err: fmt.Sprintf("a request %q that this supervisor does not know", r.Op)})
	}
}

// superseded is the answer to a launch process that is dead, since a later one works on the run.
const superseded = "another launch process works on this run"

// isSuperseded says that what is still to be read from c must not be done. mu is held.
func (s *supervisor) isSuperseded(c *client) bool {
	return c.turn != "" && c.turn != s.turn && c.number < s.turnOf
}

// inTurn does what c wants, unless it is superseded.
func (s *supervisor) inTurn(c *client, do func() error) error {
	s.mu.Lock()
	late := s.isSuperseded(c)
	s.mu.Unlock()
	if late {
		return errors.New(superseded)
	}
	return do()
}

// NotKnown is the answer to a Follow of a program that was never started.
const NotKnown = "not known"

// validID keeps names from leaving the folders that they are names in.
func validID(id runners.ID) bool {
	for _, name := range []string{id.Service, id.Name} {
		if name == "" || name[0] == '.' || len(name) > 200 || strings.ContainsAny(name, "/\x00") {
			return false
		}
	}
	return true
}

func (s *supervisor) find(id runners.ID) *program {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.programs[id]; ok {
		return p
	}
	for p := range s.checks {
		if p.id == id {
			return p
		}
	}
	return nil
}

func (c *client) done(seq uint64, err error) {
	r := wire.Reply{Seq: seq, Done: true}
	if err != nil {
		r.Err = err.Error()
	}
	c.writer.Send(r)
}

// follow tells the client that the program goes on, and how it ended. A check
// ends with the client's interest in it.
func (s *supervisor) follow(c *client, seq uint64, p *program) {
	interest, drop := context.WithCancel(c.gone)
	c.mu.Lock()
	c.drops[seq] = drop
	c.mu.Unlock()
	s.work.Go(func() {
		defer func() {
			drop()
			c.mu.Lock()
			delete(c.drops, seq)
			c.mu.Unlock()
		}()
		select {
		case <-p.begin:
		case <-interest.Done():
		}
		if p.goesOn(interest) {
			c.writer.Send(wire.Reply{Seq: seq, Started: &wire.Started{PID: p.pid, Since: p.started}})
		}
		select {
		case <-p.done:
		case <-interest.Done():
			if p.begun.Kind == runners.Check {
				s.stop(p, nil)
			}
			return
		}
		c.writer.Send(endOf(seq, p))
	})
}

// tellAfter is how long a program runs before its start is told, which costs launch and us a message and some changes of
// context: most programs end before that, and their end tells as much.
const tellAfter = 5 * time.Millisecond

// goesOn tells whether the start of a program is to be told: at once where it is all that is waited for.
func (p *program) goesOn(interest context.Context) bool {
	if interest.Err() != nil || p.startErr != nil {
		return false
	}
	if p.begun.Kind == runners.Process {
		return true
	}
	moment := time.NewTimer(tellAfter)
	defer moment.Stop()
	select {
	case <-p.done:
		return false
	case <-interest.Done():
		return false
	case <-moment.C:
		return true
	}
}

func endOf(seq uint64, p *program) wire.Reply {
	reply := wire.Reply{Seq: seq}
	switch {
	case errors.Is(p.startErr, errNotBegun):
		reply.Ended = &runners.Result{Outcome: runners.Stopped}
	case p.startErr != nil:
		reply.Err = p.startErr.Error()
		if exec, ok := errors.AsType[*execError](p.startErr); ok {
			if errno, ok := exec.error.(syscall.Errno); ok {
				reply.Errno = int(errno)
			}
		}
	default:
		reply.Ended = p.result
	}
	return reply
}

// stop ends the program, or what it left of its group, and returns when that is
// gone. Without stop, it is done in the program's own way.
func (s *supervisor) stop(p *program, stop *runners.Stop) error {
	if p == nil {
		return nil
	}
	if stop == nil {
		stop = &p.begun.Stop
	}
	p.wish(ending{runners.Stopped, *stop})
	<-p.done
	if p.startErr != nil {
		return nil
	}
	if err := s.endGroup(p, *stop); err != nil {
		return err
	}
	s.forgetEmpty(p, s.census.take)
	return nil
}

// remove ends and forgets the programs of a service, or all.
func (s *supervisor) remove(service string) error {
	s.mu.Lock()
	all := slices.Clone(s.services[service])
	if service == "" {
		all = slices.Collect(maps.Values(s.programs))
	}
	for p := range s.checks {
		if service == "" || p.id.Service == service {
			all = append(all, p)
		}
	}
	s.mu.Unlock()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, p := range all {
		wg.Go(func() { errs[i] = s.stop(p, nil) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := s.records.Append(records.Record{What: records.Removed, Service: service}); err != nil {
		return fmt.Errorf("record that the programs are forgotten: %w", err)
	}
	s.mu.Lock()
	for _, p := range all {
		if past := s.programs[p.id]; past != nil { // which took the place of p
			s.forget(past)
		}
	}
	s.mu.Unlock()
	return nil
}

// environment is what a program is started with.
func (c *client) environment(p *wire.Program) []string {
	own := wire.Unpack(p.Env)
	if p.Marker != "" {
		own = append(own, p.Marker)
	}
	if p.Bare {
		return own
	}
	env := make([]string, len(c.environ), len(c.environ)+len(own))
	copy(env, c.environ)
	for _, v := range own {
		name, _, _ := strings.Cut(v, "=")
		if i, inherited := c.names[name]; inherited {
			env[i] = v
		} else {
			env = append(env, v)
		}
	}
	return env
}

// inherit keeps what programs inherit, with the place of each name. Of a name that is there twice the last one counts.
func (c *client) inherit(environ []string) {
	c.names = make(map[string]int, len(environ))
	for _, v := range environ {
		name, _, _ := strings.Cut(v, "=")
		if i, twice := c.names[name]; twice {
			c.environ[i] = v
			continue
		}
		c.names[name] = len(c.environ)
		c.environ = append(c.environ, v)
	}
}
