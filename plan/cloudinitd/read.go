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
	depNames map[string]bool
	timeout  int // of its programs, in seconds

	// Set when the plan is laid out.
	depValues  []depValue
	depFinal   map[string]expr
	depState   depState
	waitsFor   []*oldService // of the same level, for values that they have when they are up
	ident      string
	exports    map[string]bool
	concealed  map[string]bool // exports that a secret's name is given to
	bootOutput string          // the text of its boot program, where that is known
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
	defaultTimeout = 1200           // seconds
	maxCopies      = 10_000         // the largest real plans had some hundred
	maxTimeout     = 30 * 24 * 3600 // seconds
	maxDeps        = 100_000        // of all services together
	maxServices    = 20_000         // sections; a large real plan had fifty
)

type reader struct {
	*sources
	*report
	opts  Options
	plan  *oldPlan
	top   *iniFile
	named map[string]*oldService // by section name, to find one that is there twice
	inis  map[string]*iniFile
	deps  int
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
	if f := r.inis[path]; f != nil {
		return f, true
	}
	src, err := r.bytes(path, maxINI)
	if err != nil {
		r.add(hcl.DiagError, from, "File cannot be read", "The %s %s: %v.", what, path, err)
		return nil, false
	}
	f, diags := parseINI(path, src)
	r.inis[path] = f
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
			if r.top.defaults.byName[opt.name] == opt {
				continue // every section has it
			}
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
		if r.named[name] = svc; len(r.named) > maxServices {
			r.failOnce(fileRange(r.opts.Main), "Too many services", "This plan has more than %d services.", maxServices)
			return
		}
		level.services = append(level.services, svc)
	}
}

func fileRange(path string) hcl.Range {
	return hcl.Range{Filename: path, Start: hcl.InitialPos, End: hcl.InitialPos}
}

func where(rng hcl.Range) string { return fmt.Sprintf("%s, line %d", rng.Filename, rng.Start.Line) }
