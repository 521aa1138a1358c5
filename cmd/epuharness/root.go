package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/harness/broker"
	"github.com/launchplan/launch/harness/client"
	"github.com/launchplan/launch/harness/daemon"
)

// globals are the options of every command, and where it writes.
type globals struct {
	out, err    io.Writer
	ran         bool // the command line was understood
	state       string
	url         string
	credentials string
	tls         broker.TLS
	timeout     time.Duration
	output      string
}

// defaultTimeout bounds a command that says nothing else.
const defaultTimeout = 30 * time.Second

func newRoot(g *globals) *cobra.Command {
	root := &cobra.Command{
		Use:           "epuharness",
		Short:         "A process dispatcher with its agents, on one machine or a fleet",
		SilenceErrors: true, SilenceUsage: true, TraverseChildren: true, // "process wait" has a --state of its own
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if g.output != "text" && g.output != "json" {
				return fmt.Errorf("output format %q: it is text or json", g.output)
			}
			if err := cmd.ValidateRequiredFlags(); err != nil { // cobra looks only after this
				return err
			}
			g.ran = true
			return nil
		},
	}
	f := root.PersistentFlags()
	f.StringVar(&g.state, "state", os.Getenv("EPUHARNESS_STATE"), "state `directory` (EPUHARNESS_STATE; default $XDG_STATE_HOME/epuharness, else ~/.local/state/epuharness)")
	f.StringVar(&g.url, "url", os.Getenv("EPUHARNESS_URL"), "`URL` of the broker (EPUHARNESS_URL; default: that of the harness in the state directory)")
	f.StringVar(&g.credentials, "credentials", os.Getenv("EPUHARNESS_CREDENTIALS"), "`file` with the broker's credentials (EPUHARNESS_CREDENTIALS)")
	f.StringVar(&g.tls.CA, "tls-ca", os.Getenv("EPUHARNESS_TLS_CA"), "`file` with the certificate authority of the broker (EPUHARNESS_TLS_CA)")
	f.StringVar(&g.tls.Cert, "tls-cert", os.Getenv("EPUHARNESS_TLS_CERT"), "`file` with a certificate of this client or broker (EPUHARNESS_TLS_CERT)")
	f.StringVar(&g.tls.Key, "tls-key", os.Getenv("EPUHARNESS_TLS_KEY"), "`file` with its key (EPUHARNESS_TLS_KEY)")
	f.DurationVar(&g.timeout, "timeout", defaultTimeout, "how long to wait for an answer, or for what is waited for")
	f.StringVarP(&g.output, "output", "o", "text", "text or json")
	root.AddCommand(
		newStartCommand(g), newStopCommand(g), newKillCommand(g), newStatusCommand(g), newRecoverCommand(g),
		newBrokerCommand(g), newDispatcherCommand(g), addAgentClients(g, newAgentCommand(g)), newMinderCommand(g),
		newDefinitionCommand(g), newProcessCommand(g), newNodeCommand(g), newEngineCommand(g),
		newNeedsCommand(g), newBootModeCommand(g), newSecretsCommand(g), newVersionCommand(g),
	)
	explainUsage(root)
	return root
}

func newVersionCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if g.json() {
				return g.writeJSON(map[string]string{
					"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
				})
			}
			fmt.Fprintf(g.out, "epuharness %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}

// harness is the one in the state directory.
func (g *globals) harness() (*daemon.Harness, error) {
	dir := g.state
	if dir == "" {
		base := os.Getenv("XDG_STATE_HOME")
		if base == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return nil, fmt.Errorf("no state directory: name one with --state: %w", err)
			}
			base = filepath.Join(home, ".local", "state")
		}
		dir = filepath.Join(base, "epuharness")
	}
	return daemon.Open(dir)
}

// address is the broker that was named, or that of the harness.
func (g *globals) address(name string) (broker.Address, error) {
	a := broker.Address{URL: g.url, Credentials: g.credentials, TLS: g.tls, Name: name}
	if g.url != "" {
		return a, wrapUsage(broker.CheckURL(g.url))
	}
	h, err := g.harness()
	if err != nil {
		return a, err
	}
	r, err := h.Record()
	if err != nil {
		return a, err
	}
	a = r.Address(name)
	a.Credentials = cmp.Or(g.credentials, a.Credentials)
	if g.tls.Used() {
		a.TLS = g.tls
	}
	return a, nil
}

func wrapUsage(err error) error {
	if err == nil {
		return nil
	}
	return &usageError{err}
}

func (g *globals) note(text string) { fmt.Fprintln(g.err, "epuharness:", clean(text)) }

// withClient connects, and bounds what is done by the timeout.
func (g *globals) withClient(ctx context.Context, do func(context.Context, *client.Client) error) error {
	a, err := g.address("epuharness")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	c, err := client.Dial(ctx, a, g.note)
	if err != nil {
		return err
	}
	defer c.Close()
	return do(ctx, c)
}

// json says whether results are to be written as JSON.
func (g *globals) json() bool { return g.output == "json" }

func (g *globals) writeJSON(v any) error {
	enc := json.NewEncoder(g.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// table writes rows with aligned columns, the first row being the titles.
func (g *globals) table(rows [][]string) error {
	w := tabwriter.NewWriter(g.out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i := range row {
			row[i] = clean(cmp.Or(row[i], "-"))
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// clean keeps text from elsewhere from steering the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

func pairs(list []string, what string) (map[string]string, error) {
	m := map[string]string{}
	for _, entry := range list {
		k, v, ok := strings.Cut(entry, "=")
		if !ok || k == "" {
			return nil, usagef("%s %q: it is NAME=VALUE", what, entry)
		}
		m[k] = v
	}
	return m, nil
}
