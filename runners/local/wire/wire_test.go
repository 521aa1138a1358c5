package wire

import (
	"bytes"
	"encoding/gob"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/launchplan/launch/runners"
)

func TestMessagesArriveWhole(t *testing.T) {
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
	reader := NewReader(theirs)
	for range seen {
		var r Request
		if err := reader.Read(&r); err != nil {
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
	var stream bytes.Buffer
	if err := gob.NewEncoder(&stream).Encode(Reply{Output: make([]byte, MaxMessage+readAhead)}); err != nil {
		t.Fatal(err)
	}
	if err := NewReader(&stream).Read(new(Reply)); !errors.Is(err, errTooLong) {
		t.Errorf("Read of more than is allowed: %v", err)
	}
	if err := NewReader(strings.NewReader("\xf8\x7f\xff\xff\xff\xff\xff\xff\xff")).Read(new(Reply)); err == nil {
		t.Error("Read of an endless message worked")
	}
	w := NewWriter(&stream)
	if err := w.Send(Reply{Output: make([]byte, MaxMessage)}); !errors.Is(err, errTooLong) {
		t.Errorf("Send of more than is allowed: %v", err)
	}
	if err := w.Send(Reply{}); err == nil {
		t.Error("Send works again, after types of which the other side was not told")
	}
}

// What a message leaves out and what it has with its zero value are not the same.
func TestMessagesStayTheSame(t *testing.T) {
	ended := time.Date(2026, 11, 27, 4, 5, 6, 7, time.UTC)
	for _, r := range []Reply{
		{Seq: 1},
		{Seq: 2, Started: &Started{}},
		{Seq: 3, Ended: &runners.Result{}},
		{Seq: 4, Ended: &runners.Result{Outcome: runners.Exited, Status: 3, Ended: ended, Collected: []byte("a\x00b")}},
		{Seq: 5, State: &runners.State{}, Err: "no", Errno: 2},
		{Seq: 6, Done: true, Output: []byte("out")},
	} {
		var stream bytes.Buffer
		if err := NewWriter(&stream).Send(r); err != nil {
			t.Fatal(err)
		}
		var got Reply
		if err := NewReader(&stream).Read(&got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, got); diff != "" {
			t.Errorf("(-sent +read):\n%s", diff)
		}
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
		var stream bytes.Buffer
		if err := NewWriter(&stream).Send(r); err != nil {
			f.Fatal(err)
		}
		f.Add(stream.Bytes())
	}
	f.Add([]byte("\x02\x01\x00{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		reader := NewReader(bytes.NewReader(data))
		for {
			var r Request
			if err := reader.Read(&r); err != nil {
				return
			}
			if r.Program != nil {
				Unpack(r.Program.Env)
			}
		}
	})
}
