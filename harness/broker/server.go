package broker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Options of a Server.
type Options struct {
	Name        string
	Listen      string // host:port; port 0: any
	Store       string // the directory of JetStream's files
	Credentials Credentials
	TLS         TLS // needed where Listen is not a loopback address; CA: ask clients for certificates of it
	Cluster     Cluster
	Log         server.Logger
}

// Cluster joins several servers into one broker.
type Cluster struct {
	Name   string // empty: no cluster
	Listen string
	Routes []string // host:port of the others
}

// startTimeout is how long a server may take to read its store and listen.
const startTimeout = 30 * time.Second

// maxStore leaves it to the disk how much is kept. Left out, it would be a part of what is free when
// the server starts: nothing for ever, where the disk was full then.
const maxStore = 1 << 50

// Start starts a NATS server with JetStream in this process.
func Start(o Options) (*server.Server, error) {
	host, port, err := splitListen(o.Listen)
	if err != nil {
		return nil, err
	}
	if !loopback(host) && !o.TLS.Used() {
		return nil, fmt.Errorf("the broker would listen on %s, which is not a loopback address: that takes TLS (--tls-cert, --tls-key)", o.Listen)
	}
	opts := &server.Options{
		ServerName: o.Name, Host: host, Port: port,
		Username: o.Credentials.User, Password: o.Credentials.Password, Authorization: o.Credentials.Token,
		JetStream: true, StoreDir: o.Store, NoSigs: true,
		SyncInterval:      time.Second, // what a power cut may cost; a killed broker loses nothing
		JetStreamMaxStore: maxStore,
	}
	if port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	if o.TLS.Used() {
		if opts.TLSConfig, err = o.TLS.server(); err != nil {
			return nil, err
		}
		opts.TLS = true
	}
	if err := o.cluster(opts); err != nil {
		return nil, err
	}
	if err := addressesFree(opts); err != nil {
		return nil, err
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("start the broker: %w", err)
	}
	if o.Log != nil {
		s.SetLoggerV2(o.Log, false, false, false)
	}
	s.Start()
	if !s.ReadyForConnections(startTimeout) {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, fmt.Errorf("the broker does not listen on %s after %v; what it said is in its log", o.Listen, startTimeout)
	}
	if !s.JetStreamEnabled() {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, fmt.Errorf("the broker's store %s cannot be used", o.Store)
	}
	return s, nil
}

// addressesFree says at once where the server cannot listen. The server itself would only
// log that and go on, while whatever has the address answers in its place.
func addressesFree(opts *server.Options) error {
	addresses := []string{net.JoinHostPort(opts.Host, strconv.Itoa(max(opts.Port, 0)))}
	if opts.Cluster.Name != "" {
		addresses = append(addresses, net.JoinHostPort(opts.Cluster.Host, strconv.Itoa(opts.Cluster.Port)))
	}
	for _, address := range addresses {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("the broker cannot have its address: %w; end what has it, or choose another", err)
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (o Options) cluster(opts *server.Options) error {
	c := o.Cluster
	if c.Name == "" {
		return nil
	}
	host, port, err := splitListen(c.Listen)
	if err != nil {
		return err
	}
	opts.Cluster = server.ClusterOpts{Name: c.Name, Host: host, Port: port, Username: o.Credentials.User, Password: o.Credentials.Password}
	if o.TLS.Used() {
		if opts.Cluster.TLSConfig, err = o.TLS.server(); err != nil {
			return err
		}
		// Both ends of a route verify each other against the same authority.
		opts.Cluster.TLSConfig.RootCAs = opts.Cluster.TLSConfig.ClientCAs
	} else if !loopback(host) {
		return fmt.Errorf("the broker would listen for its cluster on %s, which is not a loopback address: that takes TLS", c.Listen)
	}
	for _, r := range c.Routes {
		opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats-route", Host: r, User: url.UserPassword(o.Credentials.User, o.Credentials.Password)})
	}
	return nil
}

func (t TLS) server() (*tls.Config, error) {
	if t.Cert == "" || t.Key == "" {
		return nil, errors.New("a broker with TLS needs a certificate and its key (--tls-cert, --tls-key)")
	}
	config, err := t.client()
	if err != nil {
		return nil, err
	}
	if config.RootCAs != nil {
		config.ClientCAs, config.RootCAs = config.RootCAs, nil
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return config, nil
}

func splitListen(listen string) (string, int, error) {
	addr, err := net.ResolveTCPAddr("tcp", listen)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not an address to listen on: %w", listen, err)
	}
	if addr.IP == nil {
		return "0.0.0.0", addr.Port, nil
	}
	return addr.IP.String(), addr.Port, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
