package wire

import (
	"bufio"
	"bytes"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/launchplan/launch/runners"
)

func TestFramesArriveWhole(t *testing.T) {
	ours, theirs := net.Pipe()
	w := NewWriter(ours)
	const senders, each = 8, 50
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for j := range each {
				r := Request{Seq: uint64(i*each + j), Op: Look, ID: runners.ID{Service: strings.Repeat("s", j), Name: "boot"}}
				if err := w.Send(r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := make([]bool, senders*each)
	reader := bufio.NewReaderSize(theirs, 64) // less than most frames, so that both ways of reading are taken
	for range seen {
		var r Request
		if err := Read(reader, &r); err != nil {
			t.Fatal(err)
		}
		if len(r.ID.Service) != int(r.Seq)%each {
			t.Errorf("request %d has %q", r.Seq, r.ID.Service)
		}
		seen[r.Seq] = true
	}
	wg.Wait()
	if slices.Contains(seen, false) {
		t.Error("a request was lost")
	}
	theirs.Close()
	for range 3 { // the error may come with the next one
		if err := w.Send(Request{}); err != nil {
			return
		}
	}
	t.Error("Send to a closed connection worked")
}

func TestTooLong(t *testing.T) {
	if err := Read(bufio.NewReader(strings.NewReader("\xff\xff\xff\xffx")), new(Reply)); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("Read of 4 GiB: %v", err)
	}
	if err := NewWriter(nil).Send(Reply{Output: make([]byte, MaxFrame)}); err == nil {
		t.Error("Send of more than a frame worked")
	}
}

func TestPack(t *testing.T) {
	for _, list := range [][]string{nil, {""}, {"a", "", "b\n\xff"}, {"", ""}} {
		if diff := cmp.Diff(list, Unpack(Pack(list))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, r := range []Request{
		{Seq: 1, Op: Start, ID: runners.ID{Service: "a", Name: "boot-1"}, Program: &Program{Path: "/bin/true", Argv: Pack([]string{"true"})}},
		{Seq: 2, Op: Stop, Stop: &runners.Stop{Signal: "SIGTERM"}},
	} {
		var b bytes.Buffer
		conn := recorder{Buffer: &b}
		if err := NewWriter(conn).Send(r); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Add([]byte("\x00\x00\x00\x02{}\x00\x00\x00\x05nul"))
	f.Fuzz(func(t *testing.T, data []byte) {
		reader := bufio.NewReaderSize(bytes.NewReader(data), 64)
		for {
			var r Request
			if err := Read(reader, &r); err != nil {
				return
			}
			if r.Program != nil {
				Unpack(r.Program.Env)
			}
		}
	})
}

// A recorder is a connection that keeps what is written.
type recorder struct {
	net.Conn
	*bytes.Buffer
}

func (r recorder) Write(p []byte) (int, error) { return r.Buffer.Write(p) }
func (r recorder) Read(p []byte) (int, error)  { return r.Buffer.Read(p) }
