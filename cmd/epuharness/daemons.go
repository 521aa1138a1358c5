package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/launchplan/launch/harness/agent"
	"github.com/launchplan/launch/harness/broker"
	"github.com/launchplan/launch/harness/daemon"
	"github.com/launchplan/launch/harness/dispatch"
	"github.com/launchplan/launch/harness/minder"
	"github.com/launchplan/launch/harness/wire"
)

func newLog() *slog.Logger { return slog.New(slog.NewTextHandler(os.Stderr, nil)) }

// asDaemon tells whoever started the daemon why it ends where it has not answered yet.
func asDaemon(run func() error) error {
	os.Unsetenv(daemon.DaemonMark) // what this one starts is not this one
	err := run()
	if err != nil {
		daemon.Tell("", err)
	}
	return err
}

func newBrokerCommand(g *globals) *cobra.Command {
	var o broker.Options
	var routes string
	cmd := &cobra.Command{
		Use:   "broker",
		Short: "Run the broker, a NATS server with JetStream, in the foreground",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return asDaemon(func() error { return g.runBroker(cmd.Context(), o, routes) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Name, "name", "broker", "the server's name; in a cluster each has its own")
	f.StringVar(&o.Listen, "listen", "127.0.0.1:4222", "`address` to listen on; beyond loopback only with TLS")
	f.StringVar(&o.Store, "store", "", "`directory` of the records")
	f.StringVar(&o.Cluster.Name, "cluster", "", "`name` of the cluster to be part of")
	f.StringVar(&o.Cluster.Listen, "cluster-listen", "127.0.0.1:6222", "`address` to listen on for the cluster's other servers")
	f.StringVar(&routes, "routes", "", "`host:port` of the other servers, with commas")
	cmd.MarkFlagRequired("store")
	return cmd
}

func (g *globals) runBroker(ctx context.Context, o broker.Options, routes string) error {
	if g.credentials == "" {
		return usagef("a broker needs --credentials: the file with the user and password that it asks for")
	}
	c, err := broker.LoadCredentials(g.credentials)
	if err != nil {
		return err
	}
	o.Credentials, o.TLS, o.Log = c, g.tls, serverLog{newLog()}
	if routes != "" {
		o.Cluster.Routes = strings.Split(routes, ",")
	}
	return broker.Run(ctx, o, func(url string) {
		daemon.Tell(url, nil)
		fmt.Fprintln(g.out, url) // for whoever let it choose its port
	})
}

func newDispatcherCommand(g *globals) *cobra.Command {
	var name string
	var interval time.Duration
	var replicas int
	cmd := &cobra.Command{
		Use:   "dispatcher",
		Short: "Run a dispatcher in the foreground",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return asDaemon(func() error { return g.runDispatcher(cmd.Context(), name, interval, replicas) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&name, "name", "", "its name, which no other dispatcher may have (default: the host's)")
	f.DurationVar(&interval, "min-start-interval", dispatch.DefaultThrottle.Interval, "least time between two starts of a process that keeps dying")
	f.IntVar(&replicas, "replicas", 0, "copies of the records (default: three in a cluster, else one)")
	return cmd
}

func (g *globals) runDispatcher(ctx context.Context, name string, interval time.Duration, replicas int) error {
	name, err := nameOrHost("dispatcher", name)
	if err != nil {
		return err
	}
	log := newLog()
	conn, err := g.daemonConn(ctx, name, log)
	if err != nil {
		return err
	}
	defer conn.Close()
	throttle := dispatch.DefaultThrottle
	throttle.Interval = interval
	d := &dispatch.Dispatcher{
		Name: name, Conn: conn, Replicas: replicas, Throttle: throttle, Log: log,
		Ready: func() { daemon.Tell("", nil) },
	}
	return ended(ctx, d.Run(ctx))
}

func newAgentCommand(g *globals) *cobra.Command {
	a := &agent.Agent{}
	var properties []string
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run an agent in the foreground; its processes outlive it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return asDaemon(func() error { return g.runAgent(cmd.Context(), a, properties) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&a.Name, "name", "", "its name, which no other agent may have (default: the host's)")
	f.StringVar(&a.Node, "node", "", "the node that it stands on (default: its name)")
	f.StringVar(&a.Engine, "engine", "default", "its engine")
	f.StringVar(&a.Dir, "dir", "", "its `directory` (default: below the state directory)")
	f.IntVar(&a.Slots, "slots", 0, "how many processes it runs at a time (default: as its engine says)")
	f.StringArrayVar(&properties, "property", nil, "`NAME=VALUE` that constraints can ask for; can be repeated")
	return cmd
}

func (g *globals) runAgent(ctx context.Context, a *agent.Agent, properties []string) (err error) {
	if a.Name, err = nameOrHost("agent", a.Name); err != nil {
		return err
	}
	a.Node = cmp.Or(a.Node, a.Name)
	if a.Properties, err = pairs(properties, "property"); err != nil {
		return err
	}
	hb := wire.Heartbeat{Agent: a.Name, Node: a.Node, Engine: a.Engine, Slots: a.Slots, Properties: a.Properties}
	if err := hb.Check(); err != nil {
		return wrapUsage(err)
	}
	if a.Dir == "" {
		h, err := g.harness()
		if err != nil {
			return err
		}
		a.Dir = filepath.Join(h.Dir, "agents", a.Name)
	}
	if a.Dir, err = filepath.Abs(a.Dir); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	a.Log = newLog()
	// What cannot be sent at once is not kept: the next heartbeat says it all.
	conn, err := g.daemonConn(ctx, a.Name, a.Log, nats.ReconnectBufSize(-1))
	if err != nil {
		return err
	}
	defer conn.Close()
	a.Conn, a.Minder = conn, []string{self, "minder"}
	a.Ready = func() { daemon.Tell("", nil) }
	return ended(ctx, a.Run(ctx))
}

func newAgentStopCommand(g *globals) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "stop --dir DIRECTORY", Args: cobra.NoArgs,
		Short: "End the agent that works in a directory, and its processes, without a dispatcher",
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := filepath.Abs(dir)
			if err != nil {
				return err
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), g.timeout)
			defer cancel()
			return agent.Stop(ctx, dir, []string{self, "minder"})
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the agent's `directory`")
	cmd.MarkFlagRequired("dir")
	return cmd
}

// newMinderCommand is run by agents only.
func newMinderCommand(*globals) *cobra.Command {
	return &cobra.Command{
		Use: "minder DIR", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			// An interrupt of the agent's terminal or service is not meant for the processes.
			signal.Ignore(os.Interrupt, syscall.SIGHUP)
			return minder.Serve(cmd.Context(), args[0], os.NewFile(3, "tell"))
		},
	}
}

// daemonConn connects a daemon, however long it takes until the broker is there.
func (g *globals) daemonConn(ctx context.Context, name string, log *slog.Logger, options ...nats.Option) (*nats.Conn, error) {
	a, err := g.address(name)
	if err != nil {
		return nil, err
	}
	options = append(options,
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // else the daemon itself hung up
				log.Warn("the broker is gone", "because", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("from the broker", "error", err) }))
	return broker.Connect(ctx, a, options...)
}

func nameOrHost(kind, name string) (string, error) {
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return "", err
		}
		name, _, _ = strings.Cut(host, ".")
	}
	return name, wrapUsage(wire.CheckName(kind, name))
}

// ended makes a daemon that was asked to end end well.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// serverLog gives the embedded server's log to ours.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Noticef(f string, v ...any) { l.log.Debug(fmt.Sprintf(f, v...)) }

// Warnf leaves out the advice to use bcrypt: it guards chosen passwords, and ours is
// random and long; it would cost every connection tens of milliseconds.
func (l serverLog) Warnf(f string, v ...any) {
	if !strings.HasPrefix(f, "Plaintext passwords") {
		l.log.Warn(fmt.Sprintf(f, v...))
	}
}

func (l serverLog) Fatalf(f string, v ...any) { l.log.Error(fmt.Sprintf(f, v...)) }
func (l serverLog) Errorf(f string, v ...any) { l.log.Error(fmt.Sprintf(f, v...)) }
func (l serverLog) Debugf(string, ...any)     {}
func (l serverLog) Tracef(string, ...any)     {}
