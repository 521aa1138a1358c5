// Package wire has the records of the process dispatcher, the messages between
// dispatchers, agents and clients, and the process's state machine.
package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits on what clients and agents may say. A record and a message must fit
// into NATS's default largest payload, 1 MiB.
const (
	MaxName       = 64
	MaxID         = 128
	MaxSlots      = 4096
	MaxConfig     = 256 << 10
	MaxParameters = 512 << 10 // an assignment has them and the definition
	MaxDefinition = 128 << 10
	MaxFiles      = 256
	MaxFileSize   = 256 << 20
	MaxMessage    = 1 << 20
	MaxReason     = 1024
)

// CheckName refuses what cannot be the name of an engine, node, agent or dispatcher:
// such names stand in subjects and file names.
func CheckName(kind, name string) error {
	if !validName(name, MaxName, false) {
		return invalid("%s name %s: names have 1 to %d letters, digits, - and _, and begin with a letter or digit", kind, quote(name), MaxName)
	}
	return nil
}

// CheckID refuses what cannot be the id of a process.
func CheckID(id string) error {
	if !validName(id, MaxID, true) {
		return invalid("process id %s: ids have 1 to %d letters, digits, -, _ and single dots, and begin and end with a letter or digit", quote(id), MaxID)
	}
	return nil
}

// checkDefinitionName allows what ids of processes may be: a process that brings its own
// program has a definition of its name.
func checkDefinitionName(name string) error {
	if !validName(name, MaxID, true) {
		return invalid("definition name %s: definitions have names like the ids of processes: 1 to %d letters, digits, -, _ and single dots", quote(name), MaxID)
	}
	return nil
}

func validName(name string, most int, dots bool) bool {
	if name == "" || len(name) > most {
		return false
	}
	for i := range len(name) {
		c := name[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		inner := c == '-' || c == '_' || dots && c == '.' && i < len(name)-1 && name[i+1] != '.'
		if !alnum && (i == 0 || !inner) {
			return false
		}
	}
	return true
}

// Check refuses a definition that no agent could run.
func (d *Definition) Check() error {
	if err := checkDefinitionName(d.Name); err != nil {
		return err
	}
	if len(d.Argv) == 0 || d.Argv[0] == "" {
		return invalid("definition %s has no program: give its argv", d.Name)
	}
	if err := checkStrings("definition "+d.Name, d.Argv); err != nil {
		return err
	}
	if err := checkEnv("definition "+d.Name, d.Env); err != nil {
		return err
	}
	if d.Dir != "" && !path.IsAbs(d.Dir) {
		return invalid("definition %s: the working directory %s is not an absolute path", d.Name, quote(d.Dir))
	}
	if d.Engine != "" {
		if err := CheckName("engine", d.Engine); err != nil {
			return err
		}
	}
	if d.StopTimeout < 0 {
		return invalid("definition %s: the stop timeout is negative", d.Name)
	}
	if len(d.Files) > MaxFiles {
		return invalid("definition %s has %d files; at most %d can be placed", d.Name, len(d.Files), MaxFiles)
	}
	for _, f := range d.Files {
		if err := f.check(); err != nil {
			return invalid("definition %s: %v", d.Name, err)
		}
	}
	if data, err := json.Marshal(d); err != nil || len(data) > MaxDefinition {
		return invalid("definition %s is larger than %d KiB", d.Name, MaxDefinition>>10)
	}
	return nil
}

func (f File) check() error {
	local := path.Clean(f.Path)
	switch {
	case f.Path == "" || local != f.Path || path.IsAbs(local) || local == "." || local == ".." || strings.HasPrefix(local, "../") || strings.ContainsRune(local, 0):
		return fmt.Errorf("file %s: the path must be clean, relative and inside the process's directory", quote(f.Path))
	case slices.Contains(reservedFiles, strings.SplitN(local, "/", 2)[0]):
		return fmt.Errorf("file %s: this name is the agent's own", quote(f.Path))
	case len(f.SHA256) != 64 || strings.Trim(f.SHA256, "0123456789abcdef") != "":
		return fmt.Errorf("file %s: its hash is not a SHA-256", quote(f.Path))
	case f.Size < 0 || f.Size > MaxFileSize:
		return fmt.Errorf("file %s: larger than %d MiB", quote(f.Path), MaxFileSize>>20)
	}
	return nil
}

// The files that an agent itself keeps in a process's directory.
const (
	ConfigFile = "process-config.json"
	LogFile    = "process.log"
)

var reservedFiles = []string{ConfigFile, LogFile}

// DefaultMaxRestarts bounds the restarts in a row of a process that does not stay up.
// With the throttle it is given up after some five minutes.
const DefaultMaxRestarts = 10

// Check refuses parameters that make no sense and fills in defaults. The
// configuration is brought into one form, so that equal ones compare equal.
func (p *Parameters) Check() error {
	if err := checkDefinitionName(p.Definition); err != nil {
		return err
	}
	p.Queueing = orDefault(p.Queueing, QueueAlways)
	if !slices.Contains([]Queueing{QueueAlways, QueueNever, QueueStartOnly, QueueRestartOnly}, p.Queueing) {
		return invalid("queueing mode %s: it is ALWAYS, NEVER, START_ONLY or RESTART_ONLY", quote(string(p.Queueing)))
	}
	p.Restart = orDefault(p.Restart, RestartAbnormal)
	if !slices.Contains([]Restart{RestartAbnormal, RestartAlways, RestartNever}, p.Restart) {
		return invalid("restart mode %s: it is ABNORMAL, ALWAYS or NEVER", quote(string(p.Restart)))
	}
	p.MaxRestarts = orDefault(p.MaxRestarts, new(DefaultMaxRestarts))
	if *p.MaxRestarts < -1 {
		return invalid("max_restarts is %d; it is -1 for no limit, or more", *p.MaxRestarts)
	}
	if len(p.NodeExclusive) > MaxName {
		return invalid("the node_exclusive tag is longer than %d characters", MaxName)
	}
	if err := checkEnv("the process", p.Env); err != nil {
		return err
	}
	if len(p.Constraints) > 64 {
		return invalid("%d constraints; at most 64 are possible", len(p.Constraints))
	}
	for key, values := range p.Constraints {
		if len(key) == 0 || len(key) > MaxName || len(values) == 0 || len(values) > 256 {
			return invalid("constraint %s: a key of 1 to %d characters with 1 to 256 values is needed", quote(key), MaxName)
		}
		for _, v := range values {
			if len(v) > 1024 {
				return invalid("constraint %s: a value is longer than 1024 characters", quote(key))
			}
		}
	}
	config, err := canonicalJSON(p.Config)
	if err != nil {
		return invalid("the configuration is not JSON: %v", err)
	}
	if len(config) > MaxConfig {
		return invalid("the configuration is larger than %d KiB; place what is large as a file of the definition", MaxConfig>>10)
	}
	p.Config = config
	if data, err := json.Marshal(p); err != nil || len(data) > MaxParameters {
		return invalid("environment, constraints and configuration are larger than %d KiB together", MaxParameters>>10)
	}
	return nil
}

// Same says whether two checked sets of parameters ask for the same.
func (p Parameters) Same(other Parameters) bool {
	a, errA := json.Marshal(p)
	b, errB := json.Marshal(other)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

func canonicalJSON(data json.RawMessage) (json.RawMessage, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if dec.More() {
		return nil, errors.New("something follows the first value")
	}
	return json.Marshal(v)
}

// Check refuses an impossible engine and fills in defaults.
func (e *Engine) Check() error {
	if err := CheckName("engine", e.Name); err != nil {
		return err
	}
	e.Slots = orDefault(e.Slots, DefaultSlots)
	e.Heartbeat = orDefault(e.Heartbeat, DefaultHeartbeat)
	e.Warning = orDefault(e.Warning, DefaultWarning)
	e.Missing = orDefault(e.Missing, max(DefaultMissing, e.Warning))
	switch {
	case e.Slots < 1 || e.Slots > MaxSlots:
		return invalid("engine %s: slots must be 1 to %d", e.Name, MaxSlots)
	case e.BaseNeed < 0 || e.SpareSlots < 0 || e.Maximum < 0:
		return invalid("engine %s: base_need, spare_slots and maximum cannot be negative", e.Name)
	case e.Heartbeat < MinHeartbeat || e.Heartbeat > MaxHeartbeat:
		return invalid("engine %s: the heartbeat must be %v to %v", e.Name, MinHeartbeat.Std(), MaxHeartbeat.Std())
	case e.Warning < 1 || e.Missing < e.Warning || e.Missing > 1000:
		return invalid("engine %s: warning must be at least 1, and missing at least warning", e.Name)
	}
	return nil
}

// Bounds of a heartbeat period: below, messages would cost more than the work;
// above, a lost agent would go unnoticed for hours.
const (
	MinHeartbeat = Duration(20e6)  // 20 ms
	MaxHeartbeat = Duration(600e9) // 10 minutes
)

// Check refuses an impossible node.
func (n *Node) Check() error {
	if err := CheckName("node", n.Name); err != nil {
		return err
	}
	if n.Engine != "" {
		if err := CheckName("engine", n.Engine); err != nil {
			return err
		}
	}
	return checkProperties("node "+n.Name, n.Properties)
}

func checkProperties(who string, properties map[string]string) error {
	if len(properties) > 64 {
		return invalid("%s has %d properties; at most 64 are possible", who, len(properties))
	}
	for k, v := range properties {
		if k == "" || len(k) > MaxName || len(v) > 1024 {
			return invalid("%s: property %s is too long or has no name", who, quote(k))
		}
	}
	return nil
}

func checkEnv(who string, env map[string]string) error {
	for k, v := range env {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.ContainsRune(v, 0) {
			return invalid("%s: %s cannot be an environment variable", who, quote(k))
		}
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return invalid("%s: the environment variable %s is not UTF-8 text, and would arrive as another", who, quote(k))
		}
	}
	return nil
}

func checkStrings(who string, list []string) error {
	for _, s := range list {
		if strings.ContainsRune(s, 0) {
			return invalid("%s: a NUL character in an argument", who)
		}
		if !utf8.ValidString(s) {
			return invalid("%s: the argument %s is not UTF-8 text, and would arrive as another", who, quote(s))
		}
	}
	return nil
}

func invalid(format string, args ...any) error {
	return &Error{Code: CodeInvalid, Message: fmt.Sprintf(format, args...)}
}

// clip bounds text from outside.
func clip(s string) string {
	if len(s) > MaxReason {
		s = s[:MaxReason] + "…"
	}
	return strings.ToValidUTF8(s, "�")
}

// quote shows a name from outside: escaped, and not at any length.
func quote(s string) string {
	if len(s) > MaxName {
		return fmt.Sprintf("%q…", s[:MaxName])
	}
	return fmt.Sprintf("%q", s)
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
