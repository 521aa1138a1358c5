package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/state"
)

// rebootStatus is how a program asks for its host to be restarted and to be run again after that.
const rebootStatus = 194

// maxReboots bounds a program that asks for a reboot each time it runs.
const maxReboots = 8

// bringUp takes a service from wherever it stands to ready: it gets its host,
// boots what is not booted yet, attaches to what is booting, and verifies.
// What was completed by an earlier command is not done again.
func (s *Session) bringUp(ctx context.Context, svc *service, started func()) error {
	if err := s.reach(ctx, svc, started); err != nil {
		return err
	}
	if err := s.recallUsed(ctx, svc); err != nil {
		return s.fail(svc, fromError(svc, PhaseConnect, err))
	}
	if !s.booted(svc) {
		if err := s.boot(ctx, svc, started); err != nil {
			return err
		}
	} else if err := s.recallSecrets(ctx, svc); err != nil {
		return s.fail(svc, fromError(svc, PhaseVerify, err))
	}
	started()
	return s.verify(ctx, svc)
}

// booted says whether the service's boot phase is complete, so that only verification is left.
func (s *Session) booted(svc *service) bool { return svc.note.Booted }

// reach gets the service its host: provisions it where it has to be made, and connects.
func (s *Session) reach(ctx context.Context, svc *service, started func()) error {
	if svc.host != nil {
		return nil
	}
	svc.note.Generation = s.Run().Generation
	if svc.on != nil {
		return s.share(ctx, svc, started)
	}
	r, err := s.hosts.runner(ctx, svc.spec.Runner)
	if err != nil {
		return s.fail(svc, fromError(svc, PhaseConnect, err))
	}
	target, diags := svc.spec.Target()
	if diags.HasErrors() {
		return s.fail(svc, fromDiagnostics(svc, PhaseConnect, diags))
	}
	if p := provisioner(r); p != nil {
		started()
		if err := s.provision(ctx, svc, p, target); err != nil {
			return err
		}
	}
	if svc.spec.Runner.Type != "local" {
		started()
	}
	return s.connect(ctx, svc, r, target)
}

// provision waits for the service's host to exist. Its address is a fact from then on.
func (s *Session) provision(ctx context.Context, svc *service, p runners.Provisioner, target string) error {
	svc.note.Made = true
	if st := svc.status(); st == state.Pending || st == state.Skipped || st == state.Failed && !s.booted(svc) && !svc.note.Open {
		if err := s.advance(svc, state.Provisioning, "").Wait(); err != nil {
			return err
		}
	}
	got, err := p.Await(ctx, runners.Want{Service: svc.address(), Host: target})
	if err != nil {
		if ctx.Err() != nil {
			return s.leftOff(ctx, svc, PhaseProvision)
		}
		return s.fail(svc, fromError(svc, PhaseProvision, err))
	}
	s.learnFacts(svc, got)
	return nil
}

// connect reaches the host; on this machine there is nothing to wait for, and nothing to record.
func (s *Session) connect(ctx context.Context, svc *service, r runners.Runner, target string) error {
	if svc.note.Facts != nil && svc.note.Facts.Pool {
		return nil
	}
	remote := svc.spec.Runner.Type != "local"
	if st := svc.status(); remote && !s.booted(svc) && !svc.note.Open && st != state.Booting {
		svc.note.Made = true
		if err := s.advance(svc, state.Connecting, "").Wait(); err != nil {
			return err
		}
	}
	host, err := r.Connect(ctx, runners.Target{Service: svc.address(), Host: target})
	if err != nil {
		if ctx.Err() != nil {
			return s.leftOff(ctx, svc, PhaseConnect)
		}
		return s.fail(svc, fromError(svc, PhaseConnect, err))
	}
	svc.host = host
	if provisioner(r) == nil {
		s.learnFacts(svc, host.Facts())
	}
	return s.learnHost(svc)
}

// share uses the host of the service that this one stands on.
func (s *Session) share(ctx context.Context, svc *service, started func()) error {
	owner := svc.on
	if owner.host == nil {
		return s.fail(svc, &Failure{
			Service: svc.address(), Phase: PhaseConnect, Source: source(svc.spec.Range),
			Reason: fmt.Sprintf("the host of %s is not connected", owner.address()),
		})
	}
	started()
	svc.host = owner.host
	s.onHostOf(svc)
	return s.learnHost(svc)
}

// onHostOf takes over where the host is that a service shares.
func (s *Session) onHostOf(svc *service) {
	f := *svc.on.note.Facts
	f.WorkDir = svc.host.WorkDir(runners.DirName(svc.address()), svc.note.User)
	svc.note.Facts = &f
	host := svc.on.snapshot()
	svc.edit(func(row *state.Service) { row.Host, row.InstanceID = host.Host, host.InstanceID })
}

// learnFacts keeps where the service's host is, for its row and for those who refer to it.
func (s *Session) learnFacts(svc *service, f runners.Facts) {
	svc.note.Facts = &facts{Address: f.Address, Private: f.PrivateAddress, Public: f.PublicAddress, Pool: f.NoHost}
	svc.edit(func(row *state.Service) { row.Host, row.InstanceID = f.Address, f.InstanceID })
}

// learnHost tells the plan of the host that the service has now, beside the exports that an earlier command recorded.
func (s *Session) learnHost(svc *service) error {
	svc.note.Facts.WorkDir = svc.host.WorkDir(runners.DirName(svc.address()), svc.note.User)
	svc.exportsKnown = false
	return s.restoreKnown(svc)
}

// learn tells the plan what is known of the service; exports may be nil.
func (s *Session) learn(svc *service, exports exports) {
	if svc.host != nil {
		svc.note.Facts.WorkDir = svc.host.WorkDir(runners.DirName(svc.address()), svc.note.User)
	}
	svc.exportsKnown = exports != nil
	svc.tree.Learn(svc.spec, svc.known(exports))
}

// boot prepares the service and runs its boot program, or starts its process.
func (s *Session) boot(ctx context.Context, svc *service, started func()) error {
	prepared, diags := s.prepare(svc)
	if diags.HasErrors() {
		return s.fail(svc, fromDiagnostics(svc, PhaseBoot, diags))
	}
	row := svc.snapshot()
	svc.edit(func(row *state.Service) {
		row.Fingerprint = svc.spec.Fingerprint(prepared, row.Host, s.run.Key)
	})
	svc.note.Made = true
	svc.note.Failure = nil
	switch {
	case prepared.Boot != nil:
		left, err := s.bootProgram(ctx, svc, prepared, started)
		if err != nil {
			if !svc.note.Open {
				s.discard(ctx, svc)
			}
			return err
		}
		if err := s.takeExports(svc, left); err != nil {
			return err
		}
	case prepared.Process != nil:
		if err := s.startProcess(ctx, svc, prepared, started); err != nil {
			return err
		}
		s.learn(svc, exports{})
	default:
		if len(prepared.Files) > 0 {
			return s.fail(svc, &Failure{Service: svc.address(), Phase: PhaseBoot, Source: source(svc.spec.Range), Reason: "it has files, but neither boot nor process that would use them"})
		}
		s.learn(svc, exports{})
	}
	if row.Status != state.Verifying {
		if err := s.beginVerify(svc); err != nil {
			return err
		}
	}
	s.discard(ctx, svc)
	return nil
}

// discard removes the raw output of attempts whose end is recorded: what is kept of it is masked.
func (s *Session) discard(ctx context.Context, svc *service) {
	for _, name := range svc.wrote {
		if err := svc.host.Discard(ctx, runners.ID{Service: runners.DirName(svc.address()), Name: name}); err != nil {
			s.Note(svc.address(), "the program's raw output could not be removed: "+err.Error())
		}
	}
	svc.wrote = nil
}

// prepare evaluates the service; where its program runs as another user, the work directory is that user's.
func (s *Session) prepare(svc *service) (*plan.Prepared, hcl.Diagnostics) {
	prepared, diags := svc.spec.Prepare()
	if diags.HasErrors() {
		return nil, diags
	}
	user := ""
	if prepared.Boot != nil {
		user = prepared.Boot.User
	} else if prepared.Process != nil {
		user = prepared.Process.User
	}
	if user != svc.note.User {
		svc.note.User = user
		s.learn(svc, nil)
		return svc.spec.Prepare()
	}
	return prepared, diags
}

// bootProgram runs the boot program, as often as its retries allow, and
// returns the exports file that it left.
func (s *Session) bootProgram(ctx context.Context, svc *service, prepared *plan.Prepared, started func()) ([]byte, error) {
	p := prepared.Boot
	delay := p.RetryDelay
	for try, reboots := 0, 0; ; {
		attached := svc.note.Open
		name := svc.note.Boot
		if !attached {
			row := svc.snapshot()
			name = fmt.Sprintf("boot-%d", row.Attempt+1)
			svc.note.Boot, svc.note.Open = name, true
			svc.note.Groups = append(svc.note.Groups, name)
			svc.edit(func(row *state.Service) { row.Attempt++ })
			if err := s.advance(svc, state.Booting, "").Wait(); err != nil {
				return nil, err
			}
		} else if svc.status() != state.Booting {
			if err := s.advance(svc, state.Booting, "attach to "+name).Wait(); err != nil {
				return nil, err
			}
		}
		log := s.newPhaseLog(svc, logName(name))
		result, err := s.runBoot(ctx, svc, prepared, name, log, started)
		if !log.empty() {
			svc.wrote = append(svc.wrote, name)
		}
		if err != nil {
			return nil, s.bootError(ctx, svc, p, log, err)
		}
		if result.Outcome == runners.Stopped && ctx.Err() != nil {
			svc.note.Open = false
			return nil, s.leftOff(ctx, svc, PhaseBoot)
		}
		svc.note.Open = false
		if result.Outcome == runners.Exited && result.Status == 0 {
			return s.bootEnded(svc, result, log)
		}
		log.close()
		s.endGroup(ctx, svc, name)
		switch {
		case attached && unfinished(result):
			s.Note(svc.address(), "attempt "+name+" "+describe(result, p.Timeout)+"; it is made again")
			continue // not the program's fault: the retries are left for what is
		case result.Outcome == runners.Exited && result.Status == rebootStatus && reboots < maxReboots:
			reboots++
			if err := s.reboot(ctx, svc, p); err != nil {
				return nil, err
			}
			continue
		case try < p.Retries:
			try++
			s.Note(svc.address(), fmt.Sprintf("%s %s; try %d of %d in %s", p.Display, describe(result, p.Timeout), try+1, p.Retries+1, delay))
			if !pause(ctx, delay) {
				return nil, s.leftOff(ctx, svc, PhaseBoot)
			}
			delay = min(2*delay, time.Minute)
			continue
		}
		return nil, s.fail(svc, s.programFailure(svc, PhaseBoot, p, result, log))
	}
}

// unfinished says that an attempt of an earlier command was cut off: by an interrupt whose end that command did not
// wait for, or by something that nobody saw. It is not the program's fault.
func unfinished(r runners.Result) bool {
	return r.Outcome == runners.Stopped || r.Outcome == runners.Lost
}

// logName is what the log of an attempt is called: "boot" for the first one, since mostly there is one.
func logName(attempt string) string {
	if attempt == "boot-1" {
		return PhaseBoot
	}
	return attempt
}

// bootEnded takes a boot program's good end.
func (s *Session) bootEnded(svc *service, result runners.Result, log *phaseLog) ([]byte, error) {
	path, err := log.close()
	if err != nil {
		s.Note(svc.address(), err.Error())
	}
	if result.CollectErr != "" {
		return nil, s.fail(svc, &Failure{
			Service: svc.address(), Phase: PhaseBoot, Host: svc.snapshot().Host, Log: path,
			Source: source(svc.spec.Range), Reason: "its exports file cannot be taken: " + result.CollectErr,
		})
	}
	return result.Collected, nil
}

// endGroup ends what a failed program left behind in its process group. What it
// leaves behind when it ends well is part of the service.
func (s *Session) endGroup(ctx context.Context, svc *service, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	id := runners.ID{Service: runners.DirName(svc.address()), Name: name}
	if err := svc.host.Stop(ctx, id, runners.Stop{Signal: plan.StopSignal, Grace: plan.StopTimeout}); err != nil {
		s.Note(svc.address(), "what its program left running could not be ended: "+err.Error())
	}
}

// runBoot starts the attempt, or attaches to it, and waits for its end.
func (s *Session) runBoot(ctx context.Context, svc *service, prepared *plan.Prepared, name string, log *phaseLog, started func()) (runners.Result, error) {
	if err := log.restart(); err != nil {
		return runners.Result{}, err
	}
	rp := s.program(svc, PhaseBoot, name, runners.Durable, prepared.Boot, log)
	rp.Files = placed(prepared)
	rp.Collect = exportsFile + name
	rp.Env["LAUNCH_EXPORTS"] = svc.host.WorkDir(rp.ID.Service, rp.User) + "/" + rp.Collect
	rp.Started = started
	stopWatching := s.watchOutput(svc, log)
	defer stopWatching()
	return svc.host.Run(ctx, rp)
}

// placed are the files that a service finds in its work directory.
func placed(prepared *plan.Prepared) []runners.File {
	files := hostFiles(prepared.Files)
	return append(files, runners.File{Path: attributesFile, Mode: 0o600, Content: prepared.Attributes})
}

// reboot restarts the service's host since its program asked for it.
func (s *Session) reboot(ctx context.Context, svc *service, p *plan.Program) error {
	s.Note(svc.address(), p.Display+" asks for a reboot of "+svc.snapshot().Host)
	err := svc.host.Reboot(ctx)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return s.leftOff(ctx, svc, PhaseBoot)
	}
	f := fromError(svc, PhaseBoot, err)
	if errors.Is(err, errors.ErrUnsupported) {
		f.Reason = fmt.Sprintf("ended with status %d, which asks for a reboot: launch does not reboot this machine", rebootStatus)
	}
	f.Command, f.Source = p.Display, source(p.Range)
	return s.fail(svc, f)
}

// bootError explains why a boot program has no result. Where it may still be
// running, the attempt stays open, and resume attaches to it.
func (s *Session) bootError(ctx context.Context, svc *service, p *plan.Program, log *phaseLog, err error) error {
	var notStarted *runners.StartError
	if errors.As(err, &notStarted) {
		svc.note.Open = false
	}
	if ctx.Err() != nil && svc.note.Open {
		return s.leftOff(ctx, svc, PhaseBoot)
	}
	f := fromError(svc, PhaseBoot, err)
	f.Command, f.Source, f.Tail = p.Display, source(p.Range), log.tailOf()
	f.Log, _ = log.close()
	return s.fail(svc, f)
}

// programFailure explains a program that did not end as it should.
func (s *Session) programFailure(svc *service, phase string, p *plan.Program, result runners.Result, log *phaseLog) *Failure {
	f := &Failure{
		Service: svc.address(), Phase: phase, Host: svc.snapshot().Host, Command: p.Display,
		Reason: p.Display + " " + describe(result, p.Timeout), Source: source(p.Range),
	}
	path, err := log.close()
	f.Log, f.Tail = path, log.tailOf()
	if err != nil {
		f.Hint = err.Error()
	}
	return f
}

// takeExports reads what the boot program left for others to use.
func (s *Session) takeExports(svc *service, left []byte) error {
	got, ignored, err := svc.spec.ParseExports(left)
	if err != nil {
		return s.fail(svc, &Failure{
			Service: svc.address(), Phase: PhaseBoot, Host: svc.snapshot().Host,
			Reason: err.Error(), Source: source(svc.spec.Range),
		})
	}
	if len(ignored) > 0 {
		slices.Sort(ignored)
		s.Note(svc.address(), fmt.Sprintf("its boot program left exports that the plan does not declare; they are ignored: %v", ignored))
	}
	s.learn(svc, got)
	return nil
}

// leftOff records that an operator's interrupt stopped work on a service: resume goes on from here.
func (s *Session) leftOff(ctx context.Context, svc *service, phase string) error {
	if context.Cause(ctx) == runners.ErrDetach {
		return context.Cause(ctx) // nothing was stopped, so there is nothing to record
	}
	return s.fail(svc, &Failure{
		Service: svc.address(), Phase: phase, Host: svc.snapshot().Host, Source: source(svc.spec.Range),
		Reason: "interrupted by the operator", Hint: "`launch resume` goes on with it",
	})
}
