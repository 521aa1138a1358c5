package cloudinitd

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

func (r *reader) readService(f *iniFile, section *iniSection, level *oldLevel) *oldService {
	svc := &oldService{copies: 1, level: level, rng: section.rng, settings: map[string]*setting{}, depNames: map[string]bool{}, timeout: defaultTimeout, exports: map[string]bool{}, concealed: map[string]bool{}}
	r.checkNames(f, section)
	dir := filepath.Dir(f.name)
	own := func(key string) *setting { return r.setting(f, section.name, key, "the service", dir) }

	cloud := r.readCloud(svc, own("cloud"))
	for _, key := range planSettings {
		candidates := []*setting{own(key)}
		if cloud != "" && slices.Contains(cloudSettings, key) {
			candidates = append(candidates, r.setting(r.top, cloud, key, "["+cloud+"]", dir))
		}
		candidates = append(candidates, r.setting(r.top, "defaults", key, "[defaults]", dir))
		svc.settings[key] = r.first(key, candidates)
	}
	for _, key := range fileSettings {
		if s := svc.settings[key]; s != nil && s.env != "" {
			svc.settings[key] = nil
			if text, ok := r.now(s); ok && text != "" {
				svc.settings[key] = &setting{text: text, opt: s.opt, dir: s.dir, from: s.from}
			}
		}
	}
	svc.settings["hostname"] = r.hostname(own("hostname"), svc.settings["image"])
	svc.local = r.isTrue(own("local_exe")) || r.isTrue(r.setting(r.top, "defaults", "local_exe", "[defaults]", dir))
	svc.launch = svc.settings["hostname"] == nil
	if s := own("iaas_launch"); s != nil {
		if text, ok := r.now(s); ok && text != "" {
			svc.launch = strings.EqualFold(text, "true")
		}
	}
	if !svc.launch {
		svc.settings["image"] = nil
	}
	svc.launch = svc.settings["image"] != nil
	if !svc.launch && svc.settings["hostname"] == nil {
		r.fail(svc.rng, "Neither image nor hostname", "[%s] needs an image, to start a VM from, or the hostname of an existing machine.", section.name)
	}
	if s := own("replica_count"); s != nil {
		svc.copies = max(1, r.number(s, maxCopies))
	}
	if s := svc.settings["pgm_timeout"]; s != nil {
		if svc.timeout = r.number(s, maxTimeout); svc.timeout < 1 {
			r.fail(s.opt.rng, "Invalid timeout", "pgm_timeout is a number of seconds greater than zero.")
		}
	}
	r.readDeps(svc, f, section, dir)
	return svc
}

// hostname is a service's hostname. One from the environment that is not set gives way to a VM.
func (r *reader) hostname(s, image *setting) *setting {
	if s == nil || s.env == "" || image == nil {
		return s
	}
	if value, ok := r.opts.LookupEnv(s.env); ok && value != "" {
		return s
	}
	r.warnOnce(s.opt.rng, "Environment variable not set", "hostname is env.%s, which is not set now, so that a VM is started from the image. Set it before the import to use that host.", s.env)
	return nil
}

func (r *reader) checkNames(f *iniFile, section *iniSection) {
	for _, opt := range f.items(section.name) {
		known := slices.Contains(planSettings, opt.name) || slices.Contains(otherSettings, opt.name)
		if !known && !strings.HasPrefix(opt.name, "deps") && f.defaults.byName[opt.name] != opt {
			r.warn(opt.rng, "Unknown setting", "cloudinit.d knows no setting %q of a service and ignores it, and so does the import.%s", opt.name, didYouMean(opt.name, planSettings, otherSettings))
		}
	}
}

func (r *reader) readCloud(svc *oldService, s *setting) string {
	if s == nil {
		return ""
	}
	name, ok := r.now(s)
	if !ok || name == "" {
		return ""
	}
	if !strings.HasPrefix(name, "cloud-") || r.top.byName[name] == nil {
		r.fail(s.opt.rng, "Unknown cloud", "There is no section [%s] in %s; a cloud is named as its whole section: cloud-NAME.", name, r.top.name)
		return ""
	}
	svc.cloud = name
	return name
}

// setting reads a key of a section. An empty value is none, and so is one of [defaults] or a
// cloud that cannot be interpolated: the original says nothing of it, the import warns.
func (r *reader) setting(f *iniFile, section, key, from, dir string) *setting {
	opt := f.lookup(section, key)
	if opt == nil {
		return nil
	}
	value, err := f.value(section, opt)
	if err != nil {
		if f != r.top {
			r.failOnce(opt.rng, "Value cannot be interpolated", "The value of %s: %v.", opt.name, err)
		} else {
			r.warnOnce(opt.rng, "Value cannot be interpolated", "The value of %s: %v. cloudinit.d takes it as not given, and so does the import.", opt.name, err)
		}
		return nil
	}
	if value == "" {
		return nil
	}
	return newSetting(value, opt, from, dir)
}

func newSetting(value string, opt *iniOption, from, dir string) *setting {
	s := &setting{text: value, opt: opt, from: from, dir: dir}
	if name, isEnv := strings.CutPrefix(value, "env."); isEnv {
		s.text, s.env = "", name
	}
	return s
}

// first is the setting that holds. An environment variable that is not set gives way to the next one.
func (r *reader) first(key string, candidates []*setting) *setting {
	candidates = slices.DeleteFunc(candidates, func(s *setting) bool { return s == nil })
	for i, s := range candidates {
		if s.env == "" || i == len(candidates)-1 {
			return s
		}
		if value, ok := r.opts.LookupEnv(s.env); ok && value != "" {
			return s
		}
		r.warnOnce(s.opt.rng, "Environment variable not set", "%s is env.%s, which is not set now, so that %s of %s holds in the imported plan. Set it before the import to have it.", key, s.env, key, candidates[i+1].from)
	}
	return nil
}

// now is the value of a setting that decides what the plan is made of, so that it has to be known at import.
func (r *reader) now(s *setting) (string, bool) {
	if s.env == "" {
		return s.text, true
	}
	value, ok := r.opts.LookupEnv(s.env)
	if !ok {
		r.warnOnce(s.opt.rng, "Environment variable not set", "%s is env.%s, which is not set now: the import takes it as not given.", s.opt.name, s.env)
		return "", false
	}
	r.warnOnce(s.opt.rng, "Environment variable read now", "%s is env.%s: its present value went into the imported plan, which does not read it again.", s.opt.name, s.env)
	return value, true
}

func (r *reader) isTrue(s *setting) bool {
	if s == nil {
		return false
	}
	text, _ := r.now(s)
	return strings.EqualFold(text, "true")
}

func (r *reader) number(s *setting, max int) int {
	text, ok := r.now(s)
	if !ok {
		r.fail(s.opt.rng, "Not a number", "%s is a whole number, and the environment variable %s is not set.", s.opt.name, s.env)
		return 1
	}
	n, err := strconv.Atoi(strings.Trim(text, pythonSpace))
	if err != nil || n < 0 || n > max {
		r.fail(s.opt.rng, "Not a number", "%s is a whole number from 0 to %d, not %q.", s.opt.name, max, text)
		return 1
	}
	return n
}

// readDeps collects the dependencies of all deps files, in the sorted order of their keys.
func (r *reader) readDeps(svc *oldService, f *iniFile, section *iniSection, dir string) {
	if r.deps > maxDeps {
		return // said already
	}
	var keys []*iniOption
	for _, opt := range f.items(section.name) {
		if strings.HasPrefix(opt.name, "deps") {
			keys = append(keys, opt)
		}
	}
	slices.SortFunc(keys, func(a, b *iniOption) int { return strings.Compare(a.name, b.name) })
	for _, opt := range keys {
		s := r.setting(f, section.name, opt.name, "the service", dir)
		if s == nil {
			continue
		}
		value, ok := r.now(s)
		if !ok || value == "" {
			continue
		}
		file, ok := r.ini(r.path(dir, value), &s.opt.rng, "file of dependencies")
		if !ok {
			continue
		}
		if file.byName["deps"] == nil {
			r.failOnce(fileRange(file.name), "No [deps]", "A file of dependencies has a section [deps] with them.")
			continue
		}
		for _, item := range file.items("deps") {
			value, err := file.value("deps", item)
			if err != nil {
				r.failOnce(item.rng, "Value cannot be interpolated", "The value of %s: %v.", item.name, err)
				continue
			}
			if r.deps++; r.deps > maxDeps {
				r.failOnce(item.rng, "Too many dependencies", "The services of this plan have more than %d dependencies together.", maxDeps)
				return
			}
			svc.depNames[item.name] = true
			svc.deps = append(svc.deps, &dep{name: item.name, file: file.name, setting: *newSetting(value, item, "", "")})
		}
	}
}
