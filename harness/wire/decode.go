package wire

import "encoding/json"

// What comes over the broker need not come from our own programs. A message that none of
// them would send is refused as a whole, before anything is done about a part of it.

// Decode reads a message of at most MaxMessage bytes into a value.
func Decode(data []byte, into any) error {
	if len(data) > MaxMessage {
		return invalid("a message of %d bytes is too large", len(data))
	}
	if err := json.Unmarshal(data, into); err != nil {
		return invalid("not a message of ours: %s", clip(err.Error()))
	}
	return nil
}

// DecodeHeartbeat reads and checks a heartbeat.
func DecodeHeartbeat(data []byte) (Heartbeat, error) {
	var h Heartbeat
	if err := Decode(data, &h); err != nil {
		return Heartbeat{}, err
	}
	return h, h.Check()
}

// DecodeRequest reads a request; what it asks for is checked when it is carried out.
func DecodeRequest(data []byte) (Request, error) {
	var r Request
	if err := Decode(data, &r); err != nil {
		return Request{}, err
	}
	if len(r.ID) > MaxName { // it becomes part of a record
		return Request{}, invalid("the id of the request is longer than %d characters", MaxName)
	}
	return r, nil
}

// DecodeOrders reads and checks orders.
func DecodeOrders(data []byte) (Orders, error) {
	var o Orders
	if err := Decode(data, &o); err != nil {
		return Orders{}, err
	}
	return o, o.check()
}

// Check refuses a heartbeat that cannot come from one of our agents.
func (h *Heartbeat) Check() error {
	for kind, name := range map[string]string{"agent": h.Agent, "node": h.Node, "engine": h.Engine} {
		if err := CheckName(kind, name); err != nil {
			return err
		}
	}
	if h.Slots < 0 || h.Slots > MaxSlots {
		return invalid("agent %s reports %d slots", h.Agent, h.Slots)
	}
	if len(h.Host) > 256 {
		return invalid("agent %s: its host name is too long", h.Agent)
	}
	if err := checkProperties("agent "+h.Agent, h.Properties); err != nil {
		return err
	}
	for i := range h.Processes {
		r := &h.Processes[i]
		if err := CheckID(r.ID); err != nil {
			return err
		}
		if r.Round < 0 || r.State < Pending || r.State > Rejected {
			return invalid("agent %s reports process %s in %v, round %d", h.Agent, r.ID, r.State, r.Round)
		}
		r.Reason = clip(r.Reason)
		if len(r.Signal) > 32 {
			r.Signal = r.Signal[:32]
		}
	}
	return nil
}

// check refuses orders that an agent cannot follow, or of which it could not report.
func (o *Orders) check() error {
	for _, list := range [][]Target{o.Terminate, o.Forget} {
		for _, t := range list {
			if err := t.check(); err != nil {
				return err
			}
		}
	}
	for i := range o.Assign {
		if err := o.Assign[i].check(); err != nil {
			return err
		}
	}
	if w := o.Welcome; w != nil && w.Refused == "" {
		if w.Slots < 1 || w.Slots > MaxSlots || w.Heartbeat < MinHeartbeat || w.Heartbeat > MaxHeartbeat {
			return invalid("a welcome with %d slots and a heartbeat every %v", w.Slots, w.Heartbeat.Std())
		}
	}
	return nil
}

func (a *Assignment) check() error {
	if err := a.Target.check(); err != nil {
		return err
	}
	if len(a.Argv) == 0 || a.Argv[0] == "" {
		return invalid("process %s has no program", a.ID)
	}
	for _, f := range a.Files {
		if err := f.check(); err != nil {
			return invalid("process %s: %v", a.ID, err)
		}
	}
	return nil
}

func (t Target) check() error {
	if t.Round < 0 {
		return invalid("process %s has the round %d", quote(t.ID), t.Round)
	}
	return CheckID(t.ID)
}
