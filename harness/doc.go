// Package harness is the process dispatcher with its execution engine agents: in its
// folders. It has itself only the tests and benchmarks of all of them together.
//
//	wire      records, messages, the state machine of a process
//	dispatch  the dispatcher: matching, rounds, throttle, needs; the lease
//	agent     the agent: slots, orders, heartbeats, files, output
//	minder    the parent of an agent's processes, which outlives the agent
//	flock     keeps two programs from working on one directory at once
//	broker    the NATS server with JetStream, embedded; credentials, connections
//	client    what clients ask
//	deploy    deployment files
//	daemon    a harness on this machine: start, status, stop, kill
package harness
