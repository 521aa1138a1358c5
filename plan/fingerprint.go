package plan

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// Fingerprint identifies what was prepared, content of files and programs included, in a way
// that tells nothing of it: it is keyed, since secrets are part of it. Two equal ones mean that a
// service need not be brought up again. The runner's configuration and the host count, verification does not.
func (s *Service) Fingerprint(p *Prepared, host string, key []byte) string {
	config := cty.EmptyObjectVal
	if s.Runner != nil {
		config, _ = s.Runner.Config.UnmarkDeep()
	}
	runner, err := ctyjson.Marshal(config, config.Type())
	if err != nil {
		panic(err) // a configuration is wholly known and has no capsules
	}
	on := ""
	if s.On != nil {
		on = s.On.Address
	}
	h := hmac.New(sha256.New, key)
	err = json.NewEncoder(h).Encode([]any{
		s.Runner.Address(), json.RawMessage(runner), host, on,
		p.Files, programIdentity(p.Boot), processIdentity(p.Process), p.Attributes, []byte(p.UserData),
	})
	if err != nil {
		panic(err) // plain data
	}
	return hex.EncodeToString(h.Sum(nil))
}

// programIdentity leaves out where a program is written, how it is shown and how patient launch is with it.
func programIdentity(p *Program) any {
	if p == nil {
		return nil
	}
	hash := ""
	if p.Payload != nil {
		hash = p.Payload.Hash
	}
	return []any{hash, p.Argv, p.Env, p.Dir, p.User}
}

func processIdentity(p *Process) any {
	if p == nil {
		return nil
	}
	return programIdentity(&p.Program)
}
