package plan

import (
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// checkValues evaluates what does not belong to a level.
func (s *scope) checkValues() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, r := range s.module.runnerList {
		e := &evaluation{scope: s, check: true}
		e.checkRunner(r)
		diags = append(diags, e.diags...)
	}
	for _, v := range s.module.variableList {
		for _, check := range v.validations {
			e := &evaluation{scope: s, check: true}
			e.message(check.message)
			diags = append(diags, e.diags...)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.module.variableList {
		_, moreDiags := s.variable(v, nil)
		diags = append(diags, moreDiags...)
	}
	for _, local := range s.module.localList {
		s.local(local, nil)
		diags = append(diags, s.locals[local].diags...)
	}
	for _, o := range s.module.outputList {
		value, moreDiags := s.output(o, nil)
		diags = append(diags, moreDiags...)
		if !o.sensitive && s.level == nil && value.HasMarkDeep(sensitiveMark) { // of a level, it is the user's to show
			diags = append(diags, failure(o.value.Range(), "Sensitive output in the open",
				"The value of output %q depends on something sensitive. Set sensitive = true on it, so that it is masked where it is shown.", o.name))
		}
	}
	return diags
}

// message checks the error_message of a validation, which is a text.
func (e *evaluation) message(x *expression) {
	value, ok := e.anyValue(x, cty.String)
	if plain, _ := value.Unmark(); ok && plain.IsKnown() && plain.IsNull() {
		e.fail(x.Range(), "Null value", "\"error_message\" says what is wrong with a value, and must not be null.")
	}
}

// checkLevel evaluates what makes a level, with nothing known of variables and services.
func (s *scope) checkLevel(level *levelBlock) hcl.Diagnostics {
	e := &evaluation{scope: s, check: true}
	e.whole(level.parallelism, "parallelism", 1, MaxServices, 0)
	e.shape(level.enabled, cty.Bool, "enabled")
	if level.module != nil {
		e.inputs(level)
	}
	diags := e.diags
	for _, b := range level.services {
		diags = append(diags, s.checkShape(b)...)
		diags = append(diags, s.checkService(b, nil, firstTime)...)
	}
	return diags
}

// inputs checks what a level gives its plan.
func (e *evaluation) inputs(level *levelBlock) {
	for _, name := range sortedInputs(level) {
		given := level.inputs[name]
		v := level.module.variables[name]
		if v == nil {
			e.fail(given.rng, "Unknown input", "The plan of level %q has no variable %q.%s", level.name, shorten(name), suggest(name, keys(level.module.variables)))
			continue
		}
		value, ok := e.anyValue(given.value, cty.DynamicPseudoType)
		if !ok {
			continue
		}
		if _, err := v.convert(value); err != nil {
			e.fail(given.value.Range(), "Input of another type", "Variable %q of the plan of level %q is %s: %v.", name, level.name, typeName(v.Type), e.scope.withoutSecrets(err.Error()))
		}
	}
	var missing []string
	for _, v := range level.module.variableList {
		if v.Default == cty.NilVal && level.inputs[v.Name] == nil {
			missing = append(missing, v.Name)
		}
	}
	if len(missing) > 0 && level.inputsRead {
		e.fail(level.planExpr.Range(), "Missing input", "The plan of level %q needs a value for %s. Give it in \"inputs\".", level.name, strings.Join(missing, ", "))
	}
}

func sortedInputs(level *levelBlock) []string {
	names := keys(level.inputs)
	sort.Slice(names, func(i, j int) bool {
		return level.inputs[names[i]].rng.Start.Byte < level.inputs[names[j]].rng.Start.Byte
	})
	return names
}

// checkShape checks how many instances a service has, and where they run.
func (s *scope) checkShape(b *serviceBlock) hcl.Diagnostics {
	e := &evaluation{scope: s, in: instance{block: b}, check: true}
	e.shape(b.enabled, cty.Bool, "enabled")
	e.count(b.count)
	e.eachKeys(b.forEach)
	runner, ok := e.shape(b.runner, cty.DynamicPseudoType, "runner")
	switch {
	case b.on != nil: // its host is the other service's
	case b.runner == nil:
		if diag := hostMistake(s.loader.types["local"], nil, b); diag != nil {
			e.diags = append(e.diags, diag)
		}
	case ok && runner.Type() == runnerCapsuleType && !runner.IsNull():
		block := runner.EncapsulatedValue().(*runnerBlock)
		if diag := hostMistake(block.runnerType, block, b); diag != nil {
			e.diags = append(e.diags, diag)
		}
	case runner.Type() != runnerCapsuleType && runner.Type() != cty.DynamicPseudoType:
		e.fail(b.runner.Range(), "Runner expected", "\"runner\" takes a runner of this plan: runner = runner.TYPE.NAME.")
	}
	e.in.hosts = true
	if on, _ := e.shape(b.on, cty.DynamicPseudoType, "on"); on.Type() != serviceCapsuleType && on.Type() != cty.DynamicPseudoType {
		e.fail(b.on.Range(), "Service expected", "\"on\" takes one service of an earlier level: on = service.NAME, or one of several: on = service.NAME[count.index].")
	}
	return e.diags
}
