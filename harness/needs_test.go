package harness_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/launchplan/launch/harness/broker"
	"github.com/launchplan/launch/harness/client"
	"github.com/launchplan/launch/harness/wire"
)

// TestNeedsAfterOutage cuts a watch of the needs off from the broker, changes the needs, and
// lets it back: whoever grows the fleet by it must learn of the change.
func TestNeedsAfterOutage(t *testing.T) {
	r := newRig(t, agents(1, 4))
	r.define("sleeper", "sleep", "3600")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	way := openGate(t, strings.TrimPrefix(r.record.URL, "nats://"), "127.0.0.1:0")
	address := r.record.Address("watcher")
	address.URL = "nats://" + way.address
	watcher, err := client.Dial(ctx, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	shown := make(chan []wire.Need, 16)
	var watch sync.WaitGroup
	defer watch.Wait()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	watch.Go(func() {
		watcher.WatchNeeds(watching, func(needs []wire.Need) error {
			shown <- needs
			return nil
		})
	})
	untilProcesses(ctx, t, shown, 0)

	way.close()
	direct, err := broker.Connect(ctx, r.record.Address("direct"))
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	published := make(chan []wire.Need, 16)
	if _, err := direct.Subscribe(wire.NeedsSubject, func(msg *nats.Msg) {
		var needs []wire.Need
		json.Unmarshal(msg.Data, &needs)
		published <- needs
	}); err != nil {
		t.Fatal(err)
	}
	if err := direct.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := r.scheduleMany(ctx, "p", 3, wire.Parameters{Definition: "sleeper"}); err != nil {
		t.Fatal(err)
	}
	untilProcesses(ctx, t, published, 3)
	openGate(t, way.to, way.address)
	untilProcesses(ctx, t, shown, 3)
}

func untilProcesses(ctx context.Context, t *testing.T, lists <-chan []wire.Need, count int) {
	t.Helper()
	for {
		select {
		case needs := <-lists:
			if len(needs) == 1 && needs[0].Processes == count {
				return
			}
		case <-ctx.Done():
			t.Fatalf("no needs with %d processes were told", count)
		}
	}
}

// gate forwards connections until it is closed.
type gate struct {
	to, address string
	listener    net.Listener
	conns       chan net.Conn
	work        sync.WaitGroup
}

func openGate(t *testing.T, to, address string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{to: to, address: l.Addr().String(), listener: l, conns: make(chan net.Conn, 256)}
	g.work.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				close(g.conns)
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			g.conns <- in
			g.conns <- out
			g.work.Go(func() { io.Copy(in, out); in.Close() })
			g.work.Go(func() { io.Copy(out, in); out.Close() })
		}
	})
	t.Cleanup(g.close)
	return g
}

func (g *gate) close() {
	g.listener.Close()
	for conn := range g.conns {
		conn.Close()
	}
	g.work.Wait()
}
