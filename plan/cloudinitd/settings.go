package cloudinitd

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A sharedDeps is a file of dependencies that several services have, as a local.
type sharedDeps struct {
	file   string
	name   string
	values []depValue // those that are the same for all of them, known before anything runs
	users  int
}

// A variable of the new plan.
type variable struct {
	name        string
	description string
	env         string // its default is this environment variable
	value       string
	hasDefault  bool
	given       bool // in secrets.vars
	sensitive   bool
	required    bool // something cannot do without it
}

// shareDependencies finds files of dependencies that several services use.
func (w *writer) shareDependencies() {
	byFile := map[string]*sharedDeps{}
	names := namer{}
	for _, svc := range w.allServices() {
		var seen []string
		for _, v := range svc.depValues {
			if v.file != "" && !slices.Contains(seen, v.file) {
				seen = append(seen, v.file)
			}
		}
		for _, file := range seen {
			shared := byFile[file]
			if shared == nil {
				shared = &sharedDeps{file: file, values: ofFile(svc, file)}
				byFile[file] = shared
				w.shared = append(w.shared, shared)
			}
			shared.users++
			own := map[string]string{}
			for _, v := range ofFile(svc, file) {
				own[v.name] = v.expr.hcl(nil)
			}
			shared.values = slices.DeleteFunc(shared.values, func(v depValue) bool { return own[v.name] != v.expr.hcl(nil) })
		}
	}
	w.shared = slices.DeleteFunc(w.shared, func(s *sharedDeps) bool { return s.users < 2 || len(s.values) < 2 })
	for _, shared := range w.shared {
		shared.name = names.name(w.localName(shared.file))
	}
}

// ofFile are the dependencies that a file gives a service and that could be shared.
func ofFile(svc *oldService, file string) []depValue {
	var values []depValue
	for _, v := range svc.depValues {
		if v.file == file && v.expr.ahead() {
			values = append(values, v)
		}
	}
	return values
}

// localName is common_deps for common/deps.conf.
func (w *writer) localName(file string) string {
	name := filepath.Base(file)
	if rel, ok := w.relative(file); ok {
		name = rel
	}
	name = strings.TrimSuffix(name, path.Ext(name))
	return strings.ReplaceAll(name, "/", "_")
}

// depsObject writes a service's dependencies: what it shares, then its own.
func (w *writer) depsObject(svc *oldService) string {
	if len(svc.depValues) == 0 {
		return ""
	}
	final := map[string]string{}
	var order []string
	for _, v := range svc.depValues {
		if _, ok := final[v.name]; !ok {
			order = append(order, v.name)
		}
		final[v.name] = v.expr.hcl(svc)
	}
	var locals []string
	merged := map[string]string{}
	for _, v := range svc.depValues {
		for _, shared := range w.shared {
			if shared.file != v.file || slices.Contains(locals, "local."+shared.name) {
				continue
			}
			locals = append(locals, "local."+shared.name)
			for _, value := range shared.values {
				merged[value.name] = value.expr.hcl(svc)
			}
		}
	}
	var own strings.Builder
	for _, name := range order {
		if code, ok := merged[name]; !ok || code != final[name] {
			fmt.Fprintf(&own, "%s = %s\n", objectKey(name), final[name])
		}
	}
	switch {
	case len(locals) == 0:
		return "{\n" + own.String() + "}"
	case own.Len() == 0 && len(locals) == 1:
		return locals[0]
	case own.Len() == 0:
		return "merge(" + strings.Join(locals, ", ") + ")"
	}
	return "merge(" + strings.Join(locals, ", ") + ", {\n" + own.String() + "})"
}

// noteUsed finds the variables that the other blocks refer to. A dependency that another one replaces leaves some that none does.
func (w *writer) noteUsed(blocks ...string) {
	for _, block := range blocks {
		for _, m := range variableName.FindAllStringSubmatch(block, -1) {
			w.used[m[1]] = true
		}
	}
}

// variables are those that the plan needs: globals, secrets, and what comes from the environment.
func (w *writer) variables() []variable {
	var all []variable
	for old, name := range w.needed {
		v := variable{name: name, description: "The global " + old + " of the old plan"}
		if g := w.plan.globals[old]; g != nil {
			v.value, v.given, v.hasDefault = g.text, w.sensitive[name], !w.sensitive[name]
		}
		all = append(all, v)
	}
	for env, name := range w.envs {
		// What the plan cannot do without, and is not there now, is asked for: the plan is valid before that, and
		// cannot be booted with holes.
		_, set := w.lookupEnv(env)
		all = append(all, variable{name: name, env: env, hasDefault: set || !w.required[env], required: w.required[env],
			description: "The environment variable " + env})
	}
	for _, s := range w.secrets {
		v := variable{name: s.variable, value: s.value, given: true, description: fmt.Sprintf("%s, %s line %d", s.name, w.shown(s.rng.Filename), s.rng.Start.Line)}
		if s.format {
			v.description += ": %s stands for what it refers to"
		}
		all = append(all, v)
	}
	all = slices.DeleteFunc(all, func(v variable) bool { return !w.used[v.name] })
	for i := range all {
		all[i].sensitive = w.sensitive[all[i].name]
	}
	slices.SortFunc(all, func(a, b variable) int { return cmp.Compare(a.name, b.name) })
	return all
}

// variableBlocks are the first blocks of settings.hcl.
func (w *writer) variableBlocks() string {
	var b strings.Builder
	for _, v := range w.variables() {
		fmt.Fprintf(&b, "variable %s {\ntype = string\n", quote(v.name))
		switch {
		case v.env != "" && v.hasDefault:
			fmt.Fprintf(&b, "default = env(%s)\n", quote(v.env))
		case v.hasDefault:
			fmt.Fprintf(&b, "default = %s\n", quote(v.value))
		}
		if v.sensitive {
			b.WriteString("sensitive = true\n")
		}
		if v.given {
			v.description += "; " + secretsFile + " has it"
		}
		fmt.Fprintf(&b, "description = %s\n", quote(oneLine(v.description)))
		if v.required && v.hasDefault {
			fmt.Fprintf(&b, "validation {\ncondition = var.%s != null\nerror_message = %s\n}\n", v.name,
				quote(fmt.Sprintf("The plan needs the environment variable %s, or --var %s=VALUE.", oneLine(v.env), v.name)))
		}
		b.WriteString("}\n\n")
	}
	return b.String()
}

// localsAndRunners are the other blocks of settings.hcl.
func (w *writer) localsAndRunners() string {
	var b strings.Builder
	if len(w.shared) > 0 {
		b.WriteString("locals {\n")
		for i, shared := range w.shared {
			if i > 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "# %s\n%s = {\n", w.shown(shared.file), shared.name)
			last := map[string]string{}
			var order []string
			for _, v := range shared.values {
				if _, ok := last[v.name]; !ok {
					order = append(order, v.name)
				}
				last[v.name] = v.expr.hcl(nil)
			}
			for _, name := range order {
				fmt.Fprintf(&b, "%s = %s\n", objectKey(name), last[name])
			}
			b.WriteString("}\n")
		}
		b.WriteString("}\n\n")
	}
	sortRunners(w.runners)
	for _, r := range w.runners {
		if r.comment != "" {
			fmt.Fprintf(&b, "# %s\n", r.comment)
		}
		fmt.Fprintf(&b, "runner %s %s {\n%s}\n\n", quote(r.kind), quote(r.name), r.body)
	}
	return b.String()
}
