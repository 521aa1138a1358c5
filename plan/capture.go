package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// A capture notes what expressions learned from this machine.
type capture struct {
	mu          sync.Mutex
	env         map[string]*string
	executables map[string]string
}

func newCapture() *capture {
	return &capture{env: map[string]*string{}, executables: map[string]string{}}
}

// machineFunctions ask this machine. A resumed run is given the answers that the run captured.
func (l *loader) machineFunctions() map[string]function.Function {
	lookup := l.opts.LookupEnv
	if lookup == nil {
		lookup = os.LookupEnv
	}
	find := l.opts.Executable
	if find == nil {
		find = exec.LookPath
	}
	return map[string]function.Function{
		"env": function.New(&function.Spec{
			Params:   []function.Parameter{{Name: "name", Type: cty.String}},
			VarParam: &function.Parameter{Name: "default", Type: cty.String, AllowNull: true},
			Type: func(args []cty.Value) (cty.Type, error) {
				if len(args) > 2 {
					return cty.NilType, errors.New("env takes a name, and a default where the variable is not set")
				}
				return cty.String, nil
			},
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				value, ok := l.captured.lookup(args[0].AsString(), lookup)
				switch {
				case ok:
					return cty.StringVal(value), nil
				case len(args) == 2:
					return args[1], nil
				}
				return cty.NullVal(cty.String), nil
			},
		}),
		"executable": textFunc(func(name string) (string, error) { return l.captured.executable(name, find) }),
	}
}

func (c *capture) lookup(name string, lookup func(string) (string, bool)) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if value, asked := c.env[name]; asked {
		if value == nil {
			return "", false
		}
		return *value, true
	}
	value, ok := lookup(name)
	c.env[name] = nil
	if ok {
		c.env[name] = &value
	}
	return value, ok
}

func (c *capture) executable(name string, find func(string) (string, error)) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if path, ok := c.executables[name]; ok {
		return path, nil
	}
	path, err := find(name)
	if err != nil {
		return "", fmt.Errorf("there is no program %q beside launch or on PATH", shorten(name))
	}
	c.executables[name] = path
	return path, nil
}

// Captured returns what the tree was made from and a later command needs: env() values and variables
// that are not sensitive (by name, as JSON), and the names of the sensitive ones that were given.
// An env() value that is a known secret, as in sensitive(env("TOKEN")), is left out: a later command asks for it again.
// A sensitive variable that has such a value by default counts as given.
func (t *Tree) Captured() Captured {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := Captured{
		Env: map[string]*string{}, Executables: map[string]string{},
		Variables: map[string]CapturedVariable{}, Sensitive: []string{},
	}
	noted := t.plan.loader.captured
	noted.mu.Lock()
	defer noted.mu.Unlock()
	var leftOut []string
	for name, value := range noted.env {
		if value == nil || !t.secrets.strings[*value] {
			c.Env[name] = value
		} else {
			leftOut = append(leftOut, *value)
		}
	}
	for name, path := range noted.executables {
		c.Executables[name] = path
	}
	for _, v := range t.root.module.variableList {
		_, given := t.in.Variables[v.Name]
		if v.Sensitive {
			if given || v.Default != cty.NilVal && holdsSecret(v.Default, leftOut) {
				c.Sensitive = append(c.Sensitive, v.Name)
			}
			continue
		}
		value, _ := t.root.variable(v, nil)
		if captured, err := captureVariable(value); err == nil {
			c.Variables[v.Name] = captured
		}
	}
	return c
}

func captureVariable(value cty.Value) (CapturedVariable, error) {
	ty, err := ctyjson.MarshalType(value.Type())
	if err != nil {
		return CapturedVariable{}, err
	}
	encoded, err := ctyjson.Marshal(value, value.Type())
	return CapturedVariable{Type: ty, Value: encoded}, err
}

// Given turns what was captured back into what a variable is given.
func (v CapturedVariable) Given() (Given, error) {
	ty, err := ctyjson.UnmarshalType(v.Type)
	if err != nil {
		return Given{}, fmt.Errorf("read the type of a recorded variable: %w", err)
	}
	value, err := ctyjson.Unmarshal(v.Value, ty)
	if err != nil {
		return Given{}, fmt.Errorf("read a recorded variable: %w", err)
	}
	return Given{Value: value, From: "the run"}, nil
}

// Captured is what a run keeps beside its files. It encodes to JSON.
type Captured struct {
	Env         map[string]*string          `json:"env"` // null: was not set
	Executables map[string]string           `json:"executables"`
	Variables   map[string]CapturedVariable `json:"variables"`
	Sensitive   []string                    `json:"sensitive"`
}

// CapturedVariable is a variable's value with its type, both as cty's JSON.
type CapturedVariable struct {
	Type  json.RawMessage `json:"type"`
	Value json.RawMessage `json:"value"`
}

// LookupEnv reads what env() found when the plan was first laid out; see Options.LookupEnv.
func (c Captured) LookupEnv(name string) (string, bool) {
	if value := c.Env[name]; value != nil {
		return *value, true
	}
	return "", false
}

// Executable finds what executable() found when the plan was first laid out; see Options.Executable.
func (c Captured) Executable(name string) (string, error) {
	if path, ok := c.Executables[name]; ok {
		return path, nil
	}
	return "", fmt.Errorf("the run did not capture program %q", shorten(name))
}

// Given are the captured variables, as inputs of a later layout.
func (c Captured) Given() (map[string]Given, error) {
	all := make(map[string]Given, len(c.Variables))
	for name, v := range c.Variables {
		given, err := v.Given()
		if err != nil {
			return nil, fmt.Errorf("variable %q: %w", shorten(name), err)
		}
		all[name] = given
	}
	return all, nil
}

// Missing names the sensitive variables that were not given to a tree that was laid out Later.
func (t *Tree) Missing() []string {
	var names []string
	for _, v := range t.root.module.variableList {
		if _, given := t.in.Variables[v.Name]; v.Sensitive && !given && (v.Default == cty.NilVal || slices.Contains(t.in.Withheld, v.Name)) {
			names = append(names, v.Name)
		}
	}
	return names
}
