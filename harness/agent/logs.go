package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/launchplan/launch/harness/wire"
)

const (
	logPiece      = 256 << 10 // of output in one answer
	longestWait   = 20 * time.Second
	followers     = 256                  // answers that may be held back at a time
	logLookFirst  = 2 * time.Millisecond // for new output; a process that was just started writes soon
	logLookEvery  = 100 * time.Millisecond
	maxLog        = 64 << 20 // a larger log is cut
	keptLogOnTrim = 16 << 20
	trimEvery     = 2 * time.Second // with a heartbeat; no event tells of a file's size
)

// logServer hands out the output of the agent's processes.
type logServer struct {
	dir  string
	live *liveSet
}

// liveSet is what the log server may know of the table, which is the agent's loop's: the
// processes that live, and where the output of their present rounds begins.
type liveSet struct {
	mu     sync.Mutex
	begins map[string]int64
}

func (l *liveSet) set(t *Table, starts map[wire.Target]preparation) {
	begins := make(map[string]int64, len(t.entries))
	for target, e := range t.entries {
		if !e.report.State.Resting() {
			begins[target.ID] = max(begins[target.ID], starts[target].logAt)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begins = begins
}

func (l *liveSet) has(id string) (begin int64, live bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	begin, live = l.begins[id]
	return begin, live
}

// serve answers until ctx ends.
func (s *logServer) serve(ctx context.Context, requests <-chan *nats.Msg) {
	var work sync.WaitGroup
	defer work.Wait()
	room := make(chan struct{}, followers)
	for {
		select {
		case <-ctx.Done():
			return
		case msg := <-requests:
			var req wire.LogsRequest
			if err := wire.Decode(msg.Data, &req); err != nil {
				respond(msg, wire.Logs{Error: &wire.Error{Code: wire.CodeInvalid, Message: err.Error()}})
				continue
			}
			select {
			case room <- struct{}{}:
			default:
				respond(msg, wire.Logs{Error: &wire.Error{Code: wire.CodeNotReady, Message: "the agent serves too many logs at once"}})
				continue
			}
			work.Go(func() {
				defer func() { <-room }()
				respond(msg, s.answer(ctx, req))
			})
		}
	}
}

func respond(msg *nats.Msg, logs wire.Logs) {
	if data, err := json.Marshal(logs); err == nil {
		msg.Respond(data) // a client that gets no answer asks again
	}
}

// answer returns the next piece of output, or, when there is none and the process
// lives, waits for some.
func (s *logServer) answer(ctx context.Context, req wire.LogsRequest) wire.Logs {
	if err := wire.CheckID(req.ID); err != nil {
		return wire.Logs{Error: &wire.Error{Code: wire.CodeInvalid, Message: err.Error()}}
	}
	deadline := time.After(min(req.Wait.Std(), longestWait))
	for pause := logLookFirst; ; pause = min(2*pause, logLookEvery) {
		begin, live := s.live.has(req.ID) // before reading: what is not there then never comes
		logs, err := s.read(req, begin)
		logs.Live = live
		if errors.Is(err, fs.ErrNotExist) && !live {
			return wire.Logs{Error: &wire.Error{Code: wire.CodeUnknown, Message: fmt.Sprintf("the agent has no output of process %s (any more)", req.ID)}}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return wire.Logs{Error: &wire.Error{Code: wire.CodeConflict, Message: err.Error()}}
		}
		if len(logs.Data) > 0 || !live || req.Wait <= 0 {
			return logs
		}
		select {
		case <-ctx.Done():
			return logs
		case <-deadline:
			return logs
		case <-time.After(pause):
		}
	}
}

func (s *logServer) read(req wire.LogsRequest, begin int64) (wire.Logs, error) {
	none := wire.Logs{Data: []byte{}, Offset: max(req.Offset, 0), End: true}
	f, err := os.Open(filepath.Join(s.dir, req.ID, wire.LogFile))
	if err != nil {
		return none, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return none, err
	}
	size := info.Size()
	offset := req.Offset
	if offset < 0 {
		offset = max(size+offset, 0)
	}
	if req.Round && begin <= size { // else it was cut since
		offset = max(offset, begin)
	}
	if offset > size { // it was cut in the meantime
		offset = 0
	}
	data := make([]byte, min(size-offset, logPiece))
	n, err := f.ReadAt(data, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return none, err
	}
	return wire.Logs{Data: data[:n], Offset: offset + int64(n), End: offset+int64(n) >= size}, nil
}

// trimLogs cuts logs that have grown too large, keeping their ends. The processes
// append to the same files all the while; a few lines may be lost at the cut.
func trimLogs(dir string, t *Table) {
	for target, e := range t.entries {
		if e.report.State.Resting() {
			continue
		}
		path := filepath.Join(dir, target.ID, wire.LogFile)
		if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
			trimLog(path) // where this fails, it is tried again with the next heartbeat
		}
	}
}

func trimLog(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	tail, err := io.ReadAll(io.NewSectionReader(f, info.Size()-keptLogOnTrim, keptLogOnTrim))
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.Write(append([]byte("[earlier output was left out here]\n"), tail...))
	return err
}
