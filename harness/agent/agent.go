package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/launchplan/launch/harness/flock"
	"github.com/launchplan/launch/harness/minder"
	"github.com/launchplan/launch/harness/wire"
	"github.com/launchplan/launch/internal/proc"
	"github.com/launchplan/launch/internal/topdir"
)

// An Agent is the daemon.
type Agent struct {
	Name       string
	Node       string
	Engine     string
	Slots      int // 0: as the engine says
	Properties map[string]string
	Dir        string   // its own directory: processes, files, the minder's journal
	Minder     []string // the program that Connect starts when there is no minder
	Conn       *nats.Conn
	Log        *slog.Logger
	Ready      func() // called once: a dispatcher has welcomed the agent

	table    *Table
	minder   *minder.Client
	events   <-chan minder.Process
	prepared chan preparation
	starts   map[wire.Target]preparation // what was handed to the minder
	queue    []*wire.Assignment
	busy     int // preparations under way
	ended    endedDirs
	files    *files

	epoch, clock uint64
	host         string
	welcome      *wire.Welcome
	sent         time.Time // the last heartbeat
	trimmed      time.Time // when the logs were last looked at
	changed      bool      // since then
	assigned     time.Time // since when an assignment is unconfirmed; zero: none is
	hello        time.Duration
}

const (
	helloFirst = 20 * time.Millisecond // between the first heartbeats, while no dispatcher welcomes the agent
	helloLast  = time.Second           // to which that grows

	// Heartbeats that tell of changes are sent at once, but no denser than they are
	// long: so many a second for each process that they mention.
	paceShortest   = 5 * time.Millisecond
	pacePerProcess = 200 * time.Microsecond
	paceLongest    = 100 * time.Millisecond

	// An assignment is confirmed after so long, unless a change is told before: most
	// processes run by then, and one heartbeat tells both.
	confirmAfter = 100 * time.Millisecond

	lockTimeout     = 3 * time.Second // for an earlier incarnation to be gone
	preparingAtOnce = 2
	ordersInbox     = 8192
)

// Files in the agent's own directory.
const (
	lockName = "agent.lock"
	pidName  = "agent.pid"
)

// Run works until ctx ends. The processes go on after that.
func (a *Agent) Run(ctx context.Context) error {
	lock, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	var work sync.WaitGroup
	defer work.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	a.table = NewTable(a.epoch, wire.MaxSlots)
	if minder.Ran(a.Dir) {
		if err := a.connectMinder(ctx); err != nil {
			return err
		}
	}
	defer func() {
		if a.minder != nil {
			a.minder.Close()
		}
	}()
	a.ended.load(filepath.Join(a.Dir, processesDir), a.table.Live)
	logs := &logServer{dir: filepath.Join(a.Dir, processesDir), live: &liveSet{}}
	in, err := a.listen()
	defer in.close()
	if err != nil {
		return err
	}
	work.Go(func() { logs.serve(ctx, in.logs) })
	return a.loop(ctx, in, logs.live, &work)
}

// loop takes in what happens, one thing at a time.
func (a *Agent) loop(ctx context.Context, in *inbound, live *liveSet, work *sync.WaitGroup) (err error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			a.leave()
			return context.Cause(ctx)
		case msg := <-in.orders:
			err = a.takeOrders(ctx, msg.Data)
		case msg := <-in.pings:
			msg.Respond([]byte(`{}`)) // whoever asks notices when no answer comes
		case p, open := <-a.events:
			if !open {
				err = a.reconnectMinder(ctx)
				break
			}
			err = a.act(ctx, a.table.Minded(p))
			a.changed = true
		case p := <-a.prepared:
			a.busy--
			err = a.finishPreparation(ctx, p)
		case <-in.reconnected:
			a.sent = time.Time{}
		case <-timer.C:
		}
		if err != nil {
			return err
		}
		a.prepareNext(ctx, work)
		a.beat(live)
		timer.Reset(a.untilBeat())
	}
}

// open takes the agent's directory, and begins its next incarnation.
func (a *Agent) open(ctx context.Context) (*os.File, error) {
	for _, dir := range []string{a.Dir, filepath.Join(a.Dir, processesDir), filepath.Join(a.Dir, filesDir)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make the agent's directory: %w", err)
		}
	}
	topdir.KeepApart(filepath.Join(a.Dir, processesDir))
	lock, err := flock.Take(ctx, filepath.Join(a.Dir, lockName), lockTimeout)
	if errors.Is(err, flock.ErrHeld) {
		return nil, fmt.Errorf("an agent runs already in %s; to end it, with its processes: epuharness agent stop --dir %s", a.Dir, a.Dir)
	}
	if err != nil {
		return nil, fmt.Errorf("lock the agent's directory: %w", err)
	}
	a.epoch, err = nextEpoch(filepath.Join(a.Dir, "epoch"))
	if err == nil {
		err = proc.WriteOwn(filepath.Join(a.Dir, pidName))
	}
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("begin the agent's next incarnation: %w", err)
	}
	a.clock = a.epoch << 22 // below 2^53, so that every JSON reader has it exactly
	a.host, _ = os.Hostname()
	a.prepared = make(chan preparation)
	a.starts = map[wire.Target]preparation{}
	a.files = &files{dir: filepath.Join(a.Dir, filesDir), conn: a.Conn}
	a.hello = helloFirst
	return lock, nil
}

// nextEpoch is greater than that of every earlier incarnation: by its file, and, if
// that is lost, by the time.
func nextEpoch(path string) (uint64, error) {
	epoch := uint64(time.Now().Unix())
	if data, err := os.ReadFile(path); err == nil {
		if last, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 31); err == nil {
			epoch = max(epoch, last+1)
		}
	}
	return epoch, os.WriteFile(path, []byte(strconv.FormatUint(epoch, 10)+"\n"), 0o600)
}

func (a *Agent) connectMinder(ctx context.Context) error {
	client, all, err := minder.Connect(ctx, a.Dir, a.Minder)
	if err != nil {
		return err
	}
	a.minder, a.events = client, client.Events
	for _, p := range all {
		if err := a.act(ctx, a.table.Minded(p)); err != nil {
			return err
		}
	}
	a.changed = true
	return a.act(ctx, a.table.Unminded(all))
}

func (a *Agent) reconnectMinder(ctx context.Context) error {
	a.Log.Warn("the minder is gone; start another")
	a.minder.Close()
	a.minder, a.events = nil, nil
	return a.connectMinder(ctx)
}

func (a *Agent) takeOrders(ctx context.Context, data []byte) error {
	o, err := wire.DecodeOrders(data)
	if err != nil {
		a.Log.Warn("drop orders", "because", err)
		return nil
	}
	if o.Term > a.table.term { // a new leader: what was told before, it may not have heard
		a.changed = true
	}
	actions, valid := a.table.Orders(&o)
	if !valid {
		return nil
	}
	if o.Welcome != nil {
		a.welcomed(o.Welcome)
		if a.minder == nil && o.Welcome.Refused == "" {
			// Now, so that the first processes need not wait for it.
			if err := a.connectMinder(ctx); err != nil {
				return err
			}
		}
	}
	if len(o.Terminate)+len(o.Forget) > 0 {
		a.changed = true
	}
	if len(o.Assign) > 0 && a.assigned.IsZero() {
		a.assigned = time.Now()
	}
	return a.act(ctx, actions)
}

func (a *Agent) welcomed(w *wire.Welcome) {
	if w.Refused != "" {
		if a.welcome == nil || a.welcome.Refused != w.Refused {
			a.Log.Warn("no dispatcher gives this agent work", "because", w.Refused)
		}
		a.welcome = w
		return
	}
	first := !a.isWelcome()
	a.welcome = w
	a.table.Slots = w.Slots
	if first && a.Ready != nil {
		a.Ready()
		a.Ready = nil
	}
}

// isWelcome says whether a dispatcher has the agent on record.
func (a *Agent) isWelcome() bool { return a.welcome != nil && a.welcome.Refused == "" }

// act carries out what the table wants.
func (a *Agent) act(ctx context.Context, actions []Action) error {
	for _, action := range actions {
		var err error
		switch {
		case action.Prepare != nil:
			a.queue = append(a.queue, action.Prepare)
		case action.Stop != nil:
			err = a.tellMinder(ctx, func(m *minder.Client) error { return m.Stop(action.Stop) })
		case action.Forget != nil:
			delete(a.starts, *action.Forget)
			a.ended.add(action.Forget.ID, a.table.Live)
			if a.minder != nil { // else it has nothing to forget
				err = a.tellMinder(ctx, func(m *minder.Client) error { return m.Forget(*action.Forget) })
			}
		default:
			if p, ok := a.starts[action.Start]; ok {
				err = a.tellMinder(ctx, func(m *minder.Client) error { return m.Start(p.start) })
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tellMinder starts a minder where there is none yet. A connection that breaks shows
// as the end of its events, and what was told is then told again.
func (a *Agent) tellMinder(ctx context.Context, tell func(*minder.Client) error) error {
	if a.minder == nil {
		if err := a.connectMinder(ctx); err != nil {
			return err
		}
	}
	if err := tell(a.minder); err != nil {
		a.Log.Warn("the minder cannot be reached", "because", err)
	}
	return nil
}

func (a *Agent) untilBeat() time.Duration {
	return max(time.Until(a.sent.Add(a.period())), 0)
}

// period is how long after the last heartbeat the next is due.
func (a *Agent) period() time.Duration {
	if !a.isWelcome() {
		return a.hello
	}
	regular := a.welcome.Heartbeat.Std()
	pace := min(max(paceShortest, time.Duration(len(a.table.entries))*pacePerProcess), paceLongest, regular)
	switch {
	case a.changed:
		return pace
	case !a.assigned.IsZero():
		return min(max(pace, a.assigned.Add(confirmAfter).Sub(a.sent)), regular)
	}
	return regular
}

// beat sends a heartbeat where one is due.
func (a *Agent) beat(live *liveSet) {
	if time.Since(a.sent) < a.period() {
		return
	}
	if !a.isWelcome() {
		a.hello = min(2*a.hello, helloLast)
	}
	if time.Since(a.trimmed) >= trimEvery {
		a.trimmed = time.Now()
		trimLogs(filepath.Join(a.Dir, processesDir), a.table)
	}
	live.set(a.table, a.starts)
	a.sent, a.changed, a.assigned = time.Now(), false, time.Time{}
	a.publish(false)
}

func (a *Agent) publish(leaving bool) {
	a.clock++
	hb := wire.Heartbeat{
		Agent: a.Name, Node: a.Node, Engine: a.Engine, Slots: a.Slots, Properties: a.Properties, Host: a.host,
		Epoch: a.epoch, Clock: a.clock, Leaving: leaving, Hello: !a.isWelcome(), Processes: a.table.Reports(),
	}
	data, err := hb.Encode()
	if err == nil {
		err = a.Conn.Publish(wire.HeartbeatSubject, data)
	}
	if err != nil && !errors.Is(err, nats.ErrReconnectBufExceeded) {
		a.Log.Warn("send a heartbeat", "because", err)
	}
}

// leave tells the dispatchers that no work is to come here any more.
func (a *Agent) leave() {
	a.publish(true)
	if a.Conn.IsConnected() {
		a.Conn.FlushTimeout(time.Second)
	}
}
