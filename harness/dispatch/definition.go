package dispatch

import (
	"fmt"

	"github.com/launchplan/launch/harness/wire"
)

// What follows are the requests about definitions, and the definitions that processes bring.

// definitionOf is the definition on record or, for a request that brings its program,
// the one that is made of it. That replaces only what was made for the same process and
// for no other one: what others run is not for this request to change.
func (c *Core) definitionOf(req wire.Request, params wire.Parameters, stays bool) (wire.Definition, error) {
	known, exists := find(c.definitions, params.Definition)
	if req.Definition == nil {
		if !exists {
			return known, &wire.Error{Code: wire.CodeUnknown, Message: fmt.Sprintf("definition %s is unknown; create it first", params.Definition)}
		}
		return known, nil
	}
	made := *req.Definition
	made.Name, made.MadeFor = params.Definition, req.Name
	if err := c.checkDefinition(&made); err != nil {
		return made, err
	}
	if exists && known.SameProgram(made) {
		return known, nil
	}
	refused := func(format string, args ...any) (wire.Definition, error) {
		return made, &wire.Error{Code: wire.CodeConflict, Message: fmt.Sprintf(format, args...)}
	}
	if exists && stays {
		return made, differs(c.processes[req.Name].wanted, "another program")
	}
	if exists && known.MadeFor != req.Name {
		return refused("definition %s exists and is different; name another with --definition", made.Name)
	}
	for id, p := range c.processes {
		if exists && id != req.Name && p.wants && p.wanted.Definition == made.Name {
			return refused("definition %s is different, and process %s runs it, too; name another with --definition", made.Name, id)
		}
	}
	return made, nil
}

// makeDefinition says whether a definition is still to be written with this step.
func (c *Core) makeDefinition(def wire.Definition) bool {
	r := recordOf(c.definitions, wire.DefinitionKey(def.Name), def.Name)
	if r.changed() { // another request's: this one is looked at again after that
		return true
	}
	r.set(def)
	if r.changed() {
		c.touch(r)
	}
	return r.changed()
}

func (c *Core) checkDefinition(def *wire.Definition) error {
	if err := def.Check(); err != nil {
		return err
	}
	if def.Engine != "" {
		if _, ok := find(c.engines, def.Engine); !ok {
			return &wire.Error{Code: wire.CodeInvalid, Message: fmt.Sprintf("definition %s: engine %s is unknown", def.Name, def.Engine)}
		}
	}
	return nil
}

func (c *Core) putDefinition(asked Asked) {
	if asked.Request.Definition == nil {
		c.reply(asked, refuse(wire.CodeInvalid, "the request has no definition"))
		return
	}
	def := *asked.Request.Definition
	def.MadeFor = ""
	if err := c.checkDefinition(&def); err != nil {
		c.refuseError(asked, err)
		return
	}
	r := recordOf(c.definitions, wire.DefinitionKey(def.Name), def.Name)
	if r.wants && !r.wanted.SameProgram(def) && !asked.Request.Replace {
		c.reply(asked, refuse(wire.CodeConflict, "definition %s exists and is different; --replace changes it", def.Name))
		return
	}
	r.set(def) // from now on it is no process's own
	c.touch(r)
	c.answer(asked, r.key, func() any { return r.stored })
}

func (c *Core) removeDefinition(asked Asked) {
	name := asked.Request.Name
	if r := c.definitions[name]; r != nil && r.wants {
		for id, p := range c.processes {
			if p.wants && p.wanted.Definition == name && !p.wanted.State.Resting() {
				c.reply(asked, refuse(wire.CodeConflict, "definition %s is in use by process %s", name, id))
				return
			}
		}
		r.wants = false
		c.touch(r)
	}
	c.answer(asked, wire.DefinitionKey(name), func() any { return struct{}{} })
}
