package cloudinitd

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2/hclwrite"
)

// maxPlan bounds the HCL that is written.
const maxPlan = 16 << 20

// A writer makes the new plan.
type writer struct {
	*resolver
	*bundle
	main        string
	lookupEnv   func(string) (string, bool)
	runners     []*runnerBlock
	runnerNames map[string]namer
	shared      []*sharedDeps
	ranks       map[*oldService]int
	cloudKeys   bool // the old plan has keys of a cloud
	helpers     string
	uses        struct{ run, bootenv bool } // which helpers are needed
	used        map[string]bool             // variables that something refers to
	renamed     []string
	remarks     []string
}

func newWriter(src *sources, rep *report, plan *oldPlan, opts Options) *writer {
	w := &writer{
		resolver:    newResolver(src, rep, plan),
		bundle:      &bundle{sources: src, say: rep, root: plan.dir, files: map[string]*File{}, dirs: map[string]bool{}, from: map[string]string{}},
		main:        opts.Main,
		lookupEnv:   opts.LookupEnv,
		runnerNames: map[string]namer{},
		ranks:       map[*oldService]int{},
		used:        map[string]bool{},
	}
	// Names that the plan needs for itself.
	w.files[planFile] = &File{}
	w.files[settingsFile] = &File{}
	w.files[secretsFile] = &File{}
	w.helpers = "cloudinitd"
	for {
		if _, err := os.Lstat(filepath.Join(plan.dir, w.helpers)); err != nil {
			break
		}
		w.helpers += "_"
	}
	return w
}

const (
	planFile     = "plan.hcl"
	settingsFile = "settings.hcl"
)

// write makes the files of the new plan. What services need of each other has to be known
// before the first of them is written, so the services are gone through twice.
func write(w *writer) *Imported {
	names := namer{}
	services := map[*oldService]*parts{}
	for _, svc := range w.allServices() {
		svc.ident = names.name(svc.name)
		if svc.ident != svc.name {
			w.renamed = append(w.renamed, fmt.Sprintf("%s is service.%s", svc.name, svc.ident))
		}
		if svc.copies > 1 {
			w.renamed = append(w.renamed, fmt.Sprintf("%s-0 … %s-%d are service.%s[0] … [%d]", svc.name, svc.name, svc.copies-1, svc.ident, svc.copies-1))
		}
		w.readBootProgram(svc)
	}
	for _, svc := range w.allServices() {
		w.dependencies(svc)
		services[svc] = w.takeApart(svc)
	}
	w.shareDependencies()
	levels := w.layOut()
	im := &Imported{Levels: len(levels)}
	if w.diags.HasErrors() {
		return im
	}
	var body strings.Builder
	for i, level := range levels {
		after := ""
		if i > 0 {
			after = levels[i-1].name
		}
		im.Services += w.level(&body, level, after, services)
		if body.Len() > maxPlan {
			w.failAll("Plan too large", "Written in HCL, this plan has more than %d MiB.", maxPlan>>20)
			return im
		}
	}
	w.addHelpers()
	delete(w.files, settingsFile)
	delete(w.files, secretsFile)
	blocks := w.localsAndRunners()
	w.noteUsed(blocks, body.String())
	if settings := w.variableBlocks() + blocks; settings != "" {
		w.addFile(settingsFile, 0o600, format(strings.TrimSuffix(settings, "\n")))
	}
	w.addFile(planFile, 0o600, format(w.header()+strings.ReplaceAll(body.String(), "{\n\n", "{\n")))
	if secrets := w.secretsContent(); secrets != "" {
		w.addFile(secretsFile, 0o600, secrets)
		im.Secrets = secretsFile
	}
	for _, v := range w.variables() {
		if !v.hasDefault && !v.given {
			im.Missing = append(im.Missing, Missing{v.name, v.sensitive})
		}
	}
	im.Files = w.list()
	return im
}

// level writes a level that comes after the one of this name, "" for the first, and returns how many services it has.
func (w *writer) level(body *strings.Builder, level *newLevel, after string, services map[*oldService]*parts) (count int) {
	fmt.Fprintf(body, "\n# %s, %s\n", level.old.key, w.shown(level.old.file))
	fmt.Fprintf(body, "level %s {\n", quote(level.name))
	if after != "" {
		fmt.Fprintf(body, "after = [level.%s]\n\n", after)
	}
	for i, svc := range level.services {
		if i > 0 {
			body.WriteByte('\n')
		}
		w.service(body, services[svc])
		count += svc.copies
	}
	body.WriteString("}\n")
	return count
}

func format(src string) string { return string(hclwrite.Format([]byte(src))) }

// shown is a path of the old plan as it is named in the new one.
func (w *writer) shown(file string) string {
	if rel, ok := w.relative(file); ok {
		return oneLine(rel)
	}
	return oneLine(file)
}

// oneLine is text that cannot end a comment.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x2028 || r == 0x2029 || r == 0xfffd {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(s, "_"))
}

// header is the comment at the top of plan.hcl.
func (w *writer) header() string {
	var b strings.Builder
	line := func(format string, args ...any) { b.WriteString("# " + oneLine(fmt.Sprintf(format, args...)) + "\n") }
	line("This plan was imported from the cloudinit.d launch plan %s.", filepath.Base(w.main))
	line("Check it with `launch validate`, boot it with `launch boot`.")
	if w.secretsContent() != "" {
		line("It needs --var-file %s, which has its passwords, tokens and keys.", secretsFile)
	}
	if set := w.toSet(); len(set) > 0 {
		b.WriteString("#\n")
		line("What to set:")
		for _, s := range set {
			line("  %s", s)
		}
	}
	list := func(title string, items []string) {
		if len(items) == 0 {
			return
		}
		b.WriteString("#\n")
		line("%s", title)
		for _, item := range items {
			line("  %s", item)
		}
	}
	list("Services under other names:", w.renamed)
	list("Copied from outside of the old plan's directory:", w.notes)
	list("What is different:", w.remarks)
	fmt.Fprintf(&b, "\ndescription = %s\n", quote("Imported from "+oneLine(filepath.Base(w.main))))
	return b.String()
}

func (w *writer) toSet() []string {
	var set []string
	for _, v := range w.variables() {
		switch {
		case v.env != "" && !v.hasDefault:
			set = append(set, fmt.Sprintf("var.%s: it has to be given, as --var %s=\"$%s\": the old plan read that from the environment", v.name, v.name, v.env))
		case v.env != "":
			set = append(set, fmt.Sprintf("var.%s: the environment variable %s, where it is not given", v.name, v.env))
		case !v.hasDefault && !v.given:
			set = append(set, fmt.Sprintf("var.%s: it has to be given", v.name))
		}
	}
	if w.cloudKeys {
		set = append(set, "The keys of the cloud are not part of the plan: they come from where the AWS SDK looks for them (AWS_ACCESS_KEY_ID, ~/.aws, …).")
	}
	return set
}

// readBootProgram looks whether the boot program says which values it leaves.
func (w *writer) readBootProgram(svc *oldService) {
	s := svc.settings["bootpgm"]
	if s == nil || s.env != "" {
		return
	}
	if src, err := w.bytes(w.path(s.dir, s.text), maxFile); err == nil {
		svc.bootOutput = string(src)
	}
}

func (w *writer) addHelpers() {
	if w.uses.run {
		w.addFile(path.Join(w.helpers, runHelper), 0o700, runScript)
	}
	if w.uses.bootenv {
		w.addFile(path.Join(w.helpers, bootenvHelper), 0o600, bootenvTemplate)
	}
}
