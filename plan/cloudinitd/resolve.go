package cloudinitd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Bounds on references: deeper or more of them are circles, or a plan that means harm.
const (
	maxDepth = 32
	maxWork  = 64 << 20 // bytes of values made of references

	maxAlternatives = 30 // of a dependency, where environment variables may be missing
)

// depState tells how far a service's dependencies have been worked out.
type depState uint8

const (
	depsUnknown depState = iota
	depsUnderWay
	depsKnown
)

// A depValue is a dependency with its references resolved: one for each time a file gives it.
type depValue struct {
	name string
	file string
	rng  hcl.Range
	env  bool // left out where the environment variable is not set
	expr expr
}

// A resolver turns references of the old plan into expressions of the new one.
type resolver struct {
	*report
	paths        *sources
	plan         *oldPlan
	services     map[string]target
	needed       map[string]string     // a global's name -> that of its variable
	envs         map[string]string     // an environment variable -> the plan's variable for it
	required     map[string]bool       // environment variables that something cannot do without
	requiredDeps map[dependencyOf]bool // whose environment variables are among these
	secrets      map[string]secret
	sensitive    map[string]bool // variables whose values are not to be shown
	names        namer           // of variables
	work         int
}

// A dependencyOf a service, by its name.
type dependencyOf struct {
	svc  *oldService
	name string
}

// A target is a service, or a copy of one.
type target struct {
	svc  *oldService
	copy int
}

// A scope says from where a text is looked at.
type scope struct {
	self   target
	user   *oldService     // in whose block the expression will stand
	bag    map[string]expr // while self's dependencies are worked out: those known so far
	booted bool            // self's boot program has ended by then
	depth  int
}

func newResolver(src *sources, rep *report, plan *oldPlan) *resolver {
	x := &resolver{
		report: rep, paths: src, plan: plan, services: map[string]target{}, needed: map[string]string{},
		envs: map[string]string{}, required: map[string]bool{}, requiredDeps: map[dependencyOf]bool{}, secrets: map[string]secret{}, sensitive: map[string]bool{}, names: namer{},
	}
	for _, level := range plan.levels {
		for _, svc := range level.services {
			if svc.copies == 1 {
				x.addService(svc.name, target{svc, 0})
				continue
			}
			for i := range svc.copies {
				x.addService(fmt.Sprintf("%s-%d", svc.name, i), target{svc, i})
			}
		}
	}
	return x
}

func (x *resolver) addService(name string, t target) {
	if other, ok := x.services[name]; ok {
		x.failOnce(t.svc.rng, "Service twice", "A copy of this service would be named %q, as the service in %s is. Names are unique over the whole plan.", name, where(other.svc.rng))
		return
	}
	x.services[name] = t
}

// text resolves the references in a text.
func (x *resolver) text(s string, rng hcl.Range, sc scope) expr {
	var e expr
	if sc.depth++; sc.depth > maxDepth {
		x.failOnce(rng, "References without end", "This refers to what refers to it again.")
		return e
	}
	size := 0
	for _, piece := range splitRefs(s) {
		part := textExpr(piece.text)
		if piece.isRef {
			part = x.reference(piece, rng, sc)
		}
		size += part.size()
		if size > maxValue {
			x.failOnce(rng, "Value too long", "With what it refers to, this value has more than %d KiB.", maxValue>>10)
			return expr{}
		}
		if !x.charge(part, rng) {
			return expr{}
		}
		e.add(part)
	}
	if len(e.parts) > 1 {
		x.require(e)
	}
	if !validUTF8(e) {
		x.failOnce(rng, "Not UTF-8", "A value of an HCL plan is text in UTF-8, and this one is not: it cannot be carried over.")
	}
	return e
}

// charge counts what is made of references, and stops where it gets out of hand.
func (x *resolver) charge(e expr, rng hcl.Range) bool {
	x.work += 1 + e.size()
	if x.work > maxWork {
		if !x.said["work"] {
			x.said["work"] = true
			x.fail(rng, "Plan too large", "With all that refers to something else, the values of this plan have more than %d MiB.", maxWork>>20)
		}
		return false
	}
	return true
}

func (x *resolver) reference(p refPiece, rng hcl.Range, sc scope) expr {
	switch p.service {
	case "global":
		return x.global(p.attr, rng)
	case "":
		return x.attribute(sc.self, p, rng, sc)
	}
	t, ok := x.services[p.service]
	if !ok {
		detail := didYouMean(p.service, keys(x.services))
		for _, svc := range x.allServices() {
			if svc.name == p.service {
				detail = fmt.Sprintf(" Its replica_count makes %s-0 to %s-%d of it.", svc.name, svc.name, svc.copies-1)
			}
		}
		x.fail(rng, "Unknown service", "%s: there is no service %q in this plan.%s", p.text, p.service, detail)
		return expr{}
	}
	return x.attribute(t, p, rng, sc)
}

// attribute looks a name up as the original does: hostname, instance_id, run_name, then the
// dependencies and what the boot program left, then the service's own settings.
func (x *resolver) attribute(t target, p refPiece, rng hcl.Range, sc scope) expr {
	switch p.attr {
	case "hostname":
		if t.svc.launch {
			return x.live(t, exprPart{attr: "address"}, p, rng, sc)
		}
		return x.setting(t, "hostname", p, rng, sc)
	case "instance_id":
		if t.svc.launch {
			return x.live(t, exprPart{attr: "instance_id"}, p, rng, sc)
		}
		return x.nothing(p, rng)
	case "run_name":
		return codeExpr("run.name")
	}
	if e, ok := x.dependency(t, p, rng, sc); ok {
		return e
	}
	if key, ok := x.settingName(p, rng); ok {
		return x.setting(t, key, p, rng, sc)
	}
	return x.bootOutput(t, p, rng, sc)
}

// dependency is a value from t's deps files, where it has one of that name.
func (x *resolver) dependency(t target, p refPiece, rng hcl.Range, sc scope) (expr, bool) {
	if sc.bag != nil && t.svc == sc.self.svc {
		e, ok := sc.bag[p.attr]
		return e, ok
	}
	if !t.svc.depNames[p.attr] {
		return expr{}, false
	}
	part := exprPart{attr: "deps", key: p.attr}
	if t.svc.mayExport(p.attr) && (t.svc != sc.user || sc.booted) && t.svc.level.order <= sc.user.level.order {
		t.svc.exports[p.attr] = true
		part = exprPart{attr: p.attr, orDep: true}
	} else if t.svc != sc.user && t.svc.level == sc.user.level {
		return x.inline(t, p, rng, sc), true
	}
	return x.live(t, part, p, rng, sc), true
}

// inline is the value of a dependency of another service of the same level. It is known
// before that service is up, so that nobody has to wait.
func (x *resolver) inline(t target, p refPiece, rng hcl.Range, sc scope) expr {
	if t.svc.depState == depsUnderWay {
		x.failOnce(rng, "Circle of dependencies", "%s: the dependencies of %q refer to those of %q, and these to the former.", p.text, t.svc.name, sc.user.name)
		return expr{}
	}
	x.dependencies(t.svc)
	var e expr
	e.add(expr{x.ofCopy(t.svc.depFinal[p.attr].parts, t, sc)})
	return e
}

// ofCopy makes of t's service's value that of one of its copies.
func (x *resolver) ofCopy(parts []exprPart, t target, sc scope) []exprPart {
	parts = slices.Clone(parts)
	for i := range parts {
		part := &parts[i]
		if part.code == countIndex {
			*part = exprPart{text: fmt.Sprint(t.copy)}
		}
		if part.svc == t.svc {
			part.copy = t.copy
		}
		if part.svc != nil && part.svc.level == sc.user.level {
			x.wait(sc.user, part.svc)
		}
		part.concealed = x.ofCopy(part.concealed, t, sc)
	}
	return parts
}

// live is a value that a service has once it is up.
func (x *resolver) live(t target, part exprPart, p refPiece, rng hcl.Range, sc scope) expr {
	part.svc, part.copy = t.svc, t.copy
	switch {
	case t.svc == sc.user:
		if t != sc.self && t.svc.copies > 1 {
			x.failOnce(rng, "Copy refers to a copy", "%s: the copies of %q come up together, and one of them cannot have a value of another one.", p.text, t.svc.name)
		}
	case t.svc.level.order > sc.user.level.order:
		x.fail(rng, "Reference to a later level", "%s: %q comes up in %s, after %s of %q, so that this is not known in time.", p.text, t.svc.name, t.svc.level.key, sc.user.level.key, sc.user.name)
		return expr{}
	case t.svc.level == sc.user.level:
		x.wait(sc.user, t.svc)
	}
	return expr{parts: []exprPart{part}}
}

// wait notes that a service needs a value of another one of its level.
func (x *resolver) wait(svc, other *oldService) {
	if svc != other && !slices.Contains(svc.waitsFor, other) {
		svc.waitsFor = append(svc.waitsFor, other)
	}
}

// bootOutput is a value that t's boot program is to leave in bootout.json: whatever has no other source.
func (x *resolver) bootOutput(t target, p refPiece, rng hcl.Range, sc scope) expr {
	own := t.svc == sc.user
	switch {
	case t.svc.settings["bootpgm"] == nil, own && !sc.booted:
		detail := didYouMean(p.attr, keys(t.svc.depNames), keys(settingNames))
		if low := lower(p.attr); low != p.attr && t.svc.depNames[low] {
			detail = fmt.Sprintf(" Names in files of dependencies are made lower-case when they are read: it is %q.", low)
		} else if own && sc.bag != nil && t.svc.depNames[p.attr] {
			detail = " It is among its dependencies, but comes after this one."
		}
		x.failOnce(rng, "Unknown name", "%s: service %q has no %q at this point: it is no dependency, no setting, and no boot program can have left it.%s", p.text, t.svc.name, p.attr, detail)
		return expr{}
	case identifier(p.attr) != p.attr || reserved[p.attr]:
		x.failOnce(rng, "Name cannot be carried over", "%s: what a boot program leaves under this name cannot be an export of the new plan. Use another name in bootout.json and here.", p.text)
		return expr{}
	}
	if low := lower(p.attr); low != p.attr && t.svc.depNames[low] && !strings.Contains(t.svc.bootOutput, p.attr) {
		x.warnOnce(rng, "Name in another case", "%s: the import takes it for a value of bootout.json. The dependency is called %q: names in files of dependencies are made lower-case when they are read.", p.text, low)
	}
	t.svc.exports[p.attr] = true
	return x.live(t, exprPart{attr: p.attr}, p, rng, sc)
}

// reserved are names that every service has in the new plan, with another meaning.
var reserved = map[string]bool{
	"address": true, "private_address": true, "public_address": true, "work_dir": true, "deps": true,
}

// mayExport says whether the boot program may leave a value under a dependency's name: then that one holds.
func (svc *oldService) mayExport(name string) bool {
	return strings.Contains(svc.bootOutput, "bootout") && strings.Contains(svc.bootOutput, name) &&
		identifier(name) == name && !reserved[name]
}

// dependencies works out a service's dependencies, one after the other as the original does:
// a reference to one of its own sees those before it.
func (x *resolver) dependencies(svc *oldService) []depValue {
	if svc.depState != depsUnknown {
		return svc.depValues
	}
	svc.depState = depsUnderWay
	bag := map[string]expr{}
	for _, d := range svc.deps {
		sc := scope{self: target{svc, 0}, user: svc, bag: bag}
		v := depValue{name: d.name, file: d.file, rng: d.opt.rng, env: d.env != ""}
		v.expr = x.conceal(d.name, d.opt.rng, x.settingText(&d.setting, sc))
		svc.depValues = append(svc.depValues, v)
		if before, ok := bag[d.name]; ok && v.env {
			v.expr = codeExpr(fmt.Sprintf("(%[1]s != null ? %[1]s : %[2]s)", v.expr.hcl(svc), before.hcl(svc)))
			v.file = "" // this service's own: no other one may share it
			svc.depValues[len(svc.depValues)-1] = v
			if strings.Count(v.expr.parts[0].code, " ? ") > maxAlternatives {
				x.failOnce(v.rng, "Too many alternatives", "%s is given more than %d times.", d.name, maxAlternatives)
				break
			}
			if !x.charge(v.expr, v.rng) {
				break
			}
		}
		bag[d.name] = v.expr
	}
	svc.depState = depsKnown
	svc.depFinal = bag
	return svc.depValues
}

func (x *resolver) allServices() []*oldService {
	var all []*oldService
	for _, level := range x.plan.levels {
		all = append(all, level.services...)
	}
	return all
}
