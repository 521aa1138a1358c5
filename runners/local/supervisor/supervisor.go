// Package supervisor is the small process, one per run, that starts a run's
// programs on this machine, waits for them and writes down how they ended. It
// outlives launch, so that a program's exit status and timeout do too; it leaves
// when neither a program nor a launch process needs it.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/local/records"
)

// Files of a supervisor, in its folder.
const (
	Socket  = "socket"
	Records = "records"
	Log     = "log"
	lock    = "lock" // held as long as the supervisor lives
)

// What a supervisor says to the process that started it, on file descriptor ReadyFD.
const (
	Ready   = "ready"
	Busy    = "busy" // another one has the folder; anything else is an error in words
	ReadyFD = 3
)

const (
	// firstClient is how long a supervisor that nobody has talked to yet waits for its launch process.
	firstClient = 10 * time.Second
	// spareThreads are for what goes on beside the forks: answers, records, the end of programs.
	spareThreads = 12
	// tick is how often it looks at what no event tells: growing output, a deleted
	// socket, groups that emptied, records that a full disk refused.
	tick = time.Second
)

// A supervisor is what Main runs. Its mutex guards the fields below it.
type supervisor struct {
	dir     string
	log     *slog.Logger
	records *records.File
	null    *os.File
	over    chan struct{} // closed: the begin and done of all past programs
	nothing *life         // theirs
	forks   chan struct{} // a token for each program that may be between fork and exec
	reaper  *reaper
	census  census
	leave   context.CancelFunc
	work    sync.WaitGroup // every goroutine but Main's own

	mu       sync.Mutex
	listener *net.UnixListener
	programs map[runners.ID]*program // durable ones and processes, until they are forgotten
	services map[string][]*program   // the same, by service: removing one must not look at all
	clients  map[*client]struct{}
	active   map[*program]struct{} // all that have not ended, checks too
	checks   map[*program]struct{} // those of them that are checks: a few at any time
	left     map[*program]struct{} // ended, but of their group something may be there
	accepted int                   // clients so far
	turn     string                // the launch process that may start and end programs; see runners.Env
	turnOf   int                   // the client that said so
	lonely   bool                  // nobody has connected yet
	leaving  bool
	parted   []*client // that said goodbye when we were leaving
}

// Main supervises the programs of the run whose supervisor folder is dir, until
// none is left or ctx ends. The caller has made it the leader of a session of its own.
func Main(ctx context.Context, dir string) error {
	// Taken by nobody, for programs not to begin with it ignored, as launch does below nohup: it may be their stop signal.
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP)
	ready := os.NewFile(ReadyFD, "ready")
	said := false
	say := func(word string) {
		if !said {
			said = true
			io.WriteString(ready, word)
			ready.Close()
		}
	}
	err := run(ctx, dir, func() { say(Ready) })
	switch {
	case errors.Is(err, errBusy):
		say(Busy)
		return nil
	case err != nil:
		say(err.Error())
	}
	return err
}

var errBusy = errors.New("another supervisor has the folder")

func run(ctx context.Context, dir string, ready func()) error {
	if err := os.Chdir(dir); err != nil { // so that the socket's name is short
		return err
	}
	held, err := os.OpenFile(lock, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer held.Close()
	if err := unix.Flock(int(held.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return errBusy
	} else if err != nil {
		return fmt.Errorf("lock %s: %w", filepath.Join(dir, lock), err)
	}
	file, programs, err := records.Open(filepath.Join(dir, Records))
	if err != nil {
		return err
	}
	defer file.Close()

	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()

	idle, leave := context.WithCancel(ctx)
	defer leave()
	s := &supervisor{
		dir:      dir,
		log:      slog.New(slog.NewTextHandler(os.Stderr, nil)).With("pid", os.Getpid()),
		records:  file,
		null:     null,
		over:     make(chan struct{}),
		nothing:  &life{},
		forks:    make(chan struct{}, 2*runtime.NumCPU()),
		leave:    leave,
		programs: map[runners.ID]*program{},
		services: map[string][]*program{},
		active:   map[*program]struct{}{},
		checks:   map[*program]struct{}{},
		clients:  map[*client]struct{}{},
		left:     map[*program]struct{}{},
		lonely:   true,
	}
	close(s.over)
	keepThreads(cap(s.forks) + spareThreads)
	if s.reaper, err = newReaper(); err != nil {
		return err
	}
	s.adopt(programs)
	if s.listener, err = listen(); err != nil {
		return fmt.Errorf("open a socket in %s, whose file system may have none: %w", dir, err)
	}
	s.work.Go(func() { s.accept(idle, s.listener) })
	ready()

	s.watch(idle)
	s.stopListening()
	if ctx.Err() == nil {
		s.work.Wait() // else programs still run, and are left to the next supervisor
	}
	return nil
}

// listen opens the socket under its name in one step: whoever finds it can connect.
func listen() (*net.UnixListener, error) {
	fresh := fmt.Sprintf("%s.%d", Socket, os.Getpid())
	os.Remove(fresh)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	if err = os.Chmod(fresh, 0o600); err == nil {
		err = os.Rename(fresh, Socket)
	}
	if err != nil {
		listener.Close()
		return nil, err
	}
	return listener, nil
}

// watch does what no event asks for, until it is time to leave.
func (s *supervisor) watch(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	began := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		s.trimOutputs()
		s.mu.Lock()
		if time.Since(began) > firstClient {
			s.lonely = false
		}
		s.mu.Unlock()
		s.forgetGone()
		s.records.Pay()
		s.restoreSocket(ctx)
		s.leaveIfIdle()
	}
}

// leaveIfIdle ends the supervisor where neither a program nor a client needs it, and tells whether it ends.
func (s *supervisor) leaveIfIdle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaving {
		return true
	}
	if s.lonely || len(s.active) > 0 || len(s.left) > 0 || len(s.clients) > 0 || !s.records.Pay() {
		return false
	}
	s.leaving = true
	s.leave()
	return true
}

func (s *supervisor) stopListening() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = true
	os.Remove(Socket)
	s.listener.Close()
	for c := range s.clients {
		c.conn.Close()
	}
}

// restoreSocket opens the socket again where somebody deleted its file.
func (s *supervisor) restoreSocket(ctx context.Context) {
	if _, err := os.Lstat(Socket); !errors.Is(err, os.ErrNotExist) {
		return
	}
	listener, err := listen()
	if err != nil {
		s.log.Error("open the socket again", "err", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener.Close()
	s.listener = listener
	s.work.Go(func() { s.accept(ctx, listener) })
}

// save writes r, now or later.
func (s *supervisor) save(r records.Record) {
	if err := s.records.Owe(r); err != nil {
		s.log.Error("record what happened", "program", r.ID(), "what", r.What, "err", err)
	}
}
