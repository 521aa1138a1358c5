package wire

import (
	"encoding/json"
	"reflect"
	"slices"
	"time"
)

// A Definition says what a process runs.
type Definition struct {
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	Argv        []string          `json:"argv"`
	Env         map[string]string `json:"env,omitempty"`
	Dir         string            `json:"dir,omitempty"`    // left out: a directory of the process's own
	Engine      string            `json:"engine,omitempty"` // left out: the default engine
	Files       []File            `json:"files,omitempty"`
	StopTimeout Duration          `json:"stop_timeout,omitempty"`
	MadeFor     string            `json:"made_for,omitempty"` // the process that brought its own program
}

// SameProgram says whether two definitions of a name run the same, whoever made them.
func (d Definition) SameProgram(other Definition) bool {
	other.MadeFor = d.MadeFor
	return reflect.DeepEqual(d, other)
}

// A File is placed in the process's own directory before the process starts.
type File struct {
	Path       string `json:"path"`
	SHA256     string `json:"sha256"`
	Size       int64  `json:"size"`
	Executable bool   `json:"executable,omitempty"`
}

// Parameters are what the caller of schedule chooses. Two requests with the same
// Parameters for one id are one request.
type Parameters struct {
	Definition    string            `json:"definition"`
	Config        json.RawMessage   `json:"config,omitempty"`
	Env           map[string]string `json:"env,omitempty"`
	Constraints   map[string]Values `json:"constraints,omitempty"`
	Queueing      Queueing          `json:"queueing"`
	Restart       Restart           `json:"restart"`
	NodeExclusive string            `json:"node_exclusive,omitempty"`
	MaxRestarts   *int              `json:"max_restarts"` // in a row; -1: no limit; left out: DefaultMaxRestarts
}

// A Process is the dispatcher's record of one process.
type Process struct {
	ID string `json:"id"`
	Parameters
	State   State  `json:"state"`
	Round   int    `json:"round"`
	Engine  string `json:"engine"`
	Agent   string `json:"agent"` // where it is or was last; empty before its first assignment
	Node    string `json:"node"`
	Host    string `json:"host"`
	PID     int    `json:"pid"`
	Starts  int    `json:"starts"`
	Strikes int    `json:"strikes"` // deaths in a row without having stayed up
	Reason  string `json:"reason"`

	ExitStatus *int   `json:"exit_status"` // null while unknown
	Signal     string `json:"signal,omitempty"`

	RequestedAt time.Time `json:"requested_at,omitzero"`
	StartedAt   time.Time `json:"started_at,omitzero"`
	EndedAt     time.Time `json:"ended_at,omitzero"`
	NotBefore   time.Time `json:"not_before,omitzero"` // the throttle: no start before this

	Order      uint64 `json:"order"`                // place in the queue: order of arrival
	Died       bool   `json:"died,omitempty"`       // queued by a death: goes ahead of new requests
	Restarting bool   `json:"restarting,omitempty"` // TERMINATING in order to start again
	Request    string `json:"request,omitempty"`    // the last request that changed it, to know a repeated one
	Clock      uint64 `json:"clock,omitempty"`      // the heartbeat that last changed it, to know a late one
}

// An Engine is a kind of agent.
type Engine struct {
	Name       string   `json:"name"`
	Slots      int      `json:"slots"`
	BaseNeed   int      `json:"base_need"`
	SpareSlots int      `json:"spare_slots"`
	Maximum    int      `json:"maximum"` // 0: no limit
	Heartbeat  Duration `json:"heartbeat"`
	Warning    int      `json:"warning"` // heartbeats that did not come
	Missing    int      `json:"missing"`
	Default    bool     `json:"default"`
}

// Defaults of an engine where nothing is said.
const (
	DefaultSlots     = 4
	DefaultBaseNeed  = 0
	DefaultHeartbeat = Duration(2 * time.Second)
	DefaultWarning   = 2
	DefaultMissing   = 4
)

// A Node is a machine, or what passes for one, on which agents stand.
type Node struct {
	Name        string            `json:"name"`
	Engine      string            `json:"engine"`
	Properties  map[string]string `json:"properties"`
	AnnouncedAt time.Time         `json:"announced_at,omitzero"`
}

// An Agent is the record of an agent: who it is and what was given to it.
// Its health is not recorded: every dispatcher hears the heartbeats.
type Agent struct {
	Name       string            `json:"name"`
	Node       string            `json:"node"`
	Engine     string            `json:"engine"`
	Slots      int               `json:"slots"`
	Properties map[string]string `json:"properties"`
	Host       string            `json:"host"`
	Disabled   bool              `json:"disabled"`
	Assigned   []Target          `json:"assigned"`
}

// A Target is a process in one of its rounds.
type Target struct {
	ID    string `json:"id"`
	Round int    `json:"round"`
}

// System is what holds for the whole deployment.
type System struct {
	BootMode  bool   `json:"boot_mode"`
	BootSince uint64 `json:"boot_since"` // the Order from which processes belong to this boot
}

// A Lease says which dispatcher leads.
type Lease struct {
	Dispatcher string `json:"dispatcher"`
	Term       uint64 `json:"term"` // grows with every change of leader; orders of an older term are void
	Released   bool   `json:"released,omitempty"`
	Renewal    uint64 `json:"renewal"`
}

// Keys of the records bucket.
func DefinitionKey(name string) string { return "definition." + name }
func EngineKey(name string) string     { return "engine." + name }
func NodeKey(name string) string       { return "node." + name }
func AgentKey(name string) string      { return "agent." + name }
func ProcessKey(id string) string      { return "process." + id }

// SystemKey is the key of the System record, LeaseKey of the lease.
const (
	SystemKey = "system.state"
	LeaseKey  = "leader"
)

// Buckets in JetStream.
const (
	RecordsBucket = "epu_records"
	LeaseBucket   = "epu_lease"
	FilesBucket   = "epu_files"
)

// A Duration is written as "1.5s".
type Duration time.Duration

func (d Duration) Std() time.Duration { return time.Duration(d) }

// MarshalText writes the duration as time.Duration prints it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration understands.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// Values are what a constraint allows: one value (written as a string) or several (a list).
type Values []string

// Allow says whether a property with this value satisfies the constraint.
func (v Values) Allow(value string) bool { return slices.Contains(v, value) }

// MarshalJSON writes one value as a string.
func (v Values) MarshalJSON() ([]byte, error) {
	if len(v) == 1 {
		return json.Marshal(v[0])
	}
	return json.Marshal([]string(v))
}

// UnmarshalJSON reads a string or a list of strings.
func (v *Values) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*v = Values{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(v))
}
