package plan

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// place says on which runner, or on whose host, an instance runs.
func (x *expansion) place(s *scope, b *serviceBlock, service *Service) bool {
	service.Runner = x.local
	in := instance{block: b, service: service}
	if b.on != nil {
		in.hosts = true
		value, ok := x.decide(s, b.on, in, cty.DynamicPseudoType, "on")
		if !ok {
			return false
		}
		on, isService := asService(value)
		if !isService {
			x.fail(b.on.Range(), "Service expected", "\"on\" takes one service of an earlier level: on = service.NAME, or one of several: on = service.NAME[count.index].")
			return false
		}
		if on.Runner.pool {
			x.fail(b.on.Range(), "Pool without a host", "%s is a pool: none of its machines is a host that a service of this plan could run on.", on.Address)
			return false
		}
		service.On = on
		service.Runner = on.Runner
		return true
	}
	var block *runnerBlock // nil: this machine
	if b.runner != nil {
		value, ok := x.decide(s, b.runner, in, cty.DynamicPseudoType, "runner")
		if !ok {
			return false
		}
		if !value.IsNull() {
			if value.Type() != runnerCapsuleType {
				x.fail(b.runner.Range(), "Runner expected", "\"runner\" takes a runner of this plan: runner = runner.TYPE.NAME.")
				return false
			}
			block = value.EncapsulatedValue().(*runnerBlock)
			service.Runner = x.runner(s, block)
		}
	}
	if diag := hostMistake(s.loader.types[service.Runner.Type], block, b); diag != nil {
		x.diags = append(x.diags, diag)
		return false
	}
	return true
}

func asService(value cty.Value) (*Service, bool) {
	if value.IsNull() || value.Type() != serviceCapsuleType {
		return nil, false
	}
	return value.EncapsulatedValue().(*Service), true
}

// hostMistake says what of a service does not go together with its runner, the block of which is nil for this machine.
func hostMistake(t *RunnerType, block *runnerBlock, b *serviceBlock) *hcl.Diagnostic {
	switch {
	case block.isPool():
		return poolMistake(t, b)
	case b.userData != nil:
		return failure(b.userData.Range(), "User data without a pool",
			"\"user_data\" of a service is for the machines of a pool. Service %q has a host: say in its \"boot\" what is to be done there, or in its runner block what its machine is told.", b.name)
	case t.Host != MayHaveHost && b.does() == "" && len(b.ready) == 0:
		return failure(b.rng, "Service that does nothing",
			"Service %q has neither boot nor process nor ready: there is nothing to bring up and nothing to verify.", b.name)
	case t.Host == NoHost && b.host != nil:
		return failure(b.host.Range(), "Host without a runner that reaches it",
			"Service %q runs on this machine, so it has no \"host\". Set \"runner\" to a runner that reaches other hosts.", b.name)
	case t.Host == NeedsHost && b.host == nil:
		return failure(b.rng, "Missing host",
			"Service %q runs by a runner of type %q, which needs to be told the \"host\".", b.name, t.Name)
	}
	return nil
}

// isPool says whether services of the runner are pools.
func (b *runnerBlock) isPool() bool {
	return b != nil && b.runnerType.Pool != "" && b.blocks[b.runnerType.Pool] != nil
}

// poolMistake says what a pool cannot have: what runs on one host.
func poolMistake(t *RunnerType, b *serviceBlock) *hcl.Diagnostic {
	no := func(at hcl.Range, what string) *hcl.Diagnostic {
		return failure(at, "Pool without a host",
			"Service %q is a pool (its runner has a %q block), so there is no single host for %s. Its machines do what their image and user data say.", b.name, t.Pool, what)
	}
	switch {
	case b.host != nil:
		return no(b.host.Range(), "\"host\"")
	case b.does() != "":
		return no(b.rng, "\""+b.does()+"\"")
	case b.terminate != nil:
		return no(b.terminate.rng, "\"terminate\"")
	case len(b.files) > 0:
		return no(b.files[0].rng, "\"file\"")
	}
	for _, p := range slices.Concat(b.ready, b.gone) { // a log probe needs a program of the service, so there is none
		if p.program != nil {
			return no(p.rng, "a program: make the probe \"tcp\" or \"http\", which is made from here")
		}
	}
	return nil
}
