package plan

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// A Program that a phase runs, evaluated. Exactly one of Payload and (without it) Argv[0] names it.
type Program struct {
	Display    string   // for messages: "database/boot.sh --port 5432", sensitive parts masked
	Payload    *Payload // a file, directory or archive of the plan, or an inline script; nil: `command`
	Argv       []string // with a payload its arguments, else the command
	Env        map[string]string
	Dir, User  string
	Timeout    time.Duration
	Retries    int
	RetryDelay time.Duration
	Range      hcl.Range // of the block, for messages
}

// A Process is a program that stays.
type Process struct {
	Program
	StopSignal  string
	StopTimeout time.Duration
}

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
