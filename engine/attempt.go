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

// bootProgram runs the boot program, as often as its retries allow, and takes
// the exports that it left.
func (s *Session) bootProgram(ctx context.Context, svc *service, prepared *plan.Prepared, started func()) error {
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
				return err
			}
		} else if svc.status() != state.Booting {
			if err := s.advance(svc, state.Booting, "attach to "+name).Wait(); err != nil {
				return err
			}
		}
		log := s.newPhaseLog(svc, logName(name))
		result, err := s.runBoot(ctx, svc, prepared, name, log, started)
		if !log.empty() {
			svc.wrote = append(svc.wrote, name)
		}
		if err != nil {
			return s.bootError(ctx, svc, p, log, err)
		}
		s.maskExports(svc, name, result.Collected, log)
		if result.Outcome == runners.Stopped && ctx.Err() != nil {
			svc.note.Open = false
			log.close() // with what it held back
			return s.leftOff(ctx, svc, PhaseBoot)
		}
		svc.note.Open = false
		if result.Emptied {
			svc.emptied(name)
		}
		if result.Outcome == runners.Exited && result.Status == 0 {
			return s.bootEnded(svc, p, result, log)
		}
		log.close()
		if !result.Emptied {
			s.endGroup(ctx, svc, name)
		}
		switch {
		case attached && unfinished(result):
			s.Note(svc.address(), "attempt "+name+" "+describe(result, p.Timeout)+"; it is made again")
			continue // not the program's fault: the retries are left for what is
		case result.Outcome == runners.Exited && result.Status == rebootStatus && reboots < maxReboots:
			reboots++
			if err := s.reboot(ctx, svc, p, log); err != nil {
				return err
			}
			continue
		case try < p.Retries:
			try++
			s.Note(svc.address(), fmt.Sprintf("%s %s; try %d of %d in %s", p.Display, describe(result, p.Timeout), try+1, p.Retries+1, delay))
			if !pause(ctx, delay) {
				return s.leftOff(ctx, svc, PhaseBoot)
			}
			delay = min(2*delay, time.Minute)
			continue
		}
		return s.fail(svc, s.programFailure(svc, PhaseBoot, p, result, log))
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

// bootEnded takes a boot program's good end, and what it left for others to use.
func (s *Session) bootEnded(svc *service, p *plan.Program, result runners.Result, log *phaseLog) error {
	got, exportsErr := s.exportsLeft(svc, result, log)
	path, err := log.close()
	if err != nil {
		s.Note(svc.address(), err.Error())
	}
	if exportsErr != nil {
		return s.fail(svc, &Failure{
			Service: svc.address(), Phase: PhaseBoot, Host: svc.snapshot().Host, Command: p.Display, Reason: exportsErr.Error(),
			Tail: log.tailOf(), Log: path, Source: source(svc.spec.Range),
		})
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
func (s *Session) maskExports(svc *service, attempt string, left []byte, log *phaseLog) {
	secrets := svc.spec.SecretsIn(left)
	if len(secrets) == 0 {
		return
	}
	s.masker.add(secrets)
	log.close() // what is wrong with it, it tells again
	for i := range svc.snapshot().Attempt {
		l := log
		if name := fmt.Sprintf("boot-%d", i+1); name != attempt {
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
