package broker

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startAgainEvery is between two attempts to start a server that could not write.
const startAgainEvery = time.Second

// Run runs a server until ctx ends, and tells its URL once. A server that could not write
// once, as where the disk was full for a moment, does not try again: another begins from
// what is on disk, until one can.
func Run(ctx context.Context, o Options, ready func(url string)) error {
	s, broken, err := startWatched(o)
	if err != nil {
		return err
	}
	o.Listen = s.Addr().String()
	ready(s.ClientURL())
	for s != nil {
		select {
		case <-ctx.Done():
		case why := <-broken:
			o.Log.Errorf("begin anew from the records on disk: %s", why)
		}
		s.Shutdown()
		s.WaitForShutdown()
		s, broken = startAgain(ctx, o)
	}
	return nil
}

// startAgain starts a server as soon as that goes; nil: ctx has ended.
func startAgain(ctx context.Context, o Options) (s *server.Server, broken <-chan string) {
	for {
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(startAgainEvery):
		}
		s, broken, err := startWatched(o)
		if err == nil {
			return s, broken
		}
		o.Log.Errorf("start the broker again: %v", err)
	}
}

// startWatched starts a server of which broken tells when it gives up its store.
func startWatched(o Options) (s *server.Server, broken <-chan string, err error) {
	tell := make(chan string, 1)
	o.Log = watchedLog{o.Log, tell}
	s, err = Start(o)
	return s, tell, err
}

// watchedLog tells when a server gives up its store. The server tells nobody but its log.
type watchedLog struct {
	server.Logger
	broken chan<- string
}

func (l watchedLog) Errorf(format string, v ...any) {
	l.Logger.Errorf(format, v...)
	if strings.Contains(strings.ToLower(format), "critical write error") || strings.Contains(format, "will be DISABLED") {
		select {
		case l.broken <- fmt.Sprintf(format, v...):
		default: // it is known already
		}
	}
}
