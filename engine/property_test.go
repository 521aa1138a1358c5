package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestAnyHistory carries out random plans on a machine where anything may fail, interrupted at random and
// cut off at random, with random commands after that, and checks the journal: every transition is in the table, no
// service begins before what it comes after is complete, no program is started twice, and in the end all is as it should be.
func TestAnyHistory(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if given, err := strconv.ParseUint(os.Getenv("LAUNCH_TEST_SEED"), 10, 64); err == nil {
		seed = given
	}
	runs := 30
	if os.Getenv("LAUNCH_LONG") != "" {
		runs = 3000
	}
	t.Logf("LAUNCH_TEST_SEED=%d", seed)
	for n := range runs {
		h := &history{t: t, random: rand.New(rand.NewPCG(seed, uint64(n)))}
		h.live()
		if t.Failed() {
			t.Fatalf("history %d of LAUNCH_TEST_SEED=%d failed; it did %s\nand wrote\n%s",
				n, seed, strings.Join(h.did, "; "), strings.Join(h.wrote, "\n"))
		}
	}
}

// A history is the life of one run.
type history struct {
	t       *testing.T
	random  *rand.Rand
	machine *machine
	site    site
	cloud   *cloud
	opts    Options
	source  string
	run     string
	did     []string
	wrote   []string // the journal
}

func (h *history) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatalf("%v (did %v, plan\n%s)", err, h.did, h.source)
	}
}

func (h *history) live() {
	dir := h.t.TempDir()
	db, err := state.Open(context.Background(), dir)
	h.must(err)
	defer db.Close()
	h.machine = newMachine(&luck{random: h.random}, "127.0.0.1")
	h.site = site{"h1": newMachine(h.machine.luck, "h1"), "h2": newMachine(h.machine.luck, "h2")}
	h.cloud = newCloud(h.machine.luck)
	h.source = h.randomPlan()
	here := func(context.Context, struct{}, runners.Env) (runners.Runner, error) { return h.machine, nil }
	there := func(context.Context, struct{}, runners.Env) (runners.Runner, error) { return h.site, nil }
	h.opts = Options{
		DB: db, Dir: dir, Command: "test",
		Runners: []RunnerType{Register("local", plan.NoHost, here), Register("far", plan.NeedsHost, there), h.cloud.runnerType()},
	}
	h.boot()
	for range h.random.IntN(6) {
		if h.random.IntN(3) == 0 {
			h.machines()[h.random.IntN(3)].strike()
		}
		if h.random.IntN(6) == 0 {
			h.cloud.strike()
		}
		h.open(commands[h.random.IntN(len(commands))], false)
		h.checkJournal()
	}
	h.machine.calm = true
	h.open("repair", false) // which may find that a program failed while nobody looked
	h.open("repair", true)
	h.checkStatus(state.RunReady, state.Ready)
	h.checkMachines()
	h.machine.calm = false
	for range h.random.IntN(3) {
		h.open("terminate", false)
	}
	h.machine.calm = true
	h.open("terminate", false)
	h.open("terminate", true)
	h.checkStatus(state.RunTerminated, state.Terminated)
	h.checkJournal()
	left := ""
	for _, m := range h.machines() {
		left += m.left()
	}
	moved := slices.ContainsFunc(h.wrote, func(line string) bool { // what the host that it had would not give up does not keep a service there
		return strings.Contains(line, " note ") && (strings.Contains(line, "cannot reach") || strings.Contains(line, "could not be removed"))
	})
	if left != "" && !moved {
		h.t.Errorf("after terminate there is still %s", left)
	}
	if left := h.cloud.wrong(nil); left != nil {
		h.t.Errorf("after terminate %s", left)
	}
}

// machines are those that nobody made.
func (h *history) machines() []*machine { return []*machine{h.machine, h.site["h1"], h.site["h2"]} }

// commands that may come after a boot.
var commands = []string{"resume", "resume", "repair", "restart", "verify", "reload"}

// boot creates the run, and begins to bring it up.
func (h *history) boot() {
	planDir := h.writePlan()
	h.did = append(h.did, "with the plan\n"+h.source)
	h.run = NewID()
	_, tree, _, err := Load(h.opts, planDir, plan.Inputs{RunName: "run", RunID: h.run})
	h.must(err)
	set := Settings{OnFailure: Stop}
	if h.random.IntN(2) == 0 {
		set.OnFailure = Continue
	}
	s, err := Create(context.Background(), h.opts, tree, "run", h.run, planDir, set)
	h.must(err)
	h.drive(s, "boot", s.Boot)
}

// open is another command for the run.
func (h *history) open(command string, must bool) {
	run, err := h.opts.DB.FindRun(context.Background(), h.run)
	h.must(err)
	s, err := Open(context.Background(), h.opts, run, nil)
	h.must(err)
	err = h.drive(s, command, map[string]func(context.Context) error{
		"resume": s.Resume, "verify": s.Verify, "terminate": s.Terminate,
		"repair": func(ctx context.Context) error { return s.Repair(ctx, nil, 2) },
		"restart": func(ctx context.Context) error {
			one := s.services[h.random.IntN(len(s.services))].address()
			return s.Restart(ctx, []string{one}, 1)
		},
		"reload": func(ctx context.Context) error { return h.reload(ctx, s) },
	}[command])
	if must && err != nil {
		for _, f := range s.failures() {
			h.t.Log(f)
		}
		h.must(err)
	}
}

// reload makes another plan the run's: it has some of the services of the one before.
func (h *history) reload(ctx context.Context, s *Session) error {
	h.source = h.randomPlan()
	h.did = append(h.did, "with the plan\n"+h.source)
	inputs, err := s.ReloadInputs(nil)
	h.must(err)
	planDir := h.writePlan()
	_, tree, _, err := Load(h.opts, planDir, inputs)
	h.must(err)
	s.Compare(ctx, tree)
	return s.Reload(ctx, tree, planDir)
}

// writePlan writes the present plan to the run's plan directory.
func (h *history) writePlan() string {
	dir := filepath.Join(h.opts.Dir, "plan")
	h.must(os.MkdirAll(dir, 0o700))
	h.must(os.WriteFile(filepath.Join(dir, "plan.hcl"), []byte(h.source), 0o600))
	return dir
}

// drive carries a command out, with an interrupt, or a cut as by kill -9, somewhere in it.
func (h *history) drive(s *Session, command string, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	cause, how := error(nil), ""
	if !h.machine.calm && h.random.IntN(3) > 0 {
		if how = " interrupted"; h.random.IntN(2) == 0 {
			cause, how = runners.ErrDetach, " cut off"
		}
		at := 1 + h.random.IntN(12)
		how += fmt.Sprintf(" at %d", at)
		h.machine.arm(at, func() { cancel(cause) })
	}
	h.did = append(h.did, command+how)
	err := do(ctx)
	h.machine.arm(0, nil)
	h.must(s.Close())
	h.did[len(h.did)-1] += fmt.Sprintf(" (%v)", err)
	if errors.Is(err, context.Canceled) && !errors.Is(err, ErrInterrupted) {
		h.t.Errorf("%s returned %v, which is no message for an operator", command, err)
	}
	return err
}

// checkStatus checks where the run and all of its services stand.
func (h *history) checkStatus(want state.RunStatus, service state.Status) {
	h.t.Helper()
	run, err := h.opts.DB.FindRun(context.Background(), h.run)
	h.must(err)
	if run.Status != want {
		h.t.Errorf("the run is %s, not %s: %s", run.Status, want, run.Error)
	}
	rows, err := h.opts.DB.Services(context.Background(), h.run)
	h.must(err)
	tree, err := Restore(context.Background(), h.opts, run, run.Generation, nil)
	h.must(err)
	for _, row := range rows {
		if gone := tree.Service(row.Address) == nil; gone && row.Status == state.Terminated {
			continue
		}
		if row.Status != service {
			h.t.Errorf("%s is %s, not %s: %s", row.Address, row.Status, service, row.Error)
		}
	}
}

// checkMachines checks that each service has the machine that its plan wants, and nobody else has one.
func (h *history) checkMachines() {
	h.t.Helper()
	run, err := h.opts.DB.FindRun(context.Background(), h.run)
	h.must(err)
	tree, err := Restore(context.Background(), h.opts, run, run.Generation, nil)
	h.must(err)
	sizes := map[string]string{}
	for _, spec := range tree.Services {
		if spec.On == nil && spec.Runner.Type == "cloud" {
			sizes[spec.Address] = spec.Runner.Name
		}
	}
	if wrong := h.cloud.wrong(sizes); wrong != nil {
		h.t.Errorf("the run is ready, and %s", wrong)
	}
}

// checkJournal plays the journal from its beginning.
func (h *history) checkJournal() {
	h.t.Helper()
	ctx := context.Background()
	run, err := h.opts.DB.FindRun(ctx, h.run)
	h.must(err)
	tree, err := Restore(ctx, h.opts, run, 1, nil)
	h.must(err)
	status := map[string]state.Status{}
	h.wrote = nil
	stops := !strings.Contains(string(run.Options), `"continue"`)
	is := state.RunStatus("")
	for e, err := range h.opts.DB.Journal(ctx, h.run, 0) {
		h.must(err)
		h.wrote = append(h.wrote, fmt.Sprintf("%d %s %s: %s -> %s %s", e.Seq, e.Kind, e.Service, e.From, e.To, e.Cause))
		switch e.Kind {
		case "run":
			if e.From != string(is) || is != "" && !is.CanBecome(state.RunStatus(e.To)) {
				h.t.Errorf("event %d: the run goes from %q to %q, and was %q", e.Seq, e.From, e.To, is)
			}
			is = state.RunStatus(e.To)
		case "service":
			from, to := state.Status(e.From), state.Status(e.To)
			if status[e.Service] == "" {
				status[e.Service] = state.Pending
			}
			if from != status[e.Service] || !from.CanBecome(to) {
				h.t.Errorf("event %d: %s goes from %s to %s, and was %s", e.Seq, e.Service, from, to, status[e.Service])
			}
			status[e.Service] = to
			if run.Generation > 1 || from != state.Pending || !slices.Contains([]state.Status{state.Provisioning, state.Connecting, state.Booting}, to) {
				continue
			}
			for _, before := range tree.Service(e.Service).Level.After {
				for _, svc := range before.Services {
					st := cmp.Or(status[svc.Address], state.Pending)
					if st != state.Ready && (stops || st != state.Failed && st != state.Skipped) {
						h.t.Errorf("event %d: %s begins while %s is %s", e.Seq, e.Service, svc.Address, st)
					}
				}
			}
		}
	}
	twice := h.cloud.twice()
	for _, m := range h.machines() {
		twice = append(twice, m.twice()...)
	}
	if len(twice) > 0 {
		h.t.Errorf("started more than once: %s", twice)
	}
}

// randomPlan writes a plan of a few levels, in which later services use exports of earlier ones.
func (h *history) randomPlan() string {
	var b strings.Builder
	b.WriteString("runner \"far\" \"away\" {}\n")
	for _, size := range []string{"small", "large"} {
		fmt.Fprintf(&b, "runner \"cloud\" %q { size = %q }\n", size, size)
	}
	var levels, exporters, bases []string
	for l := range 1 + h.random.IntN(4) {
		name := fmt.Sprintf("l%d", l)
		fmt.Fprintf(&b, "level %q {\n", name)
		if l > 0 && h.random.IntN(2) == 0 {
			var after []string
			for _, other := range levels {
				if h.random.IntN(2) == 0 {
					after = append(after, "level."+other)
				}
			}
			fmt.Fprintf(&b, "  after = [%s]\n", strings.Join(after, ", "))
		}
		if h.random.IntN(3) == 0 {
			fmt.Fprintf(&b, "  parallelism = %d\n", 1+h.random.IntN(2))
		}
		levels = append(levels, name)
		var made, single []string
		for n := range 1 + h.random.IntN(3) {
			svc := fmt.Sprintf("s%d%c", l, 'a'+n)
			fmt.Fprintf(&b, "  service %q {\n", svc)
			switch h.random.IntN(7) {
			case 0, 1:
				fmt.Fprintf(&b, "    runner = runner.far.away\n    host = \"h%d\"\n", 1+h.random.IntN(2))
			case 2:
				b.WriteString("    runner = runner.cloud.small\n")
			case 3:
				b.WriteString("    runner = runner.cloud.large\n")
			case 4:
				if len(bases) > 0 {
					fmt.Fprintf(&b, "    on = service.%s\n", bases[h.random.IntN(len(bases))])
				}
			}
			env := ""
			if len(exporters) > 0 && h.random.IntN(2) == 0 {
				env = fmt.Sprintf("\n      env = { V = service.%s.v }", exporters[h.random.IntN(len(exporters))])
			}
			kind := h.random.IntN(4)
			if kind != 1 {
				single = append(single, svc)
			}
			switch kind {
			case 0:
				fmt.Fprintf(&b, "    process {\n      command = [\"stay\"]%s\n    }\n", env)
			case 1:
				fmt.Fprintf(&b, "    count = %d\n    boot {\n      command = [\"boot\"]%s\n      retries = 1\n      retry_delay = \"1ms\"\n    }\n", 1+h.random.IntN(3), env)
			default:
				exports := "exports = { v = string }"
				if h.random.IntN(2) == 0 {
					exports = "export \"v\" {\n      type      = string\n      sensitive = true\n    }"
				}
				if h.random.IntN(3) == 0 {
					exports += "\n    export \"w\" { type = number }"
				}
				fmt.Fprintf(&b, "    boot {\n      command = [\"boot\"]%s\n    }\n    %s\n", env, exports)
				made = append(made, svc)
			}
			if h.random.IntN(2) == 0 {
				b.WriteString("    ready {\n      command = [\"ready\"]\n      attempts = 2\n      interval = \"1ms\"\n    }\n")
			}
			if h.random.IntN(2) == 0 {
				fmt.Fprintf(&b, "    terminate {\n      command = [\"end\"]%s\n    }\n", env)
			}
			b.WriteString("  }\n")
		}
		exporters, bases = append(exporters, made...), append(bases, single...)
		b.WriteString("}\n")
	}
	return b.String()
}
