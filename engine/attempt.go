package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/state"
)

// rebootStatus is how a program asks for its host to be restarted and to be run again after that.
const rebootStatus = 194

// maxReboots bounds a program that asks for a reboot each time it runs.
const maxReboots = 8

// maxRetryDelay is up to where the delay between retries doubles.
const maxRetryDelay = time.Minute

// bootProgram runs the boot program, as often as its retries allow, and
// takes the exports that it left.
func (s *Session) bootProgram(ctx context.Context, svc *service, prepared *plan.Prepared, started func()) error {
	p := prepared.Boot
	again := reruns{delay: p.RetryDelay}
	for {
		attached, err := s.openBoot(svc)
		if err != nil {
			return err
		}
		log := s.newPhaseLog(svc, logName(svc.note.Boot))
		result, err := s.runBoot(ctx, svc, prepared, log, started)
		if !log.empty() {
			svc.wrote = append(svc.wrote, svc.note.Boot)
		}
		if err != nil {
			return s.bootError(ctx, svc, p, log, err)
		}
		s.maskExports(svc, result.Collected, log)
		svc.note.Open = false
		if result.Outcome == runners.Stopped && ctx.Err() != nil {
			log.close() // with what it held back
			return s.leftOff(ctx, svc, PhaseBoot)
		}
		if result.Emptied {
			svc.emptied(svc.note.Boot)
		}
		if result.Outcome == runners.Exited && result.Status == 0 {
			return s.bootEnded(svc, p, result, log)
		}
		log.close()
		if !result.Emptied {
			s.endGroup(ctx, svc, svc.note.Boot)
		}
		if attached && unfinished(result) { // the retries are left for what is the program's fault
			s.Note(svc.address(), "attempt "+svc.note.Boot+" "+describe(result, p.Timeout)+"; it is made again")
			continue
		}
		more, err := s.rerun(ctx, svc, p, result, log, &again)
		if err != nil {
			return err
		}
		if !more {
			return s.fail(svc, s.programFailure(svc, PhaseBoot, p, result, log))
		}
	}
}

// openBoot records a new attempt at the boot program, or goes on with the one of which an earlier command did not learn
// the outcome: then attached is true.
func (s *Session) openBoot(svc *service) (attached bool, err error) {
	if !svc.note.Open {
		svc.note.Boot = svc.newAttempt("boot")
		return false, s.advance(svc, state.Booting, "").Wait()
	}
	if svc.status() == state.Booting {
		return true, nil
	}
	return true, s.advance(svc, state.Booting, "attach to "+svc.note.Boot).Wait()
}

// newAttempt names the next attempt at the service's boot program or process. It is open, and its process group is
// to be ended, from before it is started.
func (svc *service) newAttempt(program string) (name string) {
	name = fmt.Sprintf("%s-%d", program, svc.snapshot().Attempt+1)
	svc.note.Open = true
	svc.note.Groups = append(svc.note.Groups, name)
	svc.edit(func(row *state.Service) { row.Attempt++ })
	return name
}

// reruns count how often a boot program was run again.
type reruns struct {
	retries int
	reboots int
	delay   time.Duration // before the next retry
}

// rerun says whether a boot program that did not end well is to be run again, when everything is ready for that.
func (s *Session) rerun(ctx context.Context, svc *service, p *plan.Program, result runners.Result, log *phaseLog, again *reruns) (bool, error) {
	if result.Outcome == runners.Exited && result.Status == rebootStatus && again.reboots < maxReboots {
		again.reboots++
		err := s.reboot(ctx, svc, p, log)
		return err == nil, err
	}
	if again.retries >= p.Retries {
		return false, nil
	}
	again.retries++
	s.Note(svc.address(), fmt.Sprintf("%s %s; try %d of %d in %s", p.Display, describe(result, p.Timeout), again.retries+1, p.Retries+1, again.delay))
	if !pause(ctx, again.delay) {
		return false, s.leftOff(ctx, svc, PhaseBoot)
	}
	again.delay = min(2*again.delay, maxRetryDelay)
	return true, nil
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

// bootEnded takes a boot program's good end, and what it left for others to use.
func (s *Session) bootEnded(svc *service, p *plan.Program, result runners.Result, log *phaseLog) error {
	got, exportsErr := s.exportsLeft(svc, result, log)
	path, err := log.close()
	if err != nil {
		s.Note(svc.address(), err.Error())
	}
	if exportsErr != nil {
		f := newFailure(svc, PhaseBoot, exportsErr.Error())
		f.Command, f.Tail, f.Log = p.Display, log.tailOf(), path
		return s.fail(svc, f)
	}
	s.learn(svc, got)
	return nil
}

// exportsLeft reads the exports that a boot program left. Those that the plan does not declare are noted, in its log too.
func (s *Session) exportsLeft(svc *service, result runners.Result, log *phaseLog) (exports, error) {
	if result.CollectErr != "" {
		return nil, errors.New("its exports file cannot be taken: " + result.CollectErr)
	}
	got, ignored, err := svc.spec.ParseExports(result.Collected)
	if err != nil {
		return nil, err
	}
	if len(ignored) > 0 {
		note := "its boot program left exports that the plan does not declare; they are ignored: " + strings.Join(ignored, ", ")
		s.Note(svc.address(), note)
		log.note(note)
	}
	return got, nil
}

// maskExports masks the sensitive exports that a boot program left in what launch keeps of its output, and of the output
// of the attempts before: nobody could know them while it was written.
func (s *Session) maskExports(svc *service, left []byte, log *phaseLog) {
	secrets := svc.spec.SecretsIn(left)
	if len(secrets) == 0 {
		return
	}
	s.masker.add(secrets)
	log.close() // what is wrong with it, it tells again
	for i := range svc.snapshot().Attempt {
		l := log
		if name := fmt.Sprintf("boot-%d", i+1); name != svc.note.Boot {
			l = s.newPhaseLog(svc, logName(name))
		}
		if err := l.maskAgain(); err != nil {
			s.Note(svc.address(), err.Error())
		}
	}
}

// emptied takes a process group of which nothing is left from those that are to be ended.
func (svc *service) emptied(name string) {
	svc.note.Groups = slices.DeleteFunc(svc.note.Groups, func(group string) bool { return group == name })
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
func (s *Session) runBoot(ctx context.Context, svc *service, prepared *plan.Prepared, log *phaseLog, started func()) (runners.Result, error) {
	if err := log.restart(); err != nil {
		return runners.Result{}, err
	}
	rp := s.program(svc, PhaseBoot, svc.note.Boot, runners.Durable, prepared.Boot, log)
	rp.Files = placed(prepared)
	rp.Collect = exportsFile + svc.note.Boot
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
func (s *Session) reboot(ctx context.Context, svc *service, p *plan.Program, log *phaseLog) error {
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
	f.Command, f.Source, f.Tail = p.Display, source(p.Range), log.tailOf()
	f.Log, _ = log.close()
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
	f := newFailure(svc, phase, p.Display+" "+describe(result, p.Timeout))
	f.Command, f.Source = p.Display, source(p.Range)
	path, err := log.close()
	f.Log, f.Tail = path, log.tailOf()
	if err != nil {
		f.Hint = err.Error()
	}
	return f
}
