package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/state"
)

// eventView is a row of the journal as `history -o json` shows it.
type eventView struct {
	Seq     int64           `json:"seq"`
	At      time.Time       `json:"at"`
	Kind    string          `json:"kind"`
	Service string          `json:"service"`
	From    string          `json:"from"`
	To      string          `json:"to"`
	Attempt int             `json:"attempt"`
	Cause   string          `json:"cause"`
	Detail  json.RawMessage `json:"detail,omitempty"`
}

func newHistoryCommand(g *globalOptions) *cobra.Command {
	var (
		critical, cloud bool
		where           cloudOptions
	)
	cmd := &cobra.Command{
		Use:   "history [RUN]",
		Short: "Show a run's journal: everything that was intended and that came of it, with times and causes",
		Long: `Show a run's journal: everything that was intended and that came of it, with
times and causes.

With --cloud, show instead what EC2 has with the tags of runs, those of other
machines and lost ones too: whose it is, since when, and what ends it.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cloud && critical {
				return usagef("--cloud and --critical-path show different things: take one of them")
			}
			if cloud {
				return showCloud(cmd.Context(), g, where, first(args), cmd.OutOrStdout())
			}
			if err := needsCloud(cmd.Flags()); err != nil {
				return err
			}
			return runHistory(cmd.Context(), g, first(args), critical, cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&critical, "critical-path", false, "show only the chain of services that the last boot took its time for, by phase")
	cmd.Flags().BoolVar(&cloud, "cloud", false, "show what EC2 has with the tags of runs, and what ends it")
	where.addFlags(cmd.Flags())
	return cmd
}

func runHistory(ctx context.Context, g *globalOptions, name string, critical bool, stdout io.Writer) error {
	asJSON, err := g.json()
	if err != nil {
		return err
	}
	eng, err := g.engineOptions(ctx, "history", false)
	if err != nil {
		return err
	}
	defer eng.DB.Close()
	run, err := findHistory(ctx, eng.DB, name)
	if err != nil {
		return err
	}
	if critical {
		return showCriticalPath(ctx, eng, run, asJSON, stdout)
	}
	journal := eng.DB.Journal(ctx, run.ID, 0)
	if asJSON {
		return writeEvents(stdout, journal)
	}
	for e, err := range journal {
		if err != nil {
			return err
		}
		fmt.Fprintln(stdout, eventLine(run, e))
	}
	return nil
}

// writeEvents writes a journal as an array, one row after the other: that of a large run is long.
func writeEvents(w io.Writer, journal iter.Seq2[state.Event, error]) error {
	enc := json.NewEncoder(w)
	fmt.Fprint(w, "[")
	separator := ""
	for e, err := range journal {
		if err != nil {
			return err
		}
		fmt.Fprint(w, separator)
		separator = ","
		enc.Encode(eventView{
			Seq: e.Seq, At: e.At, Kind: e.Kind, Service: e.Service, From: e.From, To: e.To,
			Attempt: e.Attempt, Cause: e.Cause, Detail: json.RawMessage(e.Detail),
		})
	}
	fmt.Fprintln(w, "]")
	return nil
}

// eventLine shows one row of the journal.
func eventLine(run state.Run, e state.Event) string {
	subject := e.Service
	if subject == "" {
		subject = "run " + run.Name
	}
	line := fmt.Sprintf("%s  %s", e.At.Local().Format("2006-01-02 15:04:05.000"), subject)
	switch {
	case e.From != "" && e.To != "" && e.From != e.To:
		line += fmt.Sprintf(": %s -> %s", e.From, e.To)
	case e.To != "":
		line += ": " + e.Kind + " " + e.To
	default:
		line += ": " + e.Kind
	}
	if e.Attempt > 1 {
		line += fmt.Sprintf(" (attempt %d)", e.Attempt)
	}
	if e.Cause != "" {
		line += ": " + indentRest(e.Cause, 4)
	}
	return line
}
