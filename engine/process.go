package engine

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/state"
)

// startProcess starts the program that is the service itself. The intent is
// recorded with the process's name, so that an attempt which was cut off is found
// again and not made twice.
func (s *Session) startProcess(ctx context.Context, svc *service, prepared *plan.Prepared, started func()) error {
	p := prepared.Process
	if !svc.note.Open {
		svc.note.Process = svc.newAttempt("process")
		if err := s.advance(svc, state.Booting, "").Wait(); err != nil {
			return err
		}
	}
	rp := s.program(svc, PhaseBoot, svc.note.Process, runners.Process, &p.Program, nil)
	rp.Files = placed(prepared)
	rp.Stop = runners.Stop{Signal: p.StopSignal, Grace: p.StopTimeout}
	rp.Timeout = 0
	rp.Started = started
	if err := svc.host.Start(ctx, rp); err != nil {
		var notStarted *runners.StartError
		if errors.As(err, &notStarted) {
			svc.note.Open = false
		}
		if ctx.Err() != nil && svc.note.Open {
			return s.leftOff(ctx, svc, PhaseBoot)
		}
		f := fromError(svc, PhaseBoot, err)
		f.Command, f.Source = p.Display, source(p.Range)
		return s.fail(svc, f)
	}
	svc.note.Open = false
	return nil
}

// ProcessLog is what the log of a service's process is called, and keptOutput how much of its end is kept there.
const (
	ProcessLog = "process"
	keptOutput = 1 << 20 // what explains an end is in it, and the logs of a thousand processes take little room
)

// keepOutput keeps the end of what a process wrote that has ended: the file on its host goes with the work directory.
func (s *Session) keepOutput(ctx context.Context, svc *service) {
	if svc.note.Process == "" {
		return
	}
	id := runners.ID{Service: runners.DirName(svc.address()), Name: svc.note.Process}
	end, err := svc.host.Output(ctx, id, -keptOutput, keptOutput)
	if ctx.Err() != nil || errors.Is(err, fs.ErrNotExist) { // it was ended and kept before
		return
	}
	if len(end) == keptOutput { // without a line, or a secret, that is cut in two
		end = end[bytes.IndexByte(end, '\n')+1:]
		end = slices.Concat([]byte("[launch: what the process wrote before this was left out]\n"), end)
	}
	log := s.newPhaseLog(svc, ProcessLog)
	if err == nil {
		err = log.restart()
	}
	if err == nil {
		log.Write(end)
		_, err = log.close()
	}
	if err != nil {
		s.Note(svc.address(), "what its process wrote could not be kept: "+err.Error())
	}
}

// slowProgram is when a program's output begins to be of interest to whoever watches.
const slowProgram = time.Second

// watchOutput tells observers the last line of a program's output now and then,
// once the program is slow. The function that it returns ends that.
func (s *Session) watchOutput(svc *service, log *phaseLog) (stop func()) {
	if s.opts.Observe == nil {
		return func() {}
	}
	var mu sync.Mutex
	last := ""
	var timer *time.Timer
	timer = time.AfterFunc(slowProgram, func() {
		mu.Lock()
		defer mu.Unlock()
		if timer == nil {
			return
		}
		if lines := log.tailOf(); len(lines) > 0 && lines[len(lines)-1] != last {
			last = lines[len(lines)-1]
			s.news.tell(Event{Type: EventOutput, Service: svc.address(), Level: svc.spec.Level.Name, Text: last})
		}
		timer.Reset(slowProgram)
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		timer.Stop()
		timer = nil
	}
}
