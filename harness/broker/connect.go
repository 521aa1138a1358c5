package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// An Address is where and how to reach a broker.
type Address struct {
	URL         string // nats://host:port, or several with commas; carries no credentials
	Credentials string // a file; empty: none
	TLS         TLS
	Name        string // of the client, for the broker's own lists
}

// TLS says how to secure the connection; the zero TLS leaves it to the URL.
type TLS struct {
	CA   string // a file with the certificates to trust; empty: the system's
	Cert string // a client certificate, with its key
	Key  string
}

// Used says whether anything is set.
func (t TLS) Used() bool { return t != TLS{} }

const (
	dialTimeout    = 2 * time.Second
	publishTimeout = 5 * time.Second        // after which the outcome of a write counts as unknown
	reconnectWait  = 100 * time.Millisecond // a local broker is back within a second
	pingInterval   = 10 * time.Second       // a dead connection is noticed after two

	// A cluster does not answer a question about its buckets while it elects a leader, and
	// no event tells a client that it has one. So each question is repeated: first soon, as
	// an answer takes some milliseconds and an election some hundreds; then less often, for
	// a cluster that takes long has enough to do.
	answerFirst = 100 * time.Millisecond
	answerLast  = 3 * time.Second
)

// CheckURL refuses URLs that cannot be a broker's, and those with credentials in
// them: those would be seen in lists of processes and in logs.
func CheckURL(urls string) error {
	if urls == "" {
		return errors.New("no broker URL: give --url or set EPUHARNESS_URL")
	}
	for one := range strings.SplitSeq(urls, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil {
			return errors.New("the broker URL cannot be read; it is like nats://host:4222")
		}
		if u.User != nil {
			return errors.New("the broker URL has credentials in it; put them into a file and name it with --credentials")
		}
		if u.Scheme != "nats" && u.Scheme != "tls" || u.Host == "" {
			return fmt.Errorf("%q is not a broker URL; it is like nats://host:4222", u.Redacted())
		}
	}
	return nil
}

// Connect connects for good: from then on a lost connection is made again by itself.
// It fails at once where the broker refuses the credentials or is no NATS server,
// and when ctx ends while nobody answers.
func Connect(ctx context.Context, a Address, options ...nats.Option) (*nats.Conn, error) {
	if err := CheckURL(a.URL); err != nil {
		return nil, err
	}
	opts := []nats.Option{
		nats.Name(a.Name), nats.Timeout(dialTimeout), nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectWait/2, reconnectWait/2), nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(2),
		nats.IgnoreAuthErrorAbort(),
	}
	if a.Credentials != "" {
		c, err := LoadCredentials(a.Credentials)
		if err != nil {
			return nil, err
		}
		opts = append(opts, c.option())
	}
	if a.TLS.Used() {
		config, err := a.TLS.client()
		if err != nil {
			return nil, err
		}
		opts = append(opts, nats.Secure(config))
	}
	opts = append(opts, options...)
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		nc, err := nats.Connect(a.URL, opts...)
		if err == nil {
			return nc, nil
		}
		err = explain(a, err)
		if !errors.Is(err, ErrUnreachable) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(wait):
		}
	}
}

// StopWatch stops a watch at once where the broker is there to be told. Where it is not,
// telling it would take as long as an answer may: the end of the watch's context has to do.
func StopWatch(nc *nats.Conn, watcher jetstream.KeyWatcher) {
	if nc.IsConnected() {
		watcher.Stop()
	}
}

// ErrUnreachable says that nobody answers at the broker's address (yet).
var ErrUnreachable = errors.New("broker unreachable")

func explain(a Address, err error) error {
	text := err.Error()
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), strings.Contains(strings.ToLower(text), "authorization"):
		if a.Credentials == "" {
			return fmt.Errorf("the broker at %s asks for credentials: name their file with --credentials", a.URL)
		}
		return fmt.Errorf("the broker at %s refuses the credentials in %s", a.URL, a.Credentials)
	case errors.Is(err, nats.ErrSecureConnRequired), errors.Is(err, nats.ErrSecureConnWanted):
		return fmt.Errorf("the broker at %s and this client do not agree on TLS: %v", a.URL, err)
	case errors.As(err, new(*tls.CertificateVerificationError)), errors.As(err, new(x509.UnknownAuthorityError)), strings.Contains(text, "x509:"), strings.Contains(text, "tls:"):
		return fmt.Errorf("the broker at %s cannot be trusted: %v", a.URL, err)
	case strings.Contains(text, "INFO not received"), strings.Contains(text, "nats: expected 'INFO'"), strings.Contains(text, "invalid character"), strings.Contains(text, "nats: Protocol exception"), strings.Contains(text, "nats: 'INFO' protocol"):
		return fmt.Errorf("what answers at %s is not a NATS broker", a.URL)
	}
	return fmt.Errorf("%w: %s: %v", ErrUnreachable, a.URL, err)
}

func (t TLS) client() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pool, err := loadCA(t.CA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = pool
	}
	if t.Cert != "" || t.Key != "" {
		cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("load the TLS certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return config, nil
}

func loadCA(file string) (*x509.CertPool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("load the TLS certificate authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s has no PEM certificate", file)
	}
	return pool, nil
}
