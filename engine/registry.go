package engine

import (
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
)

// A RunnerType joins a kind of runner as plans write it with the package that
// implements it. Register makes one.
type RunnerType struct {
	plan.RunnerType
	open func(ctx context.Context, config []byte, env runners.Env) (runners.Runner, error)
}

// Register describes a runner by its Config struct: each exported field with a
// json tag is an attribute of the runner block, required where its tag `launch`
// says so; a field that points to a struct is a nested block. Strings, booleans,
// numbers, lists and maps of strings are what a field can be; one that reads
// itself from text (a duration) is a string. A nested block with the tag `launch:"pool"` makes a service a pool.
// A *Config with a method Check says what is wrong with its values, which is told when the plan is checked.
func Register[C any, R runners.Runner](name string, host plan.HostRule, open func(context.Context, C, runners.Env) (R, error)) RunnerType {
	attributes, blocks := schema(reflect.TypeFor[C]())
	return RunnerType{
		RunnerType: plan.RunnerType{
			Name: name, Attributes: attributes, Blocks: blocks, Host: host, Pool: poolBlock(reflect.TypeFor[C]()), Check: checkConfig[C],
		},
		open: func(ctx context.Context, config []byte, env runners.Env) (runners.Runner, error) {
			var c C
			if err := json.Unmarshal(config, &c); err != nil {
				return nil, err
			}
			r, err := open(ctx, c, env)
			if err != nil {
				return nil, err
			}
			return r, nil
		},
	}
}

// checkConfig says what is wrong with the values of a runner block.
func checkConfig[C any](config cty.Value) error {
	text, err := configJSON(config)
	if err != nil {
		return err
	}
	var c C
	err = json.Unmarshal(text, &c)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s is a %s, and must be a whole one", wrong.Field, wrong.Value)
	}
	if err != nil {
		return err
	}
	if c, ok := any(&c).(interface{ Check() error }); ok {
		return c.Check()
	}
	return nil
}

func schema(t reflect.Type) (map[string]plan.RunnerAttribute, map[string]map[string]plan.RunnerAttribute) {
	attributes := map[string]plan.RunnerAttribute{}
	blocks := map[string]map[string]plan.RunnerAttribute{}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		if f.Type.Kind() == reflect.Pointer && f.Type.Elem().Kind() == reflect.Struct {
			blocks[name], _ = schema(f.Type.Elem())
			continue
		}
		attributes[name] = plan.RunnerAttribute{Type: ctyType(f), Required: f.Tag.Get("launch") == "required"}
	}
	return attributes, blocks
}

// poolBlock is the name of the block that makes a service a pool, "" where there is none.
func poolBlock(t reflect.Type) string {
	for f := range t.Fields() {
		if f.Tag.Get("launch") == "pool" {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			return name
		}
	}
	return ""
}

// ctyType panics for a field that the plan language cannot express: that is a mistake in a runner, not in a plan.
func ctyType(f reflect.StructField) cty.Type {
	if reflect.PointerTo(f.Type).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return cty.String
	}
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return cty.String
	case reflect.Bool:
		return cty.Bool
	case reflect.Int, reflect.Int64, reflect.Float64:
		return cty.Number
	case reflect.Slice:
		if t.Elem().Kind() == reflect.String {
			return cty.List(cty.String)
		}
	case reflect.Map:
		if t.Elem().Kind() == reflect.String {
			return cty.Map(cty.String)
		}
	}
	panic(fmt.Sprintf("runner config field %s has type %s", f.Name, f.Type))
}

// configJSON encodes a runner block without its absent attributes.
func configJSON(config cty.Value) ([]byte, error) {
	if config == cty.NilVal || config.IsNull() {
		return []byte("{}"), nil
	}
	config, _ = config.UnmarkDeep()
	encoded, err := ctyjson.Marshal(config, config.Type())
	if err != nil {
		return nil, err
	}
	var all map[string]any
	if err := json.Unmarshal(encoded, &all); err != nil {
		return nil, err
	}
	for name, v := range all {
		if v == nil {
			delete(all, name)
		}
		if block, ok := v.(map[string]any); ok {
			for inner, iv := range block {
				if iv == nil {
					delete(block, inner)
				}
			}
		}
	}
	return json.Marshal(all)
}
