package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
)

const (
	// probeOnce bounds one network probe: a service that needs longer to accept a connection or to
	// answer a health check is not ready.
	probeOnce = 10 * time.Second
	// probeBody is how much of an answer a body expression looks at.
	probeBody = 1 << 20
	// probeLog is how much of a process's output one log probe reads at a time.
	probeLog = 4 << 20
)

// A prober makes one probe again and again.
type prober struct {
	s     *Session
	svc   *service
	probe *plan.Probe
	name  string
	log   *phaseLog
	found error // the last thing that a complete try found out

	offset int64  // of the output that a log probe has read
	rest   []byte // the unfinished line at its end
}

func (s *Session) newProbe(svc *service, p *plan.Probe, name string, log *phaseLog) *prober {
	return &prober{s: s, svc: svc, probe: p, name: name, log: log}
}

// try makes the probe once; nil means that it holds.
func (p *prober) try(ctx context.Context, attempt int) error {
	err := p.once(ctx, attempt)
	if err != nil && ctx.Err() == nil {
		p.found = err
	}
	return err
}

func (p *prober) once(ctx context.Context, attempt int) error {
	if p.svc.host == nil && (p.probe.Program != nil || p.probe.Log != nil) {
		return errors.New("a pool has no single host on which a program could be run")
	}
	switch {
	case p.probe.Program != nil:
		return p.program(ctx, attempt)
	case p.probe.Log != nil:
		return p.output(ctx)
	}
	err := p.network(ctx)
	switch {
	case !p.probe.Gone || ctx.Err() != nil:
		return err
	case err == nil:
		return errors.New("it still answers")
	}
	return nil
}

// network makes a tcp or http probe.
func (p *prober) network(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeOnce)
	defer cancel()
	if p.probe.HTTP != nil {
		return p.http(ctx)
	}
	conn, err := p.dial(ctx, "tcp", p.probe.TCP)
	if err != nil {
		return err
	}
	return conn.Close()
}

// dial connects from the service's host, or from here where the plan says so.
func (p *prober) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if p.probe.FromHere || p.svc.host == nil {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return p.svc.host.Dial(ctx, network, address)
}

func (p *prober) http(ctx context.Context) error {
	want := p.probe.HTTP
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, want.URL, nil)
	if err != nil {
		return err
	}
	client := &http.Client{
		Transport:     &http.Transport{DialContext: p.dial, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return errors.Unwrap(err) // without the url.Error's copy of the URL, which Display has already
	}
	defer resp.Body.Close()
	if want.Status == 0 && resp.StatusCode/100 != 2 || want.Status != 0 && resp.StatusCode != want.Status {
		return fmt.Errorf("the answer is %s", resp.Status)
	}
	if want.Body == nil {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, probeBody))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if !want.Body.Match(body) {
		return fmt.Errorf("the answer's body does not match %s", want.Body)
	}
	return nil
}

// program runs a ready or gone program: status 0 means that it holds.
func (p *prober) program(ctx context.Context, attempt int) error {
	name := fmt.Sprintf("%s-%d", p.name, attempt)
	rp := p.s.program(p.svc, PhaseVerify, name, runners.Check, p.probe.Program, p.log)
	result, err := p.svc.host.Run(ctx, rp)
	if err != nil {
		return err
	}
	if result.Outcome == runners.Exited && result.Status == 0 {
		return nil
	}
	if result.Outcome == runners.Stopped {
		return errors.New("it had not ended")
	}
	return errors.New("it " + describe(result, p.probe.Program.Timeout))
}

// output looks for the expression in what the process, or else the boot program, wrote since the last try.
func (p *prober) output(ctx context.Context) error {
	for {
		out, err := p.written(ctx)
		if gap, ok := errors.AsType[*runners.LeftOutError](err); ok {
			p.offset, p.rest = gap.Next, nil
			continue
		}
		if err != nil {
			return err
		}
		if len(out) == 0 {
			return errors.New("no line of the output matches")
		}
		p.offset += int64(len(out))
		text := append(p.rest, out...)
		if p.probe.Log.Match(text) {
			return nil
		}
		p.rest = append([]byte(nil), text[max(0, len(text)-tailBytes):]...) // a match may straddle two reads
	}
}

// written reads more of the output. That of a boot program is no longer on its host when it has ended, but in its log.
func (p *prober) written(ctx context.Context) ([]byte, error) {
	if name := p.svc.note.Process; name != "" {
		id := runners.ID{Service: runners.DirName(p.svc.address()), Name: name}
		return p.svc.host.Output(ctx, id, p.offset, probeLog)
	}
	log, err := os.Open(LogPath(p.s.opts.Dir, p.s.run.ID, p.svc.address(), logName(p.svc.note.Boot)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer log.Close()
	return io.ReadAll(io.NewSectionReader(log, p.offset, probeLog))
}
