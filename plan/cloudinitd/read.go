package cloudinitd

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// An oldPlan is a cloudinit.d launch plan, read and its settings put together.
type oldPlan struct {
	dir     string // of the top file
	globals map[string]*global
	levels  []*oldLevel // in their order
	files   []*iniFile  // all that were read, for diagnostics
}

type oldLevel struct {
	key      string // "level1"
	order    int
	file     string
	services []*oldService
}

// An oldService is a [svc-NAME] section with what it gets from its cloud and from [defaults].
type oldService struct {
	name     string
	copies   int // its replica_count; 1 where it has none
	level    *oldLevel
	rng      hcl.Range
	settings map[string]*setting
	cloud    string // "cloud-west", or ""
	local    bool   // local_exe
	launch   bool   // a VM is started for it
	deps     []*dep
	timeout  int // of its programs, in seconds

	// Set when the plan is laid out.
	depValues  []depValue
	depState   depState
	waitsFor   []*oldService // of the same level, for values that they have when they are up
	ident      string
	exports    map[string]bool
	bootOutput string // the text of its boot program, where that is known
}

// A setting is a value as the plan has it. env.NAME is kept as a name: the value is that of the day of a boot.
type setting struct {
	text string
	env  string
	opt  *iniOption
	dir  string // of the level's file: what relative paths are relative to
	from string // "the service", "[cloud-west]", "[defaults]"
}

// A dep is a dependency as one file gives it.
type dep struct {
	name string
	file string
	setting
}

type global struct {
	text  string
	rng   hcl.Range
	given bool // on import's command line: no part of the plan itself
}

// Names of settings that a service has, and where else they may be given.
var (
	cloudSettings = []string{"iaas", "iaas_url", "iaas_key", "iaas_secret", "sshkeyname", "localsshkeypath", "ssh_username", "scp_username", "securitygroups"}
	planSettings  = append([]string{"allocation", "image", "bootconf", "bootpgm", "bootpgm_args", "readypgm", "readypgm_args", "terminatepgm", "terminatepgm_args", "pgm_timeout"}, cloudSettings...)
	fileSettings  = []string{"bootconf", "bootpgm", "readypgm", "terminatepgm"} // copied at import
	otherSettings = []string{"hostname", "local_exe", "iaas_launch", "replica_count", "cloud"}
)

// Bounds and defaults of the original, and what is sane.
const (
	defaultTimeout = 1200   // seconds
	maxCopies      = 10_000 // the largest real plans had some hundred
	maxTimeout     = 1 << 30
)

type reader struct {
	*sources
	*report
	opts  Options
	plan  *oldPlan
	top   *iniFile
	named map[string]*oldService // by section name, to find one that is there twice
}

// read reads the top file and everything that it leads to.
func (r *reader) read() *oldPlan {
	dir := filepath.Dir(r.opts.Main)
	r.plan = &oldPlan{dir: dir, globals: map[string]*global{}}
	top, ok := r.ini(r.opts.Main, nil, "launch plan")
	if !ok {
		return nil
	}
	r.top = top
	r.readGlobals()
	if top.byName["runlevels"] == nil {
		r.fail(fileRange(r.opts.Main), "No [runlevels]", "The top file of a launch plan has a section [runlevels] with its levels: `level1: FILE`. Is this the top file?")
		return nil
	}
	r.readLevels()
	return r.plan
}

// ini reads a file of the plan. from is where it was named.
func (r *reader) ini(path string, from *hcl.Range, what string) (*iniFile, bool) {
	for _, f := range r.plan.files {
		if f.name == path {
			return f, true
		}
	}
	src, err := r.bytes(path, maxINI)
	if err != nil {
		rng := fileRange(path)
		if from != nil {
			rng = *from
		}
		r.fail(rng, "File cannot be read", "The %s %s: %v.", what, path, err)
		return nil, false
	}
	f, diags := parseINI(path, src)
	r.plan.files = append(r.plan.files, f)
	r.diags = r.diags.Extend(diags)
	return f, true
}

func (r *reader) readGlobals() {
	set := func(f *iniFile, given bool) {
		for _, opt := range f.items("globals") {
			if value, ok := r.value(f, "globals", opt); ok {
				r.plan.globals[opt.name] = &global{text: value, rng: opt.rng, given: given}
				if strings.HasPrefix(value, "env.") {
					r.warn(opt.rng, "Not an environment variable", "cloudinit.d reads env.NAME in settings and dependencies, but takes a global's value as it stands. So does the imported plan: %q.", value)
				}
			}
		}
	}
	set(r.top, false)
	for _, path := range r.opts.GlobalVarFiles {
		f, ok := r.ini(path, nil, "file of globals")
		if !ok {
			continue
		}
		if f.byName["globals"] == nil {
			r.fail(fileRange(path), "No [globals]", "A file of globals has a section [globals].")
		}
		set(f, true)
	}
	for _, given := range r.opts.GlobalVars {
		name, value, ok := strings.Cut(given, "=")
		if !ok {
			r.failAll("Invalid global", "A global is given as NAME=VALUE, not as %q.", given)
			continue
		}
		r.plan.globals[name] = &global{text: value, given: true}
	}
}

// value interpolates an option, and reports what is wrong with it.
func (r *reader) value(f *iniFile, section string, opt *iniOption) (string, bool) {
	value, err := f.value(section, opt)
	if err != nil {
		r.fail(opt.rng, "Value cannot be interpolated", "The value of %s: %v.", opt.name, err)
		return "", false
	}
	if len(value) > maxValue {
		r.fail(opt.rng, "Value too long", "The value of %s has more than %d KiB.", opt.name, maxValue>>10)
		return "", false
	}
	return value, true
}

func (r *reader) readLevels() {
	byOrder := map[int]*oldLevel{}
	var options = map[int]*iniOption{}
	for _, opt := range r.top.items("runlevels") {
		if !strings.HasPrefix(opt.name, "level") {
			r.warn(opt.rng, "Not a level", "Only keys that begin with \"level\" are levels; cloudinit.d ignores %q, and so does the import.", opt.name)
			continue
		}
		order, err := strconv.Atoi(strings.TrimSpace(strings.ReplaceAll(opt.name, "level", "")))
		if err != nil {
			r.fail(opt.rng, "Level without a number", "A level's key is \"level\" and its number, which says when its turn is: level1, not %q.", opt.name)
			continue
		}
		value, ok := r.value(r.top, "runlevels", opt)
		if !ok {
			continue
		}
		if other := options[order]; other != nil {
			r.warn(other.rng, "Level replaced", "%s and %s have the same number: cloudinit.d boots the later one only.", other.name, opt.name)
		}
		path := value
		if !filepath.IsAbs(path) {
			path = filepath.Join(r.plan.dir, path)
		}
		byOrder[order] = &oldLevel{key: opt.name, order: order, file: path}
		options[order] = opt
	}
	for _, level := range byOrder {
		r.plan.levels = append(r.plan.levels, level)
	}
	slices.SortFunc(r.plan.levels, func(a, b *oldLevel) int { return cmp.Compare(a.order, b.order) })
	for _, level := range r.plan.levels {
		r.readLevel(level, options[level.order].rng)
	}
}

func (r *reader) readLevel(level *oldLevel, from hcl.Range) {
	f, ok := r.ini(level.file, &from, "level")
	if !ok {
		return
	}
	for _, section := range f.sections {
		name, isService := strings.CutPrefix(section.name, "svc-")
		if !isService {
			r.warn(section.rng, "Not a service", "Services of a level are sections [svc-NAME]; cloudinit.d ignores [%s], and so does the import.", section.name)
			continue
		}
		if name == "" {
			r.fail(section.rng, "Service without a name", "A service is a section [svc-NAME].")
			continue
		}
		svc := r.readService(f, section, level)
		svc.name = name
		if other := r.named[name]; other != nil {
			r.fail(section.rng, "Service twice", "There is a service %q in %s already. Names are unique over the whole plan.", name, where(other.rng))
			continue
		}
		r.named[name] = svc
		level.services = append(level.services, svc)
	}
}

func (r *reader) readService(f *iniFile, section *iniSection, level *oldLevel) *oldService {
	svc := &oldService{copies: 1, level: level, rng: section.rng, settings: map[string]*setting{}, timeout: defaultTimeout, exports: map[string]bool{}}
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
	svc.settings["hostname"] = own("hostname")
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
			svc.deps = append(svc.deps, &dep{name: item.name, file: file.name, setting: *newSetting(value, item, "", "")})
		}
	}
}

func fileRange(path string) hcl.Range {
	return hcl.Range{Filename: path, Start: hcl.InitialPos, End: hcl.InitialPos}
}

func where(rng hcl.Range) string { return fmt.Sprintf("%s, line %d", rng.Filename, rng.Start.Line) }
