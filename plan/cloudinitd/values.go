package cloudinitd

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// settingNames are settings under the names that references use.
var settingNames = map[string]string{
	"image": "image", "iaas": "iaas", "iaas_url": "iaas_url", "iaas_key": "iaas_key", "iaas_secret": "iaas_secret",
	"allocation": "allocation", "keyname": "sshkeyname", "localkey": "localsshkeypath", "username": "ssh_username",
	"scp_username": "scp_username", "securitygroups": "securitygroups", "bootconf": "bootconf", "bootpgm": "bootpgm",
	"bootpgm_args": "bootpgm_args", "readypgm": "readypgm", "readypgm_args": "readypgm_args", "terminatepgm": "terminatepgm",
	"terminatepgm_args": "terminatepgm_args", "pgm_timeout": "pgm_timeout", "name": "name", "local_exe": "local_exe", "iaas_launch": "iaas_launch",
}

func (x *resolver) settingName(p refPiece, rng hcl.Range) (string, bool) {
	if key, ok := settingNames[p.attr]; ok {
		return key, true
	}
	for name, key := range settingNames {
		if key == p.attr {
			x.warnOnce(rng, "Setting under another name", "%s: to cloudinit.d this setting is known as %q in references; the import takes it as that.", p.text, name)
			return key, true
		}
	}
	return "", false
}

func (x *resolver) setting(t target, key string, p refPiece, rng hcl.Range, sc scope) expr {
	switch key {
	case "name":
		switch {
		case t.svc.copies == 1:
			return textExpr(t.svc.name)
		case t.svc == sc.user:
			return expr{parts: []exprPart{{text: t.svc.name + "-"}, {code: countIndex}}}
		}
		return textExpr(fmt.Sprintf("%s-%d", t.svc.name, t.copy))
	case "local_exe":
		return textExpr(pythonBool(t.svc.local))
	case "iaas_launch":
		return textExpr(pythonBool(t.svc.launch))
	case "pgm_timeout":
		return textExpr(fmt.Sprint(t.svc.timeout))
	}
	s := t.svc.settings[key]
	if s == nil {
		return x.nothing(p, rng)
	}
	if key == "iaas_key" || key == "iaas_secret" {
		return x.cloudKey(key, s)
	}
	if key == "localsshkeypath" {
		return x.keyPath(s)
	}
	sc.self, sc.bag = t, nil
	return x.settingText(s, sc)
}

// keyPath is a private key's path as the original made it of the setting: what is not absolute is relative
// to the level file, also where the environment has it.
func (x *resolver) keyPath(s *setting) expr {
	if s.env == "" {
		return textExpr(x.paths.absolute(s.dir, s.text))
	}
	key := x.env(s.env).hcl(nil)
	relative := expr{parts: []exprPart{{text: x.paths.absolute(s.dir, "") + "/"}, {code: key}}}
	return codeExpr(fmt.Sprintf(`try(regex("^(?:[/~].*)?$", %s), %s, null)`, key, relative.hcl(nil)))
}

func (x *resolver) settingText(s *setting, sc scope) expr {
	if s.env != "" {
		return x.env(s.env)
	}
	return x.text(s.text, s.opt.rng, sc)
}

// cloudKey is a key of a cloud as a value.
func (x *resolver) cloudKey(key string, s *setting) expr {
	if s.env == "" {
		return codeExpr(x.secret(secret{name: key, rng: s.opt.rng, value: s.text}))
	}
	e := x.env(s.env)
	x.conceals(e.parts[0])
	return e
}

// env is an environment variable's value at the time of a boot: a variable whose default it is.
func (x *resolver) env(name string) expr {
	if x.envs[name] == "" {
		variable := x.names.name(strings.ToLower(name))
		x.envs[name], x.sensitive[variable] = variable, looksSecret(name)
	}
	return codeExpr("var." + x.envs[name])
}

// require notes the environment variables that an expression is made of: it has no value without them.
func (x *resolver) require(e expr) {
	for _, p := range e.parts {
		if d := (dependencyOf{p.svc, p.key}); p.svc != nil && p.attr == "deps" && !x.requiredDeps[d] {
			x.requiredDeps[d] = true
			x.require(p.svc.depFinal[p.key])
		}
		x.require(expr{p.concealed})
		for env, name := range x.envs {
			if p.code == "var."+name {
				x.required[env] = true
			}
		}
	}
}

// nothing is the value of what a service does not have: cloudinit.d leaves the reference as it stands.
func (x *resolver) nothing(p refPiece, rng hcl.Range) expr {
	x.warnOnce(rng, "No value", "%s has no value in this plan. cloudinit.d leaves the text as it stands, and so does the import.", p.text)
	return textExpr(p.text)
}

func (x *resolver) global(name string, rng hcl.Range) expr {
	g := x.plan.globals[name]
	variable, seen := x.needed[name]
	if !seen {
		variable = x.names.name(name)
		// One without a value yet is given a secret one day; one that is a switch stays one.
		x.needed[name], x.sensitive[variable] = variable, looksSecret(name) && (g == nil || !switchValue.MatchString(g.text))
		switch {
		case g == nil:
			x.warn(rng, "Global not set", "${global.%s} is not set in this plan: the variable %q of the imported plan has to be given.%s", name, variable, didYouMean(name, keys(x.plan.globals)))
		case reference.MatchString(g.text):
			x.warn(rng, "Reference in a global", "The value of the global %q has references in it. A variable's value is taken as it stands: %q.", name, g.text)
		}
	}
	return codeExpr("var." + variable)
}

func pythonBool(b bool) string {
	if b {
		return "True"
	}
	return "False"
}
