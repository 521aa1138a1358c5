package plan

import (
	"net"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// A Probe of a ready or gone block. Exactly one of Program, TCP, HTTP and Log is set.
type Probe struct {
	Display  string
	Program  *Program
	TCP      string // host:port
	HTTP     *HTTPProbe
	Log      *regexp.Regexp
	Timeout  time.Duration
	Interval time.Duration // between probes; 0: growing from MinInterval to MaxInterval
	Attempts int           // 0: until the timeout
	FromHere bool
	Gone     bool // a network probe holds when nothing answers as described
	Range    hcl.Range
}

// An HTTPProbe holds when the answer has the status and the body matches.
type HTTPProbe struct {
	URL    string
	Status int            // 0: any 2xx
	Body   *regexp.Regexp // nil: any
}

// probe evaluates a ready or gone block. It is nil where that is not known.
func (e *evaluation) probe(b *probeBlock) *Probe {
	before := len(e.diags)
	p := &Probe{
		Timeout:  e.duration(b.timeout, "timeout", ReadyTimeout),
		Interval: e.duration(b.interval, "interval", 0),
		Attempts: e.whole(b.attempts, "attempts", 1, maxAttempts, 0),
		Gone:     b.kind == "gone",
		Range:    b.rng,
	}
	if from, ok := e.plainText(b.from, "from"); ok {
		if from != "here" && from != "host" {
			e.fail(b.from.Range(), "Unknown place", "\"from\" is \"here\" (where launch runs) or \"host\" (the service's host, as where it is left out), not %q.", shorten(from))
		}
		p.FromHere = from == "here"
	}
	known := false
	switch {
	case b.program != nil:
		p.Program = e.program(b.program)
		if known = p.Program != nil; known {
			p.Program.Timeout = p.Timeout
			p.Display = p.Program.Display
		}
	case b.tcp != nil:
		known = e.tcpProbe(b, p)
	case b.http != nil:
		known = e.httpProbe(b.http, p)
	case b.log != nil:
		known = e.logProbe(b, p)
	}
	if !known || len(e.diags) > before {
		return nil
	}
	return p
}

func (e *evaluation) tcpProbe(b *probeBlock, p *Probe) bool {
	address, ok := e.text(b.tcp)
	if !ok {
		e.notNull(b.tcp, "tcp")
		return false
	}
	host, port, err := net.SplitHostPort(address.value)
	number, portErr := strconv.Atoi(port)
	if err != nil || host == "" || portErr != nil || number < 1 || number > 65535 {
		e.fail(b.tcp.Range(), "Invalid address", "%q is not an address to connect to: it must be HOST:PORT, an IPv6 address in brackets.", shorten(address.shown()))
		return false
	}
	p.TCP = address.value
	p.Display = "tcp " + address.shown()
	return true
}

func (e *evaluation) httpProbe(b *httpBlock, p *Probe) bool {
	p.HTTP = &HTTPProbe{Status: e.whole(b.status, "status", 100, 599, 0)}
	body, bodyKnown := e.text(b.body)
	if bodyKnown {
		p.HTTP.Body = e.pattern(b.body, body)
	}
	address, ok := e.text(b.url)
	if !ok {
		e.notNull(b.url, "url")
		return false
	}
	u, err := url.Parse(address.value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		e.fail(b.url.Range(), "Invalid URL", "%q is not an http:// or https:// URL.", shorten(address.shown()))
		return false
	}
	p.HTTP.URL = address.value
	p.Display = "http " + address.shown()
	return bodyKnown || e.leftOut(b.body)
}

func (e *evaluation) logProbe(b *probeBlock, p *Probe) bool {
	pattern, ok := e.text(b.log)
	if !ok {
		e.notNull(b.log, "log")
		return false
	}
	if p.Log = e.pattern(b.log, pattern); p.Log != nil {
		p.Log = regexp.MustCompile("(?m)" + p.Log.String()) // ^ and $ are of a line, as one expects of output
	}
	p.Display = "log " + strconv.Quote(pattern.shown())
	return p.Log != nil
}

func (e *evaluation) pattern(x *expression, pattern text) *regexp.Regexp {
	re, err := regexp.Compile(pattern.value)
	if err != nil {
		why := err.Error()
		if pattern.sensitive {
			why = "it is sensitive, so it is not shown"
		}
		e.fail(x.Range(), "Invalid regular expression", "This is not a regular expression (Go's, RE2 syntax): %s.", why)
	}
	return re
}
