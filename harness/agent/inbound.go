package agent

import (
	"github.com/nats-io/nats.go"

	"github.com/launchplan/launch/harness/wire"
)

// inbound is what reaches an agent over the broker.
type inbound struct {
	orders, pings, logs chan *nats.Msg
	reconnected         chan struct{}

	conn *nats.Conn
	subs []*nats.Subscription
}

// listen subscribes. What it returns is to be closed even after an error.
func (a *Agent) listen() (*inbound, error) {
	in := &inbound{
		orders: make(chan *nats.Msg, ordersInbox), pings: make(chan *nats.Msg, 64), logs: make(chan *nats.Msg, followers),
		reconnected: make(chan struct{}, 1), conn: a.Conn,
	}
	for subject, ch := range map[string]chan *nats.Msg{
		wire.OrdersSubject(a.Name): in.orders, wire.PingSubject("agent", a.Name): in.pings, wire.LogsSubject(a.Name): in.logs,
	} {
		sub, err := a.Conn.ChanSubscribe(subject, ch)
		if err != nil {
			return in, err
		}
		in.subs = append(in.subs, sub)
	}
	a.Conn.SetReconnectHandler(func(*nats.Conn) {
		select {
		case in.reconnected <- struct{}{}:
		default:
		}
	})
	return in, nil
}

func (in *inbound) close() {
	in.conn.SetReconnectHandler(nil)
	for _, sub := range in.subs {
		sub.Unsubscribe()
	}
}
