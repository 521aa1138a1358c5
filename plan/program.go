package plan

import (
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// program evaluates which program a block runs, and how. It is nil where that is not known.
func (e *evaluation) program(b *programBlock) *Program {
	if b == nil {
		return nil
	}
	before := len(e.diags)
	p := &Program{
		Timeout:    e.duration(b.timeout, "timeout", ProgramTimeout),
		Retries:    e.whole(b.retries, "retries", 0, maxRetries, 0),
		RetryDelay: e.duration(b.retryDelay, "retry_delay", RetryDelay),
		Env:        e.env(b.env),
		Range:      b.rng,
	}
	p.Dir, _ = e.plainText(b.dir, "dir")
	if user, ok := e.plainText(b.user, "user"); ok {
		if !userName.MatchString(user) {
			e.fail(b.user.Range(), "Invalid user name", "%q is not the name of a user.", shorten(user))
		}
		p.User = user
	}
	args, argsKnown := e.texts(b.args)
	argsKnown = argsKnown || e.leftOut(b.args)
	switch {
	case b.program != nil:
		e.planProgram(b, p, args, &argsKnown)
	case b.script != nil:
		e.scriptProgram(b, p, args, &argsKnown)
	case b.command != nil:
		args, argsKnown = e.texts(b.command)
		if !argsKnown {
			e.notNull(b.command, "command")
		}
		if argsKnown && (len(args) == 0 || args[0].value == "") {
			e.fail(b.command.Range(), "Empty command", "\"command\" must name a program: command = [\"program\", \"argument\"].")
		}
		p.Display = shownArgs(args)
	}
	if !argsKnown || len(e.diags) > before {
		return nil // half a program is none
	}
	for _, arg := range args {
		p.Argv = append(p.Argv, arg.value)
	}
	return p
}

var userName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?$`)

// planProgram is a program that is a file, directory or archive of the plan.
func (e *evaluation) planProgram(b *programBlock, p *Program, args []text, known *bool) {
	name, ok := e.plainText(b.program, "program")
	if !ok {
		e.notNull(b.program, "program")
		*known = false
		return
	}
	payload, diag := e.scope.loader.payloads.program(e.scope.module.files, name, b.program.Range())
	if diag != nil {
		e.diags = append(e.diags, diag)
		*known = false
		return
	}
	p.Payload = payload
	p.Display = strings.TrimSpace(name + " " + shownArgs(args))
}

func (e *evaluation) scriptProgram(b *programBlock, p *Program, args []text, known *bool) {
	script, ok := e.text(b.script)
	if !ok {
		e.notNull(b.script, "script")
		*known = false
		return
	}
	// A plan file with the line ends of Windows gives its texts to a shell that takes the \r for a part of each word.
	p.Payload = e.scope.loader.payloads.script(strings.ReplaceAll(script.value, "\r\n", "\n"))
	shown := script.shown()
	if first, _, more := strings.Cut(strings.TrimSpace(shown), "\n"); more {
		shown = first + " …"
	}
	p.Display = strings.TrimSpace("script: " + shorten(strings.TrimSpace(shown)) + " " + shownArgs(args))
}

// shownArgs is an argv for messages.
func shownArgs(args []text) string {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = arg.shown()
		if words[i] == "" || !arg.sensitive && strings.ContainsAny(words[i], " \t\n\"'") {
			words[i] = strconv.Quote(words[i])
		}
	}
	return strings.Join(words, " ")
}

// process evaluates a program that stays.
func (e *evaluation) process(b *programBlock) *Process {
	if b == nil {
		return nil
	}
	signal, grace := e.stop(b)
	program := e.program(b)
	if program == nil {
		return nil
	}
	program.Timeout = 0 // it stays
	return &Process{Program: *program, StopSignal: signal, StopTimeout: grace}
}

// stop is how a process is ended.
func (e *evaluation) stop(b *programBlock) (string, time.Duration) {
	signal := StopSignal
	if name, ok := e.plainText(b.stopSignal, "stop_signal"); ok {
		if !strings.HasPrefix(name, "SIG") {
			name = "SIG" + name
		}
		if !stopSignals()[name] {
			e.fail(b.stopSignal.Range(), "Unknown signal", "%q is not a signal that can ask a process to end.%s",
				shorten(name), suggest(name, keys(stopSignals())))
		} else {
			signal = name
		}
	}
	return signal, e.duration(b.stopTimeout, "stop_timeout", StopTimeout)
}

func stopSignals() map[string]bool {
	return map[string]bool{
		"SIGTERM": true, "SIGINT": true, "SIGHUP": true, "SIGQUIT": true, "SIGKILL": true,
		"SIGUSR1": true, "SIGUSR2": true, "SIGABRT": true, "SIGALRM": true, "SIGWINCH": true,
	}
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
