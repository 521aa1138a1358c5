// Package service is what the example services have in common: how they are configured,
// how they listen, how they end, and how they find each other through the registry.
package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	maxConfig   = 1 << 20
	maxHeader   = 16 << 10
	readTimeout = 10 * time.Second // a client that needs longer to send a small request is broken
	idleTimeout = time.Minute
	lastAnswers = 2 * time.Second // for requests under way when the service is asked to end
)

// Config is what every service can be told.
type Config struct {
	ID         string   `json:"id"`         // who it is in the registry; left out: the process's id, else its address
	Listen     string   `json:"listen"`     // left out: a free port of EPU_HOST, which left out is 127.0.0.1
	Registries []string `json:"registries"` // HOST:PORT of each registry
	Token      string   `json:"token"`      // what a client must know to write
}

// Main runs a service until it is asked to end, and ends the program with status 1 where it fails.
func Main(name string, run func(ctx context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// Load reads the JSON file that PROCESS_CONFIG names into config. Without PROCESS_CONFIG,
// config stays as it is. A name that the service does not know is an error.
func Load(config any) error {
	path := os.Getenv("PROCESS_CONFIG")
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the configuration (PROCESS_CONFIG): %w", err)
	}
	defer f.Close()
	d := json.NewDecoder(io.LimitReader(f, maxConfig))
	d.DisallowUnknownFields()
	if err := d.Decode(config); err != nil {
		return fmt.Errorf("read the configuration %s: %w", path, err)
	}
	return nil
}

// A Listener is a service's open port, and who the service is from then on.
type Listener struct {
	net.Listener
	ID, Kind string
}

// Open opens the service's port.
func (c Config) Open(ctx context.Context, kind string) (*Listener, error) {
	ln, err := c.listen(ctx)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	id := c.ID
	if id == "" {
		id = os.Getenv("EPU_PROCESS_ID")
	}
	if id == "" {
		id = strings.NewReplacer(":", "-", "[", "", "]", "").Replace(ln.Addr().String())
	}
	return &Listener{ln, id, kind}, nil
}

func (c Config) listen(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	if c.Listen != "" {
		return lc.Listen(ctx, "tcp", c.Listen)
	}
	host := os.Getenv("EPU_HOST")
	if host == "" {
		host = "127.0.0.1"
	}
	if os.Getenv("EPU_PROCESS_ID") == "" {
		return lc.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	}
	return listenAgain(ctx, host, filepath.Join(os.Getenv("EPU_SLOT_DIR"), "port"))
}

// listenAgain takes the port that an earlier incarnation had in this directory, where it
// is still free: a service that is restarted in its place keeps its address.
func listenAgain(ctx context.Context, host, remembered string) (net.Listener, error) {
	var lc net.ListenConfig
	if port, err := os.ReadFile(remembered); err == nil && len(port) < 10 {
		if ln, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, strings.TrimSpace(string(port)))); err == nil {
			return ln, nil
		}
	}
	ln, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err == nil {
		err = os.WriteFile(remembered, []byte(port+"\n"), 0o600)
	}
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// Serve answers requests until ctx ends, then lets those under way finish.
func (l *Listener) Serve(ctx context.Context, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader,
		BaseContext:    func(net.Listener) context.Context { return ctx }, // ends the long polls
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l.Listener) }()
	fmt.Printf("listening on %s\n", l.Addr())
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAnswers)
	defer cancel()
	err := server.Shutdown(last)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	<-ended
	return err
}

// Healthy answers that the service is well, and who it is: a probe that finds another one's
// port notices.
func (l *Listener) Healthy(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "%s %s is well\n", l.Kind, l.ID)
}
