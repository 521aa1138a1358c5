package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/plan"
)

// maxPlanFile bounds a file that fmt reads.
const maxPlanFile = 16 << 20

func newFmtCommand(g *globalOptions) *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "fmt [FILE|DIR...]",
		Short: "Give plan files their usual layout",
		Long: `Give plan files their usual layout, and name those that were changed.

Directories stand for all *.hcl files in them and below; without arguments it is
the present one. With "-", standard input is formatted to standard output.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := g.json()
			if err != nil {
				return err
			}
			if len(args) == 1 && args[0] == "-" {
				return formatStream(cmd.InOrStdin(), check, exactly(cmd.OutOrStdout()))
			}
			if slices.Contains(args, "-") {
				return usagef("\"-\", the standard input, is formatted by itself: name no files beside it")
			}
			if len(args) == 0 {
				args = []string{"."}
			}
			different, err := formatFiles(args, check)
			if asJSON {
				return errors.Join(writeJSON(cmd.OutOrStdout(), different), err)
			}
			for _, file := range different {
				fmt.Fprintln(cmd.OutOrStdout(), file)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "change nothing; the exit status is 1 where a file is not in its usual layout")
	return cmd
}

func formatStream(r io.Reader, check bool, w io.Writer) error {
	src, err := readAll(r, "the input", maxPlanFile)
	if err != nil {
		return err
	}
	formatted, diags := plan.Format("<stdin>", src)
	if diags.HasErrors() {
		return &engine.PlanError{Diagnostics: diags, Sources: map[string]*hcl.File{"<stdin>": {Bytes: src}}}
	}
	if !check {
		_, err = w.Write(formatted)
		return err
	}
	if !bytes.Equal(src, formatted) {
		return errUnusual
	}
	return nil
}

// errUnusual ends a check without a word: the files were named.
var errUnusual = toldError{errors.New("not in the usual layout")}

// formatFiles formats what can be formatted, and reports what cannot at the end, all of it. It returns the files whose
// layout was not the usual one.
func formatFiles(args []string, check bool) (different []string, err error) {
	broken := &engine.PlanError{Sources: map[string]*hcl.File{}}
	different = []string{}
	for _, arg := range args {
		files, err := planFiles(arg)
		if err != nil {
			return different, err
		}
		for _, file := range files {
			changed, diags, err := formatFile(file, check, broken.Sources)
			if err != nil {
				return different, err
			}
			broken.Diagnostics = append(broken.Diagnostics, diags...)
			if changed {
				different = append(different, file)
			}
		}
	}
	switch {
	case broken.Diagnostics.HasErrors():
		return different, broken
	case check && len(different) > 0:
		return different, errUnusual
	}
	return different, nil
}

// planFiles are the *.hcl files that an argument stands for.
func planFiles(arg string) ([]string, error) {
	info, err := os.Stat(arg)
	if err != nil {
		return nil, usagef("%v", err)
	}
	if !info.IsDir() {
		return []string{arg}, nil
	}
	var files []string
	err = filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != arg && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case d.Type().IsRegular() && strings.HasSuffix(path, ".hcl"):
			files = append(files, path)
		}
		return nil
	})
	return files, err
}

// formatFile replaces a file whose layout is not the usual one, by rename, so that it is whole at every instant.
func formatFile(file string, check bool, sources map[string]*hcl.File) (changed bool, diags hcl.Diagnostics, err error) {
	src, err := readBounded(file, maxPlanFile)
	if err != nil {
		return false, nil, err
	}
	formatted, diags := plan.Format(file, src)
	if diags.HasErrors() {
		sources[file] = &hcl.File{Bytes: src}
		return false, diags, nil
	}
	if bytes.Equal(src, formatted) {
		return false, nil, nil
	}
	if check {
		return true, nil, nil
	}
	return true, nil, replaceFile(file, formatted)
}

func replaceFile(file string, content []byte) error {
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(file), ".launch-fmt-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // fails after the rename, as it should
	_, err = temp.Write(content)
	err = errors.Join(err, temp.Chmod(info.Mode().Perm()), temp.Close())
	if err != nil {
		return fmt.Errorf("format %s: %w", file, err)
	}
	return os.Rename(temp.Name(), file)
}
