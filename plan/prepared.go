package plan

import (
	"regexp"
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

// A Payload is what is sent to the host for a program. Archives are unpacked already.
type Payload struct {
	Hash        string
	Files       []File
	Entry       string
	Interpreter []string // ["/bin/sh", "-e"] for a script
}

// A File for a host. Path is relative and clean.
type File struct {
	Path    string
	Mode    uint32
	Content []byte
}

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
