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
	broken := make(chan string, 1)
	log := watchedLog{o.Log, broken}
	o.Log = log
	s, err := Start(o)
	if err != nil {
		return err
	}
	o.Listen = s.Addr().String()
	ready(s.ClientURL())
	for s != nil {
		select {
		case <-ctx.Done():
		case why := <-broken:
			log.Logger.Errorf("begin anew from the records on disk: %s", why)
		}
		s.Shutdown()
		s.WaitForShutdown()
		select {
		case <-broken: // the same, told twice
		default:
		}
		s = startAgain(ctx, o)
	}
	return nil
}

// startAgain starts a server as soon as that goes; nil: ctx has ended.
func startAgain(ctx context.Context, o Options) *server.Server {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(startAgainEvery):
		}
		s, err := Start(o)
		if err == nil {
			return s
		}
		o.Log.Errorf("start the broker again: %v", err)
	}
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
