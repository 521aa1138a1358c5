package wire

import (
	"encoding/json"
	"slices"
	"time"
)

// Subjects. Requests reach the leader, queries any dispatcher.
const (
	RequestSubject   = "epu.request"
	QuerySubject     = "epu.query"
	HeartbeatSubject = "epu.heartbeat"
	NeedsSubject     = "epu.needs"
)

// OrdersSubject is where an agent listens for the leader.
func OrdersSubject(agent string) string { return "epu.agent." + agent + ".orders" }

// LogsSubject is where an agent hands out the output of its processes.
func LogsSubject(agent string) string { return "epu.agent." + agent + ".logs" }

// PingSubject is where a daemon answers that it is there; kind is dispatcher or agent.
func PingSubject(kind, name string) string { return "epu." + kind + "." + name + ".ping" }

// A Heartbeat tells every dispatcher who an agent is and all that it has.
type Heartbeat struct {
	Agent      string            `json:"agent"`
	Node       string            `json:"node"`
	Engine     string            `json:"engine"`
	Slots      int               `json:"slots"` // 0: what the engine says
	Properties map[string]string `json:"properties,omitempty"`
	Host       string            `json:"host"`
	Epoch      uint64            `json:"epoch"`             // grows with every start of the agent
	Clock      uint64            `json:"clock"`             // grows with every heartbeat, over restarts too
	Hello      bool              `json:"hello,omitempty"`   // the agent waits for a Welcome
	Leaving    bool              `json:"leaving,omitempty"` // the agent ends, its processes do not
	Processes  []Report          `json:"processes"`
}

// roomyHeartbeat is what a heartbeat may have of NATS's limit of 1 MiB, with words of how
// its processes ended.
const roomyHeartbeat = 900 << 10

// Encode writes a heartbeat so that it can be sent, however many processes have ended at once:
// one that cannot be would be the agent's end, for the next one is no smaller.
func (h Heartbeat) Encode() ([]byte, error) {
	data, err := json.Marshal(h)
	if err != nil || len(data) <= roomyHeartbeat {
		return data, err
	}
	processes := slices.Clone(h.Processes)
	for i, r := range processes {
		if r.State.Resting() {
			processes[i] = Report{ID: r.ID, Round: r.Round, State: r.State, ExitStatus: r.ExitStatus, Permanent: r.Permanent}
		}
	}
	h.Processes = processes
	return json.Marshal(h)
}

// A Report is what an agent knows of one process in one round. Its state is
// PENDING, RUNNING, TERMINATING, TERMINATED, EXITED, FAILED or REJECTED.
type Report struct {
	ID         string    `json:"id"`
	Round      int       `json:"round"`
	State      State     `json:"state"`
	PID        int       `json:"pid,omitempty"`
	StartedAt  time.Time `json:"started_at,omitzero"`
	EndedAt    time.Time `json:"ended_at,omitzero"`
	ExitStatus *int      `json:"exit_status,omitempty"`
	Signal     string    `json:"signal,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	Permanent  bool      `json:"permanent,omitempty"` // another start would fail the same way
}

// Orders go from the leader to an agent. All of them can be repeated.
type Orders struct {
	Term      uint64       `json:"term"`
	Epoch     uint64       `json:"epoch"` // the incarnation of the agent that they are for
	Welcome   *Welcome     `json:"welcome,omitempty"`
	Assign    []Assignment `json:"assign,omitempty"`
	Terminate []Target     `json:"terminate,omitempty"`
	Forget    []Target     `json:"forget,omitempty"`
}

// A Welcome tells an agent that it is on record, and what its engine asks of it.
type Welcome struct {
	Slots     int      `json:"slots"`
	Heartbeat Duration `json:"heartbeat"`
	Refused   string   `json:"refused,omitempty"` // why the agent gets no work
}

// An Assignment is a process to run, with everything that it takes.
type Assignment struct {
	Target
	Definition  string            `json:"definition"`
	Argv        []string          `json:"argv"`
	Env         map[string]string `json:"env,omitempty"`
	Dir         string            `json:"dir,omitempty"`
	Files       []File            `json:"files,omitempty"`
	Config      json.RawMessage   `json:"config,omitempty"`
	StopTimeout Duration          `json:"stop_timeout,omitempty"`
}

// Operations that change records; the leader answers them.
const (
	OpSchedule         = "schedule"
	OpCreate           = "create"
	OpTerminate        = "terminate"
	OpRestart          = "restart"
	OpRemove           = "remove"
	OpPutDefinition    = "definition.put"
	OpRemoveDefinition = "definition.remove"
	OpPutEngine        = "engine.put"
	OpRemoveEngine     = "engine.remove"
	OpAnnounceNode     = "node.announce"
	OpRemoveNode       = "node.remove"
	OpEnableAgent      = "agent.enable"
	OpDisableAgent     = "agent.disable"
	OpRemoveAgent      = "agent.remove"
	OpBootMode         = "boot-mode"
)

// A Request asks the leader for a change. ID is the same in every repetition of a request.
type Request struct {
	Op         string      `json:"op"`
	ID         string      `json:"id"`
	Name       string      `json:"name,omitempty"` // of the process, definition, engine, node or agent
	Round      *int        `json:"round,omitempty"`
	Replace    bool        `json:"replace,omitempty"`
	Force      bool        `json:"force,omitempty"` // remove what has processes, too
	On         bool        `json:"on,omitempty"`
	Parameters *Parameters `json:"parameters,omitempty"`
	Definition *Definition `json:"definition,omitempty"` // of schedule and create: the program that the process brings
	Engine     *Engine     `json:"engine,omitempty"`
	Node       *Node       `json:"node,omitempty"`
}

// Things to ask any dispatcher.
const (
	AskProcess     = "process"
	AskProcesses   = "processes"
	AskWhy         = "why"
	AskDefinition  = "definition"
	AskDefinitions = "definitions"
	AskEngines     = "engines"
	AskNodes       = "nodes"
	AskAgents      = "agents"
	AskNeeds       = "needs"
	AskSystem      = "system"
)

// A Query asks for records. Lists come in pages: After is the last name of the page before.
type Query struct {
	Ask   string   `json:"ask"`
	Name  string   `json:"name,omitempty"`
	After string   `json:"after,omitempty"`
	State []string `json:"state,omitempty"`
}

// A Response answers a Request or a Query.
type Response struct {
	Error  *Error          `json:"error,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	More   string          `json:"more,omitempty"` // a list goes on after this name
}

// Codes of an Error.
const (
	CodeInvalid  = "invalid"   // the request cannot be right
	CodeUnknown  = "unknown"   // no such id
	CodeConflict = "conflict"  // not in this state, or with other parameters
	CodeNotReady = "not-ready" // ask again: no leader, or one that is just taking over
)

// An Error is a refusal, in words for the user.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

// An AgentView is an agent as a query shows it.
type AgentView struct {
	Agent
	Health        string    `json:"health"` // ok, warning, missing or disabled
	Used          int       `json:"used"`
	LastHeartbeat time.Time `json:"last_heartbeat,omitzero"`
}

// A NodeView is a node as a query shows it.
type NodeView struct {
	Node
	State  string   `json:"state"` // ready, empty of agents: waiting, all of them missing: missing
	Agents []string `json:"agents"`
	Slots  int      `json:"slots"`
	Used   int      `json:"used"`
}

// A Need is what the processes call for in nodes of one engine.
type Need struct {
	Engine       string   `json:"engine"`
	Need         int      `json:"need"`
	Nodes        int      `json:"nodes"`
	Occupied     int      `json:"occupied"`
	Processes    int      `json:"processes"`
	Queued       int      `json:"queued"`
	BaseNeed     int      `json:"base_need"`
	SpareSlots   int      `json:"spare_slots"`
	SlotsPerNode int      `json:"slots_per_node"`
	Maximum      int      `json:"maximum"`
	Retire       []string `json:"retire"` // empty nodes beyond the need, newest first
}

// A Why says where a process could run, or which rule excludes each agent.
type Why struct {
	ID     string     `json:"id"`
	State  State      `json:"state"`
	Reason string     `json:"reason"`
	Agents []Excluded `json:"agents"`
}

// Excluded is an agent and the rule that keeps a process off it; empty: none does.
type Excluded struct {
	Agent string `json:"agent"`
	Node  string `json:"node"`
	Rule  string `json:"rule"`
}

// Status is a dispatcher's answer to a ping.
type Status struct {
	Name   string `json:"name"`
	Leads  bool   `json:"leads"`
	Leader string `json:"leader"`
	Term   uint64 `json:"term"`
}

// A LogsRequest asks an agent for output of a process from an offset. Wait is how
// long the agent may hold the answer back until there is more.
type LogsRequest struct {
	ID     string   `json:"id"`
	Offset int64    `json:"offset"` // negative: so many bytes before the end
	Round  bool     `json:"round"`  // nothing from before its present round, where the agent knows
	Wait   Duration `json:"wait,omitempty"`
}

// Logs is a piece of output.
type Logs struct {
	Error  *Error `json:"error,omitempty"`
	Data   []byte `json:"data"`
	Offset int64  `json:"offset"` // where the next piece begins
	End    bool   `json:"end"`    // nothing more is there now
	Live   bool   `json:"live"`   // the process may still write
}

// orderBytes keeps a message of orders well below NATS's limit of 1 MiB.
const orderBytes = 512 << 10

// Split divides orders into messages that are small enough to send.
func (o *Orders) Split() []*Orders {
	parts := []*Orders{{Term: o.Term, Epoch: o.Epoch, Welcome: o.Welcome, Terminate: o.Terminate, Forget: o.Forget}}
	size := (len(o.Terminate) + len(o.Forget)) * (MaxID + 32)
	for _, a := range o.Assign {
		n := a.size()
		if size > 0 && size+n > orderBytes {
			parts = append(parts, &Orders{Term: o.Term, Epoch: o.Epoch})
			size = 0
		}
		size += n
		last := parts[len(parts)-1]
		last.Assign = append(last.Assign, a)
	}
	return parts
}

func (a Assignment) size() int {
	n := 512 + len(a.Config) + len(a.ID) + len(a.Dir)
	for _, arg := range a.Argv {
		n += 2*len(arg) + 8
	}
	for k, v := range a.Env {
		n += 2*(len(k)+len(v)) + 8
	}
	return n + len(a.Files)*200
}
