package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/state"
)

type statusOptions struct {
	variableOptions
	cached bool
	watch  bool
	every  time.Duration
}

// watchEvery is how often a watched run is verified where nothing is said:
// seldom enough for remote hosts, often enough for a person who looks.
const watchEvery = 30 * time.Second

func newStatusCommand(g *globalOptions) *cobra.Command {
	var opts statusOptions
	cmd := &cobra.Command{
		Use:   "status [RUN]",
		Short: "Verify every service of a run again and show where each one stands",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("every") && !opts.watch {
				return usagef("--every tells how often, with --watch")
			}
			return runStatus(cmd.Context(), g, &opts, first(args), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	opts.variableOptions.addFlags(f)
	f.BoolVar(&opts.cached, "cached", false, "show what is recorded, without verifying")
	f.BoolVar(&opts.watch, "watch", false, "verify again and again, until interrupted")
	f.DurationVar(&opts.every, "every", watchEvery, "with --watch: how often")
	return cmd
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func runStatus(ctx context.Context, g *globalOptions, opts *statusOptions, name string, stdout, stderr io.Writer) error {
	asJSON, err := g.json()
	if err != nil {
		return err
	}
	if opts.watch && opts.every <= 0 {
		return usagef("--every %s: it must be more than nothing", opts.every)
	}
	eng, err := g.engineOptions(ctx, "status", false)
	if err != nil {
		return err
	}
	defer eng.DB.Close()
	for {
		err := statusOnce(ctx, eng, opts, name, asJSON, stdout, stderr)
		if !opts.watch || exitCode(err) == exitUsage || exitCode(err) == exitNoRun {
			return err
		}
		if err != nil && !errors.As(err, new(toldError)) {
			report(stderr, err)
		}
		select {
		case <-ctx.Done():
			return engine.ErrInterrupted
		case <-time.After(opts.every):
		}
		if !asJSON {
			fmt.Fprintln(stdout)
		}
	}
}

// statusOnce verifies a run, unless another command drives it, and shows it.
func statusOnce(ctx context.Context, eng engine.Options, opts *statusOptions, name string, asJSON bool, stdout, stderr io.Writer) error {
	run, err := findRun(ctx, eng.DB, name)
	if err != nil {
		return err
	}
	var verdict error
	if !opts.cached && run.Status != state.RunTerminated {
		verdict = verifyRun(ctx, eng, run, opts, stderr)
		var failed *engine.RunError
		var locked *state.LockedError
		var incomplete *engine.IncompleteError
		if verdict != nil && !errors.As(verdict, &failed) && !errors.As(verdict, &locked) && !errors.As(verdict, &incomplete) {
			return verdict
		}
	}
	view, err := readStatus(ctx, eng, run.ID)
	if err != nil {
		return err
	}
	if asJSON {
		if err := writeJSON(stdout, view); err != nil {
			return err
		}
	} else {
		writeStatus(stdout, view)
	}
	if verdict != nil {
		return shown(verdict)
	}
	return view.verdict()
}

func verifyRun(ctx context.Context, eng engine.Options, run state.Run, opts *statusOptions, stderr io.Writer) error {
	given, err := opts.given()
	if err != nil {
		return err
	}
	eng.Observe = func(e engine.Event) {
		if e.Type == engine.EventNote {
			fmt.Fprintln(stderr, noteText(e))
		}
	}
	tellKept(stderr, run, given)
	s, err := engine.Open(ctx, eng, run, given)
	if err != nil {
		return err
	}
	err = s.Mask(s.Verify(ctx))
	if closeErr := s.Close(); closeErr != nil {
		err = errors.Join(err, closeErr)
	}
	return err
}

// statusView is a run as `status -o json` shows it. Its fields are stable.
type statusView struct {
	Run     string                     `json:"run"`
	ID      string                     `json:"id"`
	Plan    string                     `json:"plan"`
	Status  state.RunStatus            `json:"status"`
	Since   time.Time                  `json:"since"`
	Error   string                     `json:"error"`
	Levels  []levelView                `json:"levels"`
	Outputs map[string]json.RawMessage `json:"outputs"`

	incomplete error
}

type levelView struct {
	Name     string        `json:"name"`
	Status   string        `json:"status"`
	Services []serviceView `json:"services"`
}

type serviceView struct {
	Address    string          `json:"address"`
	Status     state.Status    `json:"status"`
	Runner     string          `json:"runner"`
	Host       string          `json:"host"`
	InstanceID string          `json:"instance_id"`
	Attributes json.RawMessage `json:"attributes"`
	Phase      string          `json:"phase"`
	Error      string          `json:"error"`
	Since      time.Time       `json:"since"`
	Log        string          `json:"log"`
	failure    *engine.Failure
}

// readStatus reads what is recorded of a run.
func readStatus(ctx context.Context, eng engine.Options, id string) (*statusView, error) {
	run, err := eng.DB.FindRun(ctx, id)
	if err != nil {
		return nil, err
	}
	levels, err := eng.DB.Levels(ctx, run.ID)
	if err != nil {
		return nil, err
	}
	services, err := eng.DB.Services(ctx, run.ID)
	if err != nil {
		return nil, err
	}
	outputs, err := outputsOf(eng.DB, run)
	if err != nil {
		return nil, err
	}
	v := &statusView{
		Run: run.Name, ID: run.ID, Plan: run.Plan, Status: run.Status, Since: run.Since, Error: run.Error,
		Levels: []levelView{}, Outputs: outputs,
		incomplete: engine.Complete(run),
	}
	index := map[string]int{}
	for _, lv := range levels {
		if !lv.Group {
			index[lv.Name] = len(v.Levels)
			v.Levels = append(v.Levels, levelView{Name: lv.Name, Services: []serviceView{}})
		}
	}
	for _, row := range services {
		i, ok := index[row.Level]
		if !ok {
			i = len(v.Levels)
			index[row.Level] = i
			v.Levels = append(v.Levels, levelView{Name: row.Level, Services: []serviceView{}})
		}
		v.Levels[i].Services = append(v.Levels[i].Services, viewOf(row))
	}
	for i := range v.Levels {
		v.Levels[i].Status = levelStatus(v.Levels[i].Services)
	}
	return v, nil
}

func viewOf(row state.Service) serviceView {
	sv := serviceView{
		Address: row.Address, Status: row.Status, Runner: row.Runner, Host: row.Host, InstanceID: row.InstanceID,
		Attributes: row.Attributes, Phase: row.Phase, Error: row.Error, Since: row.Since, Log: row.Log,
		failure: engine.FailureOf(row),
	}
	if len(sv.Attributes) == 0 {
		sv.Attributes = json.RawMessage("{}")
	}
	return sv
}

// levelStatus is what a level's services add up to: the worst that is settled, or what is under way.
func levelStatus(services []serviceView) string {
	seen := map[state.Status]int{}
	for _, s := range services {
		seen[s.Status]++
	}
	for _, st := range []state.Status{
		state.Failed, state.Terminating, state.Provisioning, state.Connecting, state.Booting, state.Verifying,
		state.Skipped,
	} {
		if seen[st] > 0 {
			return string(st)
		}
	}
	switch n := len(services); {
	case seen[state.Pending] == n && n > 0:
		return string(state.Pending)
	case seen[state.Terminated] == n && n > 0:
		return string(state.Terminated)
	case seen[state.Ready]+seen[state.Terminated] == n:
		return string(state.Ready)
	}
	return string(state.Booting)
}

// verdict is the error that a run's recorded status amounts to, nil where all is well. It was shown already.
func (v *statusView) verdict() error {
	for _, lv := range v.Levels {
		for _, s := range lv.Services {
			if s.Status == state.Failed || s.Status == state.Skipped {
				return toldError{fmt.Errorf("run %s: %s is %s", v.Run, s.Address, s.Status)}
			}
		}
	}
	switch v.Status {
	case state.RunFailed, state.RunTerminating:
		return toldError{fmt.Errorf("run %s is %s", v.Run, v.Status)}
	}
	return v.incomplete
}
