package plan

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// commonFunctions are those that are the same for every plan. None of them gives
// another answer when it is asked again: a run that resumes sees what it saw.
func (l *loader) commonFunctions() map[string]function.Function {
	fs := map[string]function.Function{
		"abs": stdlib.AbsoluteFunc, "ceil": stdlib.CeilFunc, "floor": stdlib.FloorFunc, "log": stdlib.LogFunc,
		"max": stdlib.MaxFunc, "min": stdlib.MinFunc, "parseint": stdlib.ParseIntFunc, "pow": stdlib.PowFunc, "signum": stdlib.SignumFunc,

		"chomp": stdlib.ChompFunc, "indent": bounded(indentFunc()), "join": bounded(joinFunc()), "lower": stdlib.LowerFunc,
		"regex": stdlib.RegexFunc, "regexall": shortText(stdlib.RegexAllFunc, 1), "replace": bounded(replaceFunc()), "sort": stdlib.SortFunc,
		"split": shortText(stdlib.SplitFunc, 1), "strlen": stdlib.StrlenFunc, "strrev": stdlib.ReverseFunc, "substr": stdlib.SubstrFunc,
		"title": stdlib.TitleFunc, "trim": stdlib.TrimFunc, "trimprefix": stdlib.TrimPrefixFunc, "trimspace": stdlib.TrimSpaceFunc,
		"trimsuffix": stdlib.TrimSuffixFunc, "upper": stdlib.UpperFunc,
		"format": bounded(formatFunc(stdlib.FormatFunc)), "formatlist": bounded(formatListFunc()),
		"startswith":  textTest(strings.HasPrefix, "prefix"),
		"endswith":    textTest(strings.HasSuffix, "suffix"),
		"strcontains": textTest(strings.Contains, "part"),

		"chunklist": stdlib.ChunklistFunc, "coalesce": coalesceFunc(), "coalescelist": stdlib.CoalesceListFunc, "compact": stdlib.CompactFunc,
		"concat": bounded(stdlib.ConcatFunc), "contains": stdlib.ContainsFunc, "distinct": distinctFunc(), "element": stdlib.ElementFunc,
		"flatten": bounded(stdlib.FlattenFunc), "index": indexOfFunc(), "keys": stdlib.KeysFunc, "length": lengthFunc(), "lookup": lookupFunc(),
		"matchkeys": matchKeysFunc(), "merge": stdlib.MergeFunc, "one": oneFunc(), "range": stdlib.RangeFunc, "reverse": stdlib.ReverseListFunc,
		"setintersection": stdlib.SetIntersectionFunc, "setproduct": bounded(setProductFunc()), "setsubtract": stdlib.SetSubtractFunc,
		"setunion": stdlib.SetUnionFunc, "slice": stdlib.SliceFunc, "sum": sumFunc(),
		"transpose": bounded(transposeFunc()), "values": stdlib.ValuesFunc, "zipmap": stdlib.ZipmapFunc,
		"alltrue": allTrueFunc(), "anytrue": anyTrueFunc(),

		"tobool": stdlib.MakeToFunc(cty.Bool), "tolist": stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType)), "tomap": stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType)),
		"tonumber": bounded(stdlib.MakeToFunc(cty.Number)), "toset": stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)), "tostring": stdlib.MakeToFunc(cty.String),
		"try": tryFunc(), "can": tryfunc.CanFunc,
		"sensitive": sensitiveFunc(), "nonsensitive": nonsensitiveFunc(), "issensitive": isSensitiveFunc(),

		"basename": textFunc(func(s string) (string, error) { return path.Base(s), nil }),
		"dirname":  textFunc(func(s string) (string, error) { return path.Dir(s), nil }),
	}
	maps.Copy(fs, encodingFunctions())
	maps.Copy(fs, hashFunctions())
	maps.Copy(fs, timeFunctions())
	maps.Copy(fs, networkFunctions())
	maps.Copy(fs, l.machineFunctions())
	for name, f := range fs {
		if name != "try" && name != "can" { // they take expressions, and what these say is discreet
			fs[name] = quickArguments(f)
		}
	}
	return fs
}

// textFunc makes a function of one text.
func textFunc(f func(string) (string, error)) function.Function {
	return function.New(&function.Spec{
		Params:       []function.Parameter{{Name: "text", Type: cty.String}},
		Type:         function.StaticReturnType(cty.String),
		RefineResult: func(b *cty.RefinementBuilder) *cty.RefinementBuilder { return b.NotNull() },
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			result, err := f(args[0].AsString())
			if err != nil {
				return cty.NilVal, err
			}
			return cty.StringVal(result), nil
		},
	})
}

func textTest(test func(text, part string) bool, part string) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}, {Name: part, Type: cty.String}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(test(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

// fileFunctions read files of one plan.
func (l *loader) fileFunctions(files *planFiles) map[string]function.Function {
	readText := func(name string) (string, error) {
		content, err := readValue(files, name)
		if err != nil {
			return "", err
		}
		if !utf8.Valid(content) {
			return "", fmt.Errorf("%q is not UTF-8 text: use filebase64, or \"source\" of a file block", shorten(name))
		}
		return string(content), nil
	}
	fs := map[string]function.Function{
		"file": textFunc(readText),
		"filebase64": textFunc(func(name string) (string, error) {
			content, err := readValue(files, name)
			return base64.StdEncoding.EncodeToString(content), err
		}),
		"fileexists": function.New(&function.Spec{
			Params: []function.Parameter{{Name: "path", Type: cty.String}},
			Type:   function.StaticReturnType(cty.Bool),
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				name := args[0].AsString()
				info, err := files.stat(name)
				if errors.Is(err, errNoFile) || err == nil && !info.Mode().IsRegular() {
					return cty.False, nil
				}
				if err == nil {
					_, err = files.file(name) // it counts as read, so that a resumed run finds it
				}
				if err != nil {
					return cty.NilVal, fmt.Errorf("cannot look at %q of the plan in %s: %w", shorten(name), files.dir, err)
				}
				return cty.True, nil
			},
		}),
		"fileset":        l.fileSetFunc(files),
		"templatefile":   l.templateFileFunc(files, readText),
		"templatestring": l.templateStringFunc(),
	}
	for name, of := range digests() {
		fs["file"+name] = textFunc(func(path string) (string, error) {
			file, err := readFile(files, path)
			if err != nil {
				return "", err
			}
			return of(file.content), nil
		})
	}
	for name, f := range fs {
		fs[name] = discreet(f)
	}
	return fs
}

func readFile(files *planFiles, name string) (*planFile, error) {
	file, err := files.file(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read %q of the plan in %s: %w", shorten(name), files.dir, err)
	}
	return file, nil
}

func readValue(files *planFiles, name string) ([]byte, error) {
	file, err := readFile(files, name)
	if err != nil {
		return nil, err
	}
	if len(file.content) > maxFileValue {
		return nil, fmt.Errorf("%q is larger than %d MiB: send it with \"source\" of a file block", shorten(name), maxFileValue>>20)
	}
	return file.content, nil
}

// fileSetFunc lists files by a pattern. They count as read, so that a resumed run finds the same ones.
func (l *loader) fileSetFunc(files *planFiles) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "directory", Type: cty.String}, {Name: "pattern", Type: cty.String}},
		Type:   function.StaticReturnType(cty.Set(cty.String)),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			dir, pattern := args[0].AsString(), args[1].AsString()
			if err := checkPattern(pattern); err != nil {
				return cty.NilVal, function.NewArgError(1, err)
			}
			names, err := files.walk(dir)
			if err != nil {
				return cty.NilVal, fmt.Errorf("cannot list %q of the plan in %s: %w", shorten(dir), files.dir, err)
			}
			var found []cty.Value
			for _, name := range names {
				if !matchPath(pattern, name) {
					continue
				}
				if _, err := files.file(path.Join(dir, name)); err != nil {
					return cty.NilVal, fmt.Errorf("cannot read %q of the plan in %s: %w", shorten(path.Join(dir, name)), files.dir, err)
				}
				found = append(found, cty.StringVal(name))
			}
			if len(found) == 0 {
				return cty.SetValEmpty(cty.String), nil
			}
			return cty.SetVal(found), nil
		},
	})
}

// checkPattern refuses what matches nothing, which a plan would take for an answer.
func checkPattern(pattern string) error {
	if strings.ContainsAny(pattern, "{}") {
		return fmt.Errorf("%q has braces, which stand for themselves: join several patterns with setunion(fileset(...), fileset(...))", shorten(pattern))
	}
	if strings.Count(pattern, "**") > maxAnywhere {
		return fmt.Errorf("%q has \"**\" more than %d times", shorten(pattern), maxAnywhere)
	}
	for part := range strings.SplitSeq(pattern, "/") {
		if _, err := path.Match(part, ""); err != nil {
			return fmt.Errorf("%q is not a pattern", shorten(pattern))
		}
		if part == ".." {
			return fmt.Errorf("%q leads out of the directory", shorten(pattern))
		}
	}
	return nil
}

// maxAnywhere is how many "**" a pattern may have: each one multiplies what there is to try.
const maxAnywhere = 4

// matchPath is path.Match where "**" stands for any directories, none included, and at the end for all that is below.
func matchPath(pattern, name string) bool {
	return matchParts(strings.Split(pattern, "/"), strings.Split(name, "/"))
}

func matchParts(patterns, names []string) bool {
	switch {
	case len(patterns) == 0:
		return len(names) == 0
	case patterns[0] != "**":
		if len(names) == 0 {
			return false
		}
		matched, err := path.Match(patterns[0], names[0])
		return matched && err == nil && matchParts(patterns[1:], names[1:])
	case len(patterns) == 1:
		return true
	}
	for i := range names {
		if matchParts(patterns[1:], names[i:]) {
			return true
		}
	}
	return false
}
