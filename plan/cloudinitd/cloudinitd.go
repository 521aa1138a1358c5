// Package cloudinitd reads a launch plan of cloudinit.d and makes an HCL plan of it that behaves the same.
package cloudinitd

import (
	"os"
	"path/filepath"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// Options say which plan is imported, and in what surroundings.
type Options struct {
	Main string // the top file

	// What cloudinit.d was given on its command line: --globalvarfile and --globalvar NAME=VALUE.
	GlobalVarFiles []string
	GlobalVars     []string

	Home      string                           // what `~` is; empty: the user's home directory
	LookupEnv func(name string) (string, bool) // nil: os.LookupEnv
}

// Imported is an HCL plan that came of an old one.
type Imported struct {
	Files    []File
	Services int
	Levels   int
	Secrets  string    // the file of variables that the plan's passwords and tokens went into, or ""
	Missing  []Missing // variables that have to be given

	Sources map[string]*hcl.File // the old plan's files, for rendering diagnostics
}

// A Missing variable of the new plan has no value yet.
type Missing struct {
	Name      string
	Sensitive bool
}

// Read reads an old plan and turns it into a new one, in memory. It runs nothing of the plan. With errors
// there is nothing to write; warnings say what the new plan does otherwise than the old one.
func Read(opts Options) (*Imported, hcl.Diagnostics) {
	if opts.LookupEnv == nil {
		opts.LookupEnv = os.LookupEnv
	}
	if opts.Home == "" {
		opts.Home, _ = os.UserHomeDir()
	}
	opts.Main = filepath.Clean(opts.Main)
	src := &sources{home: opts.Home, read: map[string][]byte{}}
	rep := &report{said: map[string]bool{}}

	r := &reader{sources: src, report: rep, opts: opts, named: map[string]*oldService{}, inis: map[string]*iniFile{}}
	im := &Imported{}
	if plan := r.read(); plan != nil {
		im = write(newWriter(src, rep, plan, opts))
	}
	im.Sources = map[string]*hcl.File{}
	for name, content := range src.read {
		im.Sources[name] = &hcl.File{Bytes: content}
	}
	if rep.diags.HasErrors() {
		im.Files = nil
	}
	return im, rep.diags
}

func validUTF8(e expr) bool {
	for _, p := range e.parts {
		if !utf8.ValidString(p.text) || !utf8.ValidString(p.key) || !validUTF8(expr{p.concealed}) {
			return false
		}
	}
	return true
}
