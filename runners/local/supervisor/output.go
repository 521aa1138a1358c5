package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/local/wire"
)

// OutputFile is the file, relative to a supervisor's folder, that takes the
// output of a program: it lies in the service's work directory.
func OutputFile(id runners.ID) string {
	return filepath.Join("..", "work", id.Service, ".launch-"+id.Name+".out")
}

// openOutput opens what takes the program's output: a file, or for a check a pipe,
// whose content goes to the client through the relay. A durable program has none.
func (s *supervisor) openOutput(p *program, c *client, r *wire.Request) (*os.File, *relay, error) {
	if p.begun.Kind != runners.Check {
		file, err := os.OpenFile(OutputFile(p.id), os.O_WRONLY|os.O_CREATE|os.O_APPEND|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600)
		return file, nil, err
	}
	from, to, err := openPipe()
	if err != nil {
		return nil, nil, os.NewSyscallError("pipe", err)
	}
	return os.NewFile(uintptr(to), "output"), &relay{client: c, seq: r.Seq, fd: from}, nil
}

// openPipe makes a pipe that no program inherits by accident. Reading from it does not block, writing does.
func openPipe() (from, to int, err error) {
	fds, err := closingPipe()
	if err != nil {
		return -1, -1, err
	}
	if err := syscall.SetNonblock(fds[0], true); err != nil {
		syscall.Close(fds[0])
		syscall.Close(fds[1])
		return -1, -1, err
	}
	return fds[0], fds[1], nil
}

// A relay sends what a check writes to the client, up to runners.MaxOutput.
type relay struct {
	client *client
	seq    uint64
	fd     int      // of the pipe, which does not block
	pipe   *os.File // the same once run reads it
	done   chan struct{}
	sent   int
	small  [512]byte // enough for the output of most checks
}

// chunk is what is read from a pipe at once: what a pipe holds.
const chunk = 64 << 10

// begin relays what comes from now on at once. Most checks end before that, with their output in the pipe.
func (r *relay) begin() {
	r.pipe = os.NewFile(uintptr(r.fd), "output")
	r.done = make(chan struct{})
	go r.run() // finish waits for it
}

func (r *relay) run() {
	defer close(r.done)
	buf := r.small[:]
	conn, err := r.pipe.SyscallConn()
	if err != nil {
		return
	}
	for {
		var n int
		err := conn.Read(func(fd uintptr) bool {
			n, err = syscall.Read(int(fd), buf)
			return err != syscall.EAGAIN
		})
		if err != nil || n <= 0 {
			return
		}
		r.send(buf[:n])
		if n == len(buf) && n < chunk { // there is more
			buf = make([]byte, chunk)
		}
	}
}

// finish relays what is in the pipe when the check has ended. The check may have left
// processes that hold it open: those are not waited for. A nil relay has nothing to do.
func (r *relay) finish() {
	if r == nil {
		return
	}
	if r.pipe == nil {
		defer syscall.Close(r.fd)
	} else {
		defer r.pipe.Close()
		r.pipe.SetReadDeadline(time.Unix(1, 0)) // for run to end
		<-r.done
	}
	r.drain()
}

// drain reads what is in the pipe.
func (r *relay) drain() {
	buf := r.small[:]
	for range 16 { // not for ever: a daemon may be writing
		n, err := syscall.Read(r.fd, buf)
		if err != nil || n <= 0 {
			return
		}
		r.send(buf[:n])
		if len(buf) < chunk {
			buf = make([]byte, chunk)
		}
	}
}

func (r *relay) send(data []byte) {
	if r.sent >= runners.MaxOutput {
		return
	}
	r.client.writer.Send(wire.Reply{Seq: r.seq, Output: data})
	if r.sent += len(data); r.sent >= runners.MaxOutput {
		note := fmt.Sprintf("\n[launch: what the program wrote after %d MiB was left out]\n", runners.MaxOutput>>20)
		r.client.writer.Send(wire.Reply{Seq: r.seq, Output: []byte(note)})
	}
}

// Output beyond runners.MaxOutput loses its middle: these parts of it are kept.
const (
	KeepHead = runners.MaxOutput / 2
	KeepTail = runners.MaxOutput - KeepHead
)

// trimOutputs gives back the disk space of what running programs wrote too much.
func (s *supervisor) trimOutputs() {
	s.mu.Lock()
	var files []string
	for _, set := range []map[*program]struct{}{s.active, s.left} {
		for p := range set {
			if p.begun.Kind != runners.Check {
				files = append(files, OutputFile(p.id))
			}
		}
	}
	s.mu.Unlock()
	for _, name := range files {
		info, err := os.Lstat(name)
		if err != nil || !info.Mode().IsRegular() || info.Size() <= runners.MaxOutput {
			continue
		}
		if err := punch(name, KeepHead, info.Size()-KeepTail); err != nil {
			s.log.Error("give back the disk space of output", "file", name, "err", err)
		}
	}
}
